package zmtp

import (
	"errors"
	"io"
	"syscall"

	"golang.org/x/sys/unix"

	"brainer/internal/link"
	"brainer/internal/rawio"
)

const (
	inBytes        = 64 << 10
	inRoom         = 8 << 10 // less is not worth a read
	inKeptMax      = 2 << 20 // a larger buffer is let go when it is empty
	outChunk       = 64 << 10
	outMessagesMax = 4096     // of a ROUTER's peer that does not read; a DEALER's caller bounds what is under way
	outSoon        = 1 << 20  // so much that waits is worth another attempt before more is kept
	joinBytesMax   = 32 << 10 // more is written from where it stands
	keptAsIs       = 16 << 10 // more is not copied if it lasts
)

// phase is how far a connection has come.
type phase int

const (
	greets    phase = iota // the peer's greeting is awaited
	handshake              // its READY is
	open
	broken
)

// conn is one connection, without waiting.
type conn struct {
	ep, fd   int
	bodyMax  int64
	phase    phase
	identity string // the peer's
	router   bool   // which end this is
	own      string // a dealer's identity

	in   []byte // [read, written) is to be parsed
	r, w int
	more bool // frames that belong to a message whose first frame was delivered are dropped

	place place

	out      [][]byte // not written yet
	outBytes int
	outEnds  []int // where its messages end, counted in bytes that were ever kept
	kept     int   // so many were
	scratch  []byte
}

// newConn is a connection that ep is to watch.
func newConn(ep, fd int, opts Options) *conn {
	for _, o := range []int{unix.SO_SNDBUF, unix.SO_RCVBUF} {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, o, socketBytes) // what it may have is enough
	}
	return &conn{ep: ep, fd: fd, bodyMax: opts.MaxMsgBytes}
}

func (c *conn) watch(op int, events uint32) error {
	return unix.EpollCtl(c.ep, op, c.fd, &unix.EpollEvent{Events: events, Fd: int32(c.fd)})
}

// peek looks at what fill would do.
func (c *conn) peek() (readable, ended bool) {
	var b [1]byte
	n, _, err := unix.Recvfrom(c.fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	waits := errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR)
	return n > 0, err == nil && n == 0 || err != nil && !waits
}

func (c *conn) greet() error { return c.write(greeting(), nil, false) }

// next returns the next message's body, valid until the next fill, or link.ErrAgain when there is no whole one. The
// handshake is done.
func (c *conn) next() ([]byte, error) {
	if p := &c.place; p.into != nil {
		if p.has < len(p.into) {
			return nil, link.ErrAgain
		}
		p.last, p.into = p.into, nil
		return p.head, nil
	}
	c.place.last = nil
	for {
		flags, body, err := c.frame(uint64(c.bodyMax))
		if err != nil {
			return nil, err
		}
		if flags&flagCommand != 0 {
			if answer, ok := pong(body); ok && c.phase == open {
				if c.full() {
					return nil, errProtocol
				}
				if err := c.write(answer, nil, false); err != nil {
					return nil, err
				}
			}
			continue
		}
		first := !c.more
		c.more = flags&flagMore != 0
		if first {
			return body, nil
		}
	}
}

// frame takes the next frame.
func (c *conn) frame(bodyMax uint64) (flags byte, body []byte, err error) {
	b := c.in[c.r:c.w]
	flags, n, head := parseHead(b)
	switch {
	case head == 0:
		c.slim()
		return 0, nil, link.ErrAgain
	case n > bodyMax || flags&flagCommand != 0 && n > commandMax:
		return 0, nil, errProtocol
	case uint64(len(b)-head) < n:
		return 0, nil, link.ErrAgain
	}
	c.r += head + int(n)
	return flags, b[head : head+int(n)], nil
}

// slim lets a large buffer go that nothing is left in.
func (c *conn) slim() {
	if c.r == c.w && len(c.in) > inKeptMax {
		c.in, c.r, c.w = nil, 0, 0
	}
}

// whole reports whether next has something to take, or to refuse, without another fill.
func (c *conn) whole() bool {
	if p := &c.place; p.into != nil {
		return p.has == len(p.into)
	}
	b := c.in[c.r:c.w]
	_, n, head := parseHead(b)
	return head > 0 && (n > uint64(c.bodyMax) || uint64(len(b)-head) >= n)
}

// shake takes the next step of the handshake: the peer's greeting, then its READY.
func (c *conn) shake() error {
	if c.phase == greets {
		b := c.in[c.r:c.w]
		if len(b) > 0 && b[0] != 0xff {
			return errProtocol
		}
		if len(b) < greetingBytes {
			return link.ErrAgain
		}
		c.r += greetingBytes
		return c.greeted(b[:greetingBytes])
	}
	flags, body, err := c.frame(commandMax)
	if err != nil {
		return err
	}
	if flags&flagCommand == 0 {
		return errProtocol
	}
	return c.introduced(body)
}

func (c *conn) greeted(g []byte) error {
	if err := checkGreeting(g); err != nil {
		return err
	}
	c.phase = handshake
	if c.router {
		return c.write(appendReady(nil, "ROUTER", ""), nil, false)
	}
	return c.write(appendReady(nil, "DEALER", c.own), nil, false)
}

func (c *conn) introduced(body []byte) error {
	socketType, identity, err := parseReady(body)
	if err != nil {
		return err
	}
	switch socketType {
	case "ROUTER":
	case "DEALER", "REQ":
		if !c.router {
			return errProtocol
		}
	default:
		return errProtocol
	}
	c.identity, c.phase = identity, open
	return nil
}

// fill reads once. It returns link.ErrAgain when there is nothing, io.EOF at the end.
func (c *conn) fill() error {
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	c.maybePlace()
	c.makeRoom()
	if p := &c.place; p.into != nil {
		return c.fillPlace()
	}
	n, errno := rawio.Read(c.fd, c.in[c.w:])
	switch {
	case errno == unix.EAGAIN:
		return link.ErrAgain
	case errno != 0:
		return errno
	case n == 0:
		return io.EOF
	}
	c.w += n
	return nil
}

// makeRoom has room behind what is written. The buffer grows with what has arrived, not with what was announced.
func (c *conn) makeRoom() {
	if len(c.in)-c.w >= inRoom {
		return
	}
	unread := c.in[c.r:c.w]
	size := max(len(c.in), inBytes)
	if len(unread) > size/2 {
		size *= 2
		if _, n, head := parseHead(unread); head > 0 && c.phase == open { // next has checked n
			size = max(min(size, head+int(n)+inBytes), len(unread)+inRoom)
		}
	}
	to := c.in
	if size > len(c.in) {
		to = make([]byte, size)
	}
	c.r, c.w = 0, copy(to, unread)
	c.in = to
}

// send writes a message, or keeps of it what the peer has no room for; lasts says that the body stays as it is.
func (c *conn) send(head, body []byte, lasts bool) error {
	n := len(head) + len(body)
	c.scratch = appendHead(c.scratch[:0], 0, n)
	if n <= joinBytesMax {
		c.scratch = append(append(c.scratch, head...), body...)
		return c.write(c.scratch, nil, false)
	}
	c.scratch = append(c.scratch, head...)
	return c.write(c.scratch, body, lasts)
}

// full reports whether so much waits to be written that no more is taken.
func (c *conn) full() bool { return len(c.outEnds) >= outMessagesMax }

func (c *conn) write(head, body []byte, lasts bool) error {
	if c.outBytes > outSoon {
		if err := c.flush(); err != nil {
			return err
		}
	}
	if len(c.out) > 0 {
		c.keep(head)
		c.keepBody(body, lasts)
		c.outEnds = append(c.outEnds, c.kept)
		return nil
	}
	done, err := writeBoth(c.fd, head, body)
	if err != nil {
		return err
	}
	if done < len(head) {
		c.keep(head[done:])
		done = len(head)
	}
	c.keepBody(body[done-len(head):], lasts)
	if len(c.out) > 0 {
		c.outEnds = append(c.outEnds, c.kept)
		return c.watch(unix.EPOLL_CTL_MOD, unix.EPOLLIN|unix.EPOLLOUT)
	}
	return nil
}

func writeBoth(fd int, head, body []byte) (done int, err error) {
	if len(body) == 0 {
		return writeSome(fd, head)
	}
	for {
		done, err = unix.Writev(fd, [][]byte{head, body})
		switch {
		case err == nil:
			return done, nil
		case errors.Is(err, unix.EAGAIN):
			return 0, nil
		case !errors.Is(err, unix.EINTR):
			return 0, err
		}
	}
}

func writeSome(fd int, p []byte) (int, error) {
	n, errno := rawio.Write(fd, p)
	switch errno {
	case 0:
		return n, nil
	case syscall.EAGAIN:
		return 0, nil
	}
	return 0, errno
}

// keepBody keeps b for later, as it is when it lasts.
func (c *conn) keepBody(b []byte, lasts bool) {
	if !lasts || len(b) < keptAsIs {
		c.keep(b)
		return
	}
	c.outBytes += len(b)
	c.kept += len(b)
	c.out = append(c.out, b[:len(b):len(b)])
}

// keep copies to what is written later.
func (c *conn) keep(b []byte) {
	c.outBytes += len(b)
	c.kept += len(b)
	for len(b) > 0 {
		if n := len(c.out); n == 0 || len(c.out[n-1]) == cap(c.out[n-1]) {
			c.out = append(c.out, make([]byte, 0, max(outChunk, len(b))))
		}
		last := &c.out[len(c.out)-1]
		n := min(len(b), cap(*last)-len(*last))
		*last = append(*last, b[:n]...)
		b = b[n:]
	}
}

// flush writes what was kept, as far as there is room.
func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	for len(c.out) > 0 {
		n, err := writeSome(c.fd, c.out[0])
		if err != nil {
			return err
		}
		c.outBytes -= n
		for len(c.outEnds) > 0 && c.outEnds[0] <= c.kept-c.outBytes {
			c.outEnds = c.outEnds[1:]
		}
		if c.out[0] = c.out[0][n:]; len(c.out[0]) > 0 {
			return nil
		}
		c.out[0] = nil
		c.out = c.out[1:]
	}
	c.out, c.outEnds = nil, nil
	return c.watch(unix.EPOLL_CTL_MOD, unix.EPOLLIN)
}
