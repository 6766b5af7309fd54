package server

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"brainer/internal/command"
	"brainer/internal/eviction"
	"brainer/internal/op"
	"brainer/resp"
)

// okBackend answers at once, in the caller's goroutine.
type okBackend struct{}

func (okBackend) Submit(b *op.Batch) {
	ops := b.Ops
	for i := range ops {
		ops[i].Answer(okReply)
	}
}

func (okBackend) SetMemory(func(*eviction.Settings)) {}
func (okBackend) OutOfMemory() bool                  { return false }
func (okBackend) NotServing() string                 { return "" }

func (k okBackend) TrySubmit(b *op.Batch) bool {
	k.Submit(b)
	return true
}

func (okBackend) Status() op.Status { return op.Status{} }

var okReply = []byte("+OK\r\n")

// repeatingConn reads a pipeline so many times, then EOF, and swallows what is written.
type repeatingConn struct {
	pipeline []byte
	times    int
}

func (c *repeatingConn) Read(p []byte) (int, error) {
	if c.times == 0 {
		return 0, io.EOF
	}
	c.times--
	return copy(p, c.pipeline), nil
}
func (c *repeatingConn) Write(p []byte) (int, error)      { return len(p), nil }
func (c *repeatingConn) Close() error                     { return nil }
func (c *repeatingConn) LocalAddr() net.Addr              { return &net.UnixAddr{Name: "local"} }
func (c *repeatingConn) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "remote"} }
func (c *repeatingConn) SetDeadline(time.Time) error      { return nil }
func (c *repeatingConn) SetReadDeadline(time.Time) error  { return nil }
func (c *repeatingConn) SetWriteDeadline(time.Time) error { return nil }

func benchmarkPipeline(b *testing.B, depth int) {
	s := New(okBackend{}, Options{Table: command.NewTable(), Log: slog.New(slog.DiscardHandler)})
	set := resp.AppendCommand(nil, []byte("SET"), []byte("key:00000001"), bytes.Repeat([]byte("x"), 64))
	conn := &repeatingConn{pipeline: bytes.Repeat(set, depth), times: (b.N + depth - 1) / depth}
	b.ReportAllocs()
	b.ResetTimer()
	if err := s.ServeConn(conn); err != io.EOF {
		b.Fatal(err)
	}
}

func BenchmarkSet(b *testing.B)           { benchmarkPipeline(b, 1) }
func BenchmarkSetPipeline16(b *testing.B) { benchmarkPipeline(b, 16) }

func TestNothingIsAllocatedPerCommand(t *testing.T) {
	const commands = 20000
	s := New(okBackend{}, Options{Table: command.NewTable(), Log: slog.New(slog.DiscardHandler)})
	pipeline := bytes.Repeat([]byte("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n"), 4)
	allocs := testing.AllocsPerRun(3, func() {
		_ = s.ServeConn(&repeatingConn{pipeline: pipeline, times: commands / 12})
	})
	if allocs > commands/100 {
		t.Errorf("%v allocations for %d commands", allocs, commands)
	}
}
