package zmtp

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"brainer/internal/bell"
	"brainer/internal/link"
	"brainer/internal/link/ipc"
)

const (
	backlog     = 511
	socketBytes = 1 << 20 // asked of the kernel, for each direction
)

// Options hold for every link of a Transport.
type Options struct {
	MaxMsgBytes int64         // largest body, both ways, link.MessageBytesMax when 0; a peer that sends a larger one is disconnected
	Linger      time.Duration // of a link's owner in Serve, see bell.Owner
}

// Transport is another one that leaves ipc paths to this package.
type Transport struct {
	link.Transport
	opts Options

	mu     sync.Mutex
	open   int // links not closed yet
	closed bool
}

// Over makes a Transport.
func Over(t link.Transport, opts Options) *Transport {
	if opts.MaxMsgBytes == 0 {
		opts.MaxMsgBytes = link.MessageBytesMax
	}
	return &Transport{Transport: t, opts: opts}
}

// Bind opens an ipc path, guarded by a lock file beside it and with mode 0600.
func (t *Transport) Bind(endpoint string) (link.Router, error) {
	path, ok := ipc.Path(endpoint)
	if !ok {
		return t.Transport.Bind(endpoint)
	}
	r, err := t.bind(endpoint, path)
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", endpoint, err)
	}
	return r, nil
}

func (t *Transport) bind(endpoint, path string) (*router, error) {
	if err := t.opened(); err != nil {
		return nil, err
	}
	guard, err := ipc.Take(path)
	if err != nil {
		t.linkClosed()
		return nil, err
	}
	fd, err := newSocket()
	if err == nil {
		err = guard.Bind(func() error { return listen(fd, path) })
	}
	var r *router
	if err == nil {
		r, err = newRouter(t, endpoint, fd, guard)
	}
	if err != nil {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
		guard.Release()
		t.linkClosed()
		return nil, err
	}
	return r, nil
}

// listen replaces the file of a holder that died: we have its lock.
func listen(fd int, path string) error {
	if err := unix.Unlink(path); err != nil && err != unix.ENOENT {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return err
	}
	return unix.Listen(fd, backlog)
}

// Dial connects to an ipc path. A Dealer never reconnects; after a failure dial a new one.
func (t *Transport) Dial(endpoint, routingID string) (link.Dealer, error) {
	path, ok := ipc.Path(endpoint)
	if !ok {
		return t.Transport.Dial(endpoint, routingID)
	}
	if err := errors.Join(link.CheckRoutingID(routingID), ipc.Check(path)); err != nil {
		return nil, fmt.Errorf("dial %s: %w", endpoint, err)
	}
	d, err := t.dial(endpoint, path, routingID)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", endpoint, err)
	}
	return d, nil
}

// opened counts a link, as long as there may be one.
func (t *Transport) opened() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return link.ErrClosed
	}
	t.open++
	return nil
}

func (t *Transport) linkClosed() {
	t.mu.Lock()
	t.open--
	t.mu.Unlock()
}

// Close also closes the other transport. The links' owners close them first.
func (t *Transport) Close() error {
	t.mu.Lock()
	open := t.open
	t.closed = t.closed || open == 0
	t.mu.Unlock()
	if open > 0 {
		return fmt.Errorf("close ZMTP transport: %d links are still open", open)
	}
	return t.Transport.Close()
}

func newSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("new socket: %w", err)
	}
	return fd, nil
}

// newEpoll makes the descriptor that an owner waits for.
func newEpoll(linger time.Duration) (int, *bell.Owner, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return -1, nil, fmt.Errorf("epoll: %w", err)
	}
	if err := unix.SetNonblock(ep, true); err != nil { // os.File puts no other into Go's poller
		_ = unix.Close(ep)
		return -1, nil, err
	}
	owner := bell.NewOwner(linger)
	owner.WaitsFor(ep)
	return ep, owner, nil
}

func checkSize(opts Options, endpoint string, n int) error {
	if int64(n) > opts.MaxMsgBytes {
		return fmt.Errorf("send on %s: %d bytes are more than the %d of one message", endpoint, n, opts.MaxMsgBytes)
	}
	return nil
}
