//go:build linux

package load

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// conn is one connection. Its thread alone uses it.
type conn struct {
	fd      int
	out     []byte
	sent    int // of out
	pending int // replies of the pipeline that have not arrived
	asked   int // commands of the pipeline, without the barrier
	since   time.Time
	waiting bool // for room to write

	in    []byte
	inEnd int
	skip  int // bytes of a bulk reply that have not arrived
	draw  int
	reads int // what is due to reads, in hundredths of a command
}

// write sends what is left of the pipeline. It says whether more room is needed.
func (c *conn) write() (full bool, err error) {
	for c.sent < len(c.out) {
		n, err := rawWrite(c.fd, c.out[c.sent:])
		if err == syscall.EAGAIN {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("write: %w", err)
		}
		c.sent += n
	}
	return false, nil
}

// read takes what has arrived, once; more is announced by epoll again.
func (c *conn) read() error {
	n, err := rawRead(c.fd, c.in[c.inEnd:])
	switch {
	case err == syscall.EAGAIN:
		return nil
	case err != nil:
		return fmt.Errorf("read: %w", err)
	case n == 0:
		return errors.New("the server closed a connection")
	}
	c.inEnd += n
	return nil
}

// counts is what replies were.
type counts struct {
	replies, errors, misses int
	firstError              string
}

// scan counts the complete replies in what was read and keeps the rest. Only a bulk string has a
// body here. barrierReply, unless empty, is what the last reply of a pipeline must be.
func (c *conn) scan(k *counts, barrierReply string) error {
	b := c.in[:c.inEnd]
	for len(b) > 0 {
		if c.skip > 0 {
			n := min(c.skip, len(b))
			c.skip -= n
			b = b[n:]
			if c.skip == 0 {
				c.replied(k)
			}
			continue
		}
		nl := bytes.IndexByte(b, '\n')
		if nl < 0 {
			break
		}
		line := b[:nl+1]
		b = b[nl+1:]
		switch line[0] {
		case '$':
			n, ok := length(line)
			if !ok {
				return fmt.Errorf("unexpected reply %q", line)
			}
			if n >= 0 {
				c.skip = n + 2
				continue
			}
			k.misses++
		case '-':
			k.fail(line)
		case '+', ':':
			if c.pending == 1 && barrierReply != "" && string(line) != barrierReply {
				k.fail(line)
			}
		default:
			return fmt.Errorf("unexpected reply %q", line)
		}
		c.replied(k)
	}
	if c.pending < 0 {
		return errors.New("more replies than commands")
	}
	c.inEnd = copy(c.in, b)
	if c.inEnd == len(c.in) {
		return errors.New("a reply's line does not end")
	}
	return nil
}

func (c *conn) replied(k *counts) {
	c.pending--
	k.replies++
}

func (k *counts) fail(line []byte) {
	k.errors++
	if k.firstError == "" {
		k.firstError = string(bytes.TrimSpace(line))
	}
}

// length reads the number of a line like "$64\r\n".
func length(line []byte) (n int, ok bool) {
	if len(line) < 4 || line[len(line)-2] != '\r' {
		return 0, false
	}
	digits := line[1 : len(line)-2]
	if string(digits) == "-1" {
		return -1, true
	}
	for _, d := range digits {
		if d < '0' || d > '9' || n > 1<<40 {
			return 0, false
		}
		n = n*10 + int(d-'0')
	}
	return n, true
}
