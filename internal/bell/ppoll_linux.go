package bell

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ppoll is the system call as it is: unix.Ppoll would tell Go's scheduler.
func ppoll(fds []unix.PollFd, timeout *unix.Timespec) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)), uintptr(unsafe.Pointer(timeout)), 0, 0, 0)
	return int(n), errno
}
