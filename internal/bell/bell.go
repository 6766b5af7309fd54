// Package bell lets one goroutine, the owner, wait for descriptors: for a moment in a system call
// that Go's scheduler does not know of, then parked in Go's poller. What the descriptors mean and
// reading them are left to the owner.
package bell

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Bell wakes its owner. The zero value may be rung; Open makes it usable.
type Bell struct {
	mu       sync.Mutex
	file     *os.File // in Go's poller
	conn     syscall.RawConn
	fd       int   // of file: an epoll descriptor that holds fds, or a duplicate of the only one
	fds      []int // what is waited for
	nested   bool
	early    bool // rung before it was open
	closed   bool
	rung     atomic.Bool // since block looked last
	blocking atomic.Bool // the owner is in block
	wake     int         // an eventfd that ends block
}

var past = time.Unix(1, 0)

// Open puts fds into Go's poller; a second call does nothing. With linger (see Serve), or when there
// are several, they lie behind an epoll descriptor that is heard only while the owner is parked: a
// thread that sits in Go's poller is then not woken by what the owner sees itself.
func (b *Bell) Open(linger bool, fds ...int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file != nil || b.closed {
		return nil
	}
	var err error
	if b.nested = linger || len(fds) > 1; b.nested {
		b.fd, err = b.nest(fds)
	} else {
		b.fd, err = unix.FcntlInt(uintptr(fds[0]), unix.F_DUPFD_CLOEXEC, 0)
	}
	if err != nil {
		return fmt.Errorf("wait for a descriptor: %w", err)
	}
	b.fds = fds
	b.file = os.NewFile(uintptr(b.fd), "bell")
	var deadline time.Time
	if b.early {
		deadline = past
	}
	if err := b.file.SetReadDeadline(deadline); err != nil {
		return fmt.Errorf("wait for a descriptor: %w", err)
	}
	if b.conn, err = b.file.SyscallConn(); err != nil {
		return fmt.Errorf("wait for a descriptor: %w", err)
	}
	return nil
}

func (b *Bell) nest(fds []int) (fd int, err error) {
	if b.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return 0, err
	}
	if fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err == nil {
		err = unix.SetNonblock(fd, true)
		for _, each := range fds {
			err = errors.Join(err, unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, each, &unix.EpollEvent{Events: unix.EPOLLONESHOT}))
		}
		if err != nil {
			_ = unix.Close(fd)
		}
	}
	if err != nil {
		_ = unix.Close(b.wake)
	}
	return fd, err
}

// Watch calls seen at once and whenever the descriptor may have become ready, until Close. It is for
// a bell that was opened without linger.
func (b *Bell) Watch(seen func()) {
	_ = b.conn.Read(func(uintptr) bool { // ends with the bell
		seen()
		return false
	})
}

// Wait is how a wait begins: in a system call of the owner's own, which nothing has to be woken for to hand a
// processor over and back.
type Wait struct {
	For   time.Duration // at most; 0: it parks in Go's poller at once
	Again bool          // when the time is over step is called, rather than that the owner parks
	Alone bool          // meanwhile only the last descriptor is heard
}

// Serve calls step, and again whenever a descriptor may be ready or the bell was rung; it returns
// when step says that it is done. step takes all there is, so that each descriptor is seen idle. linger is
// asked how each wait is to begin.
func (b *Bell) Serve(linger func() Wait, step func() (done bool)) error {
	for {
		var failed error
		armed := false
		err := b.conn.Read(func(uintptr) bool {
			if armed {
				armed, failed = false, b.disarm()
			}
			for !step() {
				if w := linger(); w.For > 0 && (b.block(w) || w.Again) {
					continue
				}
				if !b.nested {
					return false
				}
				failed = errors.Join(failed, b.arm())
				armed = true
				return failed != nil
			}
			return true
		})
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.Join(err, failed)
		}
		err = b.file.SetReadDeadline(time.Time{}) // it was a ring
		if armed {
			err = errors.Join(err, b.disarm())
		}
		if err != nil {
			return err
		}
	}
}

// block waits for a descriptor or a ring in a system call, without Go's scheduler knowing: the
// processor stays with the owner, so that nobody has to be woken to hand it over and back. It is
// false when nothing came. The signal by which the runtime stops a thread ends it too.
func (b *Bell) block(w Wait) bool {
	b.blocking.Store(true)
	if b.rung.Swap(false) {
		b.blocking.Store(false)
		return true
	}
	var all [4]unix.PollFd
	all[0] = unix.PollFd{Fd: int32(b.wake), Events: unix.POLLIN}
	n := 1
	fds := b.fds
	if w.Alone {
		fds = fds[len(fds)-1:]
	}
	for _, fd := range fds {
		all[n] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
		n++
	}
	ts := unix.NsecToTimespec(int64(w.For))
	ready, errno := ppoll(all[:n], &ts)
	if all[0].Revents != 0 {
		var buf [8]byte
		_, _ = unix.Read(b.wake, buf[:]) // it only says that somebody rang
	}
	b.blocking.Store(false)
	return b.rung.Swap(false) || ready > 0 || errno != 0
}

// arm has Go's poller hear of the descriptors, also of what is there already.
func (b *Bell) arm() error {
	var heard [4]unix.EpollEvent
	_, _ = unix.EpollWait(b.fd, heard[:], 0) // takes out what it heard last, or its next would not be news
	return b.hear(unix.EPOLLIN)
}

// disarm has it hear of them no more: each arrival would wake a thread in Go's poller, although the owner is at work.
func (b *Bell) disarm() error { return b.hear(0) }

func (b *Bell) hear(events uint32) (err error) {
	for _, fd := range b.fds {
		err = errors.Join(err, unix.EpollCtl(b.fd, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Events: events | unix.EPOLLONESHOT}))
	}
	return err
}

// Ring has Serve call step; any goroutine may.
func (b *Bell) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
	case b.file == nil:
		b.early = true
	default:
		b.rung.Store(true)
		if b.blocking.Load() { // it looks at rung when it has left
			_, _ = unix.Write(b.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
			return
		}
		_ = b.file.SetReadDeadline(past)
	}
}

// Close ends Watch and Serve. The descriptors stay open.
func (b *Bell) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	if b.file == nil {
		return nil
	}
	err := b.file.Close()
	if b.nested {
		err = errors.Join(err, unix.Close(b.wake))
	}
	return err
}
