package zmtp

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"brainer/internal/link"
)

const (
	placeMin  = 32 << 10 // what is still to come of a message that is worth a place of its own
	placeNext = 4 << 10  // read behind it: the next one's head, and little that has to be copied
)

// place is where a long message arrives, past its head, without a stop in the connection's buffer.
type place struct {
	headBytes int
	find      func(peer string, head []byte, n int) []byte // nil: nobody is asked

	head []byte
	into []byte // nil: the present message is not placed
	has  int    // bytes of it
	last []byte // of the message that was returned last
}

// maybePlace asks for a place for the message that has begun.
func (c *conn) maybePlace() {
	p := &c.place
	if p.find == nil || p.into != nil || c.phase != open || c.more {
		return
	}
	b := c.in[c.r:c.w]
	flags, n, head := parseHead(b)
	if head == 0 || flags&(flagMore|flagCommand) != 0 || n > uint64(c.bodyMax) || len(b)-head < p.headBytes || n < uint64(len(b)-head+placeMin) {
		return
	}
	b = b[head:]
	into := p.find(c.identity, b[:p.headBytes], int(n))
	if into == nil {
		return
	}
	p.head = append(p.head[:0], b[:p.headBytes]...)
	p.into, p.has = into, copy(into, b[p.headBytes:])
	c.r, c.w = 0, 0
}

// fillPlace is fill for a message that has a place.
func (c *conn) fillPlace() error {
	p := &c.place
	rest := p.into[p.has:]
	if len(rest) == 0 {
		return link.ErrAgain // it is to be taken first
	}
	n, err := readBoth(c.fd, rest, c.in[c.w:c.w+placeNext])
	switch {
	case err != nil:
		return err
	case n == 0:
		return io.EOF
	}
	here := min(n, len(rest))
	p.has += here
	c.w += n - here
	return nil
}

func readBoth(fd int, p, q []byte) (int, error) {
	for {
		n, err := unix.Readv(fd, [][]byte{p, q})
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, unix.EAGAIN):
			return 0, link.ErrAgain
		case !errors.Is(err, unix.EINTR):
			return 0, err
		}
	}
}
