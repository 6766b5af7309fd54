//go:build unix

package keyspace

import "syscall"

// mapBytes falls back to Go's heap when the system refuses, so that running out of mappings is slow, not fatal.
func mapBytes(n int) (b []byte, mapped bool) {
	b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return make([]byte, n), false
	}
	return b, true
}

func unmapBytes(b []byte) {
	if err := syscall.Munmap(b); err != nil {
		panic("keyspace: unmap what was mapped: " + err.Error())
	}
}
