package server

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"brainer/internal/rawio"
)

// sock is a TCP connection outside Go's poller. While it is looped its Read and Write do not wait, and
// the owner of the loop calls them; otherwise one goroutine uses it as any net.Conn, and the loop
// tells it what epoll says.
type sock struct {
	fd            int
	local, remote net.Addr
	looped        bool
	rest          []byte // looped: what could not be written yet

	readable, writable chan struct{}
	readBy, writeBy    deadline

	mu       sync.Mutex // of closing, which any goroutine may
	closed   bool
	released bool
	ended    chan struct{} // closed when closed
}

// errWouldBlock: a looped sock has nothing to read now.
var errWouldBlock = errors.New("server: nothing to read now")

// newSock takes conn's descriptor out of Go's poller, where each of its events would wake a thread
// beside the loop's.
func newSock(conn *net.TCPConn) (*sock, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &sock{local: conn.LocalAddr(), remote: conn.RemoteAddr(), readable: make(chan struct{}, 1),
		writable: make(chan struct{}, 1), ended: make(chan struct{})}
	var dupErr error
	err = raw.Control(func(fd uintptr) { s.fd, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, dupErr); err != nil {
		return nil, err
	}
	_ = conn.Close() // the other descriptor
	return s, nil
}

func (s *sock) Read(p []byte) (int, error) {
	for {
		if !s.looped && s.readBy.passed() {
			return 0, os.ErrDeadlineExceeded
		}
		n, errno := rawio.Read(s.fd, p)
		switch {
		case errno == 0 && n == 0 && len(p) > 0:
			return 0, io.EOF
		case errno == 0:
			return n, nil
		case errno != syscall.EAGAIN:
			return 0, s.opError("read", errno)
		case s.looped:
			return 0, errWouldBlock
		}
		if err := s.wait(s.readable, &s.readBy); err != nil {
			return 0, err
		}
	}
}

// Write of a looped sock keeps what does not fit; a goroutine writes it later.
func (s *sock) Write(p []byte) (int, error) {
	if s.looped && len(s.rest) > 0 {
		s.rest = append(s.rest, p...)
		return len(p), nil
	}
	for done := 0; ; {
		n, errno := rawio.Write(s.fd, p[done:])
		if errno == 0 {
			if done += n; done == len(p) {
				return done, nil
			}
			continue
		}
		if errno != syscall.EAGAIN {
			return done, s.opError("write", errno)
		}
		if s.looped {
			s.rest = append(s.rest, p[done:]...)
			return len(p), nil
		}
		if err := s.wait(s.writable, &s.writeBy); err != nil {
			return done, err
		}
	}
}

func (s *sock) opError(call string, errno syscall.Errno) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	return os.NewSyscallError(call, errno)
}

func (s *sock) wait(ready chan struct{}, by *deadline) error {
	select {
	case <-ready:
		return nil
	case <-by.expired():
		return os.ErrDeadlineExceeded
	case <-s.ended:
		return net.ErrClosed
	}
}

// tell wakes the goroutine that uses s; the owner of the loop calls it with what epoll said.
func (s *sock) tell(events uint32) {
	if events&^unix.EPOLLOUT != 0 {
		signal(s.readable)
	}
	if events&^unix.EPOLLIN != 0 {
		signal(s.writable)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Close ends the connection, and every wait in it; any goroutine may. The descriptor is given back by
// release, so that nobody uses another's.
func (s *sock) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	close(s.ended)
	_ = unix.Shutdown(s.fd, unix.SHUT_RDWR) // the other end may have been faster
	return nil
}

// release is the last call.
func (s *sock) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.released {
		s.released = true
		_ = unix.Close(s.fd)
		s.readBy.set(time.Time{})
		s.writeBy.set(time.Time{})
	}
}

func (s *sock) CloseWrite() error {
	return os.NewSyscallError("shutdown", unix.Shutdown(s.fd, unix.SHUT_WR))
}

func (s *sock) LocalAddr() net.Addr  { return s.local }
func (s *sock) RemoteAddr() net.Addr { return s.remote }

func (s *sock) SetDeadline(t time.Time) error {
	s.readBy.set(t)
	s.writeBy.set(t)
	return nil
}
func (s *sock) SetReadDeadline(t time.Time) error  { s.readBy.set(t); return nil }
func (s *sock) SetWriteDeadline(t time.Time) error { s.writeBy.set(t); return nil }

// SyscallConn lets its user look at the descriptor.
func (s *sock) SyscallConn() (syscall.RawConn, error) { return rawSock{s}, nil }

type rawSock struct{ s *sock }

func (r rawSock) Control(f func(fd uintptr)) error    { f(uintptr(r.s.fd)); return nil }
func (r rawSock) Read(f func(fd uintptr) bool) error  { f(uintptr(r.s.fd)); return nil }
func (r rawSock) Write(f func(fd uintptr) bool) error { f(uintptr(r.s.fd)); return nil }

// deadline is a point in time that a wait can be ended by, as in net.Pipe.
type deadline struct {
	mu    sync.Mutex
	at    time.Time
	timer *time.Timer
	gone  chan struct{} // closed when it has passed; nil: nobody has waited yet
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() && d.gone != nil {
		<-d.gone // its function runs, or has
	}
	d.timer, d.at = nil, t
	if d.gone == nil {
		return
	}
	select {
	case <-d.gone:
		d.gone = make(chan struct{})
	default:
	}
	d.start()
}

// start is called under mu, when gone is open.
func (d *deadline) start() {
	if d.at.IsZero() {
		return
	}
	left := time.Until(d.at)
	if left <= 0 {
		close(d.gone)
		return
	}
	gone := d.gone
	d.timer = time.AfterFunc(left, func() { close(gone) })
}

func (d *deadline) passed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.at.IsZero() && !time.Now().Before(d.at)
}

func (d *deadline) expired() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone == nil {
		d.gone = make(chan struct{})
		d.start()
	}
	return d.gone
}

// release gives conn's descriptor back when closing does not.
func release(conn net.Conn) {
	if s, ok := conn.(*sock); ok {
		s.release()
	}
}
