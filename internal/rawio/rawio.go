//go:build !race

// Package rawio reads and writes descriptors that never wait, without a look by Go's scheduler at each call: it costs more
// than some of them.
package rawio

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func rawIO(call uintptr, fd int, p []byte) (int, syscall.Errno) {
	var base unsafe.Pointer
	if len(p) > 0 {
		base = unsafe.Pointer(&p[0])
	}
	for {
		n, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(base), uintptr(len(p)))
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

// Read is read(2).
func Read(fd int, p []byte) (int, syscall.Errno) { return rawIO(unix.SYS_READ, fd, p) }

// Write is write(2).
func Write(fd int, p []byte) (int, syscall.Errno) { return rawIO(unix.SYS_WRITE, fd, p) }
