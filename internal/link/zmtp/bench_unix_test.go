//go:build unix

package zmtp_test

import (
	"path/filepath"
	"testing"

	"brainer/internal/link/linktest"
)

// What our own ZMTP costs on an ipc endpoint, what libzmq's does, and what the socket does alone.
func BenchmarkIPC(b *testing.B) {
	b.Run("ours", func(b *testing.B) { linktest.Suite{New: ours, Endpoint: linktest.IPC}.RunBenchmarks(b) })
	b.Run("libzmq", func(b *testing.B) { linktest.Suite{New: libzmqs, Endpoint: linktest.IPC}.RunBenchmarks(b) })
	b.Run("socket", func(b *testing.B) { linktest.BenchmarkSocket(b, "unix", filepath.Join(b.TempDir(), "s")) })
}
