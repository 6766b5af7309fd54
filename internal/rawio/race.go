//go:build race

package rawio

import "syscall"

// Read tells the race detector that what is read was written before.
func Read(fd int, p []byte) (int, syscall.Errno) { return again(syscall.Read, fd, p) }

// Write is what Read goes with.
func Write(fd int, p []byte) (int, syscall.Errno) { return again(syscall.Write, fd, p) }

func again(call func(int, []byte) (int, error), fd int, p []byte) (int, syscall.Errno) {
	for {
		n, err := call(fd, p)
		if err == nil {
			return n, 0
		}
		if errno, ok := err.(syscall.Errno); !ok || errno != syscall.EINTR {
			return n, errno
		}
	}
}
