//go:build !race

package server

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls are raw: they never wait, and a look by Go's scheduler at each costs more than some of them.
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

func rawRead(fd int, p []byte) (int, syscall.Errno)  { return rawIO(unix.SYS_READ, fd, p) }
func rawWrite(fd int, p []byte) (int, syscall.Errno) { return rawIO(unix.SYS_WRITE, fd, p) }
