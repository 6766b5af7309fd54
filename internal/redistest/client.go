package redistest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"brainer/resp"
)

// replyTimeout bounds every exchange, so that a server that hangs fails the test.
const replyTimeout = 20 * time.Second

// Client is one connection to any RESP server, that returns replies as the bytes they are.
type Client struct {
	conn   net.Conn
	reader *bufio.Reader
	t      testing.TB
}

// Dial connects to addr; the connection is closed when the test ends.
func Dial(t testing.TB, addr string) *Client {
	t.Helper()
	c, err := dial(addr)
	if err != nil {
		t.Fatalf("dial %s: %v", addr, err)
	}
	c.t = t
	t.Cleanup(c.Close)
	return c
}

func dial(addr string) (*Client, error) {
	conn, err := net.DialTimeout("tcp", addr, replyTimeout)
	if err != nil {
		return nil, err
	}
	return &Client{conn: conn, reader: bufio.NewReaderSize(conn, 1<<16)}, nil
}

// Close ends the connection.
func (c *Client) Close() { _ = c.conn.Close() }

// Do sends one command and returns its whole reply, undecoded.
func (c *Client) Do(args ...string) []byte {
	c.t.Helper()
	reply, err := c.do(args...)
	if err != nil {
		c.t.Fatalf("%q: %v", args, err)
	}
	return reply
}

// Send writes raw bytes as they are, and returns the bytes of so many replies.
func (c *Client) Send(raw []byte, replies int) ([]byte, error) { return c.exchange(raw, replies) }

func (c *Client) do(args ...string) ([]byte, error) {
	raw := make([][]byte, len(args))
	for i, arg := range args {
		raw[i] = []byte(arg)
	}
	return c.exchange(resp.AppendCommand(nil, raw...), 1)
}

func (c *Client) exchange(request []byte, replies int) ([]byte, error) {
	if err := c.conn.SetDeadline(time.Now().Add(replyTimeout)); err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return nil, err
	}
	var reply []byte
	for range replies {
		var err error
		if reply, err = readReply(c.reader, reply); err != nil {
			return reply, err
		}
	}
	return reply, nil
}

// readReply appends one reply, with all that is nested in it.
func readReply(r *bufio.Reader, to []byte) ([]byte, error) {
	line, err := r.ReadBytes('\n')
	to = append(to, line...)
	if err != nil {
		return to, err
	}
	if len(line) < 3 {
		return to, fmt.Errorf("a reply begins with %q", line)
	}
	elements := 0
	switch line[0] {
	case '+', '-', ':', ',', '#', '_', '(':
		return to, nil
	case '$', '=', '!':
		n, err := strconv.Atoi(string(line[1 : len(line)-2]))
		if err != nil || n < 0 {
			return to, err
		}
		bulk := make([]byte, n+2)
		_, err = io.ReadFull(r, bulk)
		return append(to, bulk...), err
	case '*', '~', '>':
		elements = 1
	case '%', '|':
		elements = 2
	default:
		return to, fmt.Errorf("a reply begins with %q", line)
	}
	n, err := strconv.Atoi(string(line[1 : len(line)-2]))
	if err != nil {
		return to, err
	}
	elements *= max(n, 0)
	if line[0] == '|' { // an attribute stands before its reply
		elements++
	}
	for range elements {
		if to, err = readReply(r, to); err != nil {
			return to, err
		}
	}
	return to, nil
}
