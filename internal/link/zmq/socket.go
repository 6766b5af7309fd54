package zmq

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"

	"brainer/internal/bell"
	"brainer/internal/link"

	zmq4 "github.com/pebbe/zmq4"
)

const (
	errnoAgain    = zmq4.Errno(syscall.EAGAIN)
	errnoInvalid  = zmq4.Errno(syscall.EINVAL)
	errnoNoDevice = zmq4.Errno(syscall.ENODEV)
	errnoAccess   = zmq4.Errno(syscall.EACCES)
)

// socket is what dealer and router share. ZMQ_FD is edge triggered: it is signalled for an event
// only after the socket had been found empty, and a Send may take that event off it. So a wake-up
// is certain only between a Recv that said ErrAgain and the next call; Ready restores that state.
type socket struct {
	tr       *Transport
	soc      *zmq4.Socket
	endpoint string
	*bell.Owner

	quiet    bool // nothing to receive, and ZMQ_FD will tell when there is
	writable bool // what the owner knows of POLLOUT; on a dealer: whether the connection stands
	closed   bool
	inUse    atomic.Bool
	joined   []byte // reused by join
	receiver receiver
}

// enter catches two goroutines in one socket here, where it is a message and not broken memory in C.
func (s *socket) enter() {
	if s.inUse.Swap(true) {
		panic("link/zmq: two goroutines use one socket at once; its owner makes all calls")
	}
}

func (s *socket) leave() { s.inUse.Store(false) }

// findFD asks libzmq for the descriptor that says when there is something to do.
func (s *socket) findFD() error {
	keepMemory() // each time is as good as once
	fd, err := s.soc.GetFd()
	if err != nil {
		return fmt.Errorf("get ZMQ_FD: %w", err)
	}
	s.WaitsFor(fd)
	return nil
}

// Ready is asked for anew before each wait: it looks once when the last call was not a Recv that
// said ErrAgain, so that no wake-up is lost to a Send in between. It is signalled also when a
// dealer's connection comes or goes.
func (s *socket) Ready() <-chan struct{} {
	s.enter()
	defer s.leave()
	if s.closed {
		return s.Signals()
	}
	s.Watch()
	if !s.quiet {
		s.look()
	}
	return s.Signals()
}

// look brings quiet and writable up to date, and signals what the owner does not know.
func (s *socket) look() {
	events, err := s.soc.GetEvents()
	writable := events&zmq4.POLLOUT != 0
	s.quiet = err == nil && events&zmq4.POLLIN == 0
	if !s.quiet || writable != s.writable {
		s.Signal()
	}
	s.writable = writable
}

// recvFrame returns link.ErrAgain when no message has begun.
func (s *socket) recvFrame() ([]byte, error) {
	b, err := s.soc.RecvBytes(zmq4.DONTWAIT)
	switch {
	case err == nil:
		s.quiet = false
		return b, nil
	case err == errnoAgain:
		s.quiet = true
		return nil, link.ErrAgain
	}
	return nil, fmt.Errorf("receive on %s: %w", s.endpoint, err)
}

// recvBody returns the first frame of what is left of a message. Our peers send no other; what a
// stranger's message has more is read and dropped.
func (s *socket) recvBody() ([]byte, error) {
	body, err := s.recvFrame()
	if err != nil {
		return nil, err
	}
	for {
		more, err := s.soc.GetRcvmore()
		if err != nil {
			return nil, fmt.Errorf("receive on %s: %w", s.endpoint, err)
		}
		if !more {
			return body, nil
		}
		if _, err := s.recvFrame(); err != nil {
			return nil, err
		}
	}
}

func (s *socket) sendFrame(b []byte, flags zmq4.Flag) error {
	s.quiet = false
	_, err := s.soc.SendBytes(b, flags|zmq4.DONTWAIT)
	s.writable = err == nil
	switch {
	case err == nil:
		return nil
	case err == errnoAgain:
		return link.ErrAgain
	case err == zmq4.EHOSTUNREACH:
		return link.ErrUnreachable
	}
	return fmt.Errorf("send on %s: %w", s.endpoint, err)
}

// join puts a message together; libzmq copies it.
func (s *socket) join(head, body []byte) []byte {
	if len(body) == 0 {
		return head
	}
	s.joined = append(append(s.joined[:0], head...), body...)
	return s.joined
}

// checkSize refuses what the receiver would answer by breaking the connection, neighbours lost.
func (s *socket) checkSize(body []byte) error {
	if int64(len(body)) > s.tr.opts.MaxMsgBytes {
		return fmt.Errorf("send on %s: %d bytes are more than the %d of one message", s.endpoint, len(body), s.tr.opts.MaxMsgBytes)
	}
	return nil
}

// close ends the watcher, then the socket.
func (s *socket) close() error {
	s.closed = true
	var errs []error
	errs = append(errs, s.Owner.Close())
	s.receiver.close()
	errs = append(errs, s.soc.Close())
	s.tr.linkClosed()
	return errors.Join(errs...)
}
