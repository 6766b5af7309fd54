package zmq

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	zmq4 "github.com/pebbe/zmq4"
	"golang.org/x/sys/unix"
)

// bell is ZMQ_FD as its owner waits for it: in Go's poller, or for a moment in a system call.
type bell struct {
	zfd  int
	file *os.File // in Go's poller: a duplicate of zfd, or an epoll descriptor that holds zfd
	conn syscall.RawConn
	nest bool // the latter
	fd   int  // of file

	mu       sync.Mutex
	early    bool // rung before it was open
	closed   bool
	rung     atomic.Bool // since blockFor looked last
	blocking atomic.Bool // the owner is in blockFor
	wake     int         // an eventfd that ends blockFor
}

var kicked = time.Unix(1, 0)

func (b *bell) init(soc *zmq4.Socket) (err error) {
	keepMemory() // each time is as good as once
	if b.zfd, err = soc.GetFd(); err != nil {
		return fmt.Errorf("get ZMQ_FD: %w", err)
	}
	return nil
}

// open puts ZMQ_FD into Go's poller. Behind a nested epoll descriptor it is heard only after arm: a
// thread that sits in Go's poller is not woken by what the owner sees itself.
func (b *bell) open(nest bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file != nil || b.closed {
		return nil
	}
	var fd int
	var err error
	if nest {
		fd, err = b.openNested()
	} else {
		fd, err = unix.FcntlInt(uintptr(b.zfd), unix.F_DUPFD_CLOEXEC, 0)
	}
	if err != nil {
		return fmt.Errorf("duplicate ZMQ_FD: %w", err)
	}
	b.nest, b.fd = nest, fd
	b.file = os.NewFile(uintptr(fd), "zmq")
	var deadline time.Time
	if b.early {
		deadline = kicked
	}
	if err := b.file.SetReadDeadline(deadline); err != nil {
		return fmt.Errorf("poll ZMQ_FD: %w", err)
	}
	if b.conn, err = b.file.SyscallConn(); err != nil {
		return fmt.Errorf("poll ZMQ_FD: %w", err)
	}
	return nil
}

func (b *bell) openNested() (fd int, err error) {
	if b.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return 0, err
	}
	if fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err == nil {
		if err = unix.SetNonblock(fd, true); err == nil {
			err = unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, b.zfd, &unix.EpollEvent{Events: unix.EPOLLONESHOT})
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

// blockFor waits for ZMQ_FD or a ring in a system call, without Go's scheduler knowing: the
// processor stays with the owner, so that nobody has to be woken to hand it over and back. It is
// false when nothing came. The signal by which the runtime stops a thread ends it too.
func (b *bell) blockFor(d time.Duration) bool {
	b.blocking.Store(true)
	defer b.blocking.Store(false)
	if b.rung.Swap(false) {
		return true
	}
	fds := [2]unix.PollFd{{Fd: int32(b.zfd), Events: unix.POLLIN}, {Fd: int32(b.wake), Events: unix.POLLIN}}
	ts := unix.NsecToTimespec(int64(d))
	n, errno := ppoll(&fds, &ts)
	if fds[1].Revents != 0 {
		var buf [8]byte
		_, _ = unix.Read(b.wake, buf[:]) // it only says that somebody rang
	}
	return n > 0 || errno != 0
}

// arm has Go's poller hear of ZMQ_FD, once, also of what is there already.
func (b *bell) arm() error {
	var ev [1]unix.EpollEvent
	_, _ = unix.EpollWait(b.fd, ev[:], 0) // takes out what it heard last, or its next would not be news
	return unix.EpollCtl(b.fd, unix.EPOLL_CTL_MOD, b.zfd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT})
}

// ring ends a wait; any goroutine may.
func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
	case b.file == nil:
		b.early = true
	default:
		b.rung.Store(true)
		_ = b.file.SetReadDeadline(kicked)
		if b.nest && b.blocking.Load() {
			_, _ = unix.Write(b.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		}
	}
}

// heard takes a ring back.
func (b *bell) heard() error { return b.file.SetReadDeadline(time.Time{}) }

func (b *bell) close() error {
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
	if b.nest {
		err = errors.Join(err, unix.Close(b.wake))
	}
	return err
}
