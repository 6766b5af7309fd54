package broker

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"brainer/internal/link"
)

const (
	clientBytesMax = 8 << 20 // what a client may have sent and not had read; more is discarded
	clientOutMax   = 8 << 20 // what may wait for the socket; more blocks the writer
	clientFrameMax = 16 << 10
	clientLinger   = 15 * time.Second // a client that does not read may leave what it was sent before the end that long
	clientProbe    = 15 * time.Second // an idle client is probed: nobody else says that it has gone
	clientsMax     = 10000
)

var errClientTooFast = []byte("-ERR too many bytes in flight, the rest was discarded\r\n")

// clients are the peers that speak RESP. Each is a virtual connection, which the front end serves
// like any other. The owner goroutine moves the bytes. A client that does not read is as on TCP: its
// queue in the link fills up (which holds a bounded number of messages, none longer than clientFrameMax),
// then the writer blocks, and the front end gives up after its write timeout.
type clients struct {
	b        *Broker
	byPeer   map[string]*clientConn
	probedAt time.Time
	blocked  []*clientConn // their queues in the link are full
	triedAt  time.Time     // since when

	mu    sync.Mutex
	dirty []*clientConn // have bytes to send, or were closed
}

func newClients(b *Broker) *clients { return &clients{b: b, byPeer: map[string]*clientConn{}} }

// receive takes bytes of a peer.
func (cs *clients) receive(peer string, body []byte) {
	c := cs.byPeer[peer]
	if c == nil {
		serve := cs.b.serve.Load()
		if serve == nil || len(cs.byPeer) >= clientsMax {
			_ = cs.b.router.Send(peer, []byte("-ERR max number of clients reached\r\n"))
			return
		}
		c = newClientConn(cs, peer)
		cs.byPeer[peer] = c
		go (*serve)(c)
	}
	c.heard = time.Now()
	if !c.feed(body) {
		_ = cs.b.router.Send(peer, errClientTooFast)
	}
}

// waiting reports whether there is something to send.
func (cs *clients) waiting() bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return len(cs.dirty) > 0
}

// flush sends what the front end has written, and probes those that have been silent.
func (cs *clients) flush() bool {
	cs.mu.Lock()
	dirty := cs.dirty
	cs.dirty = nil
	cs.mu.Unlock()
	now := time.Now()
	if len(cs.blocked) > 0 && now.Sub(cs.triedAt) >= tick {
		cs.triedAt = now
		blocked := cs.blocked
		cs.blocked = nil
		for _, c := range blocked {
			c.blocked = false
			cs.send(c, now)
		}
	}
	for _, c := range dirty {
		if !c.blocked {
			cs.send(c, now)
		}
	}
	if len(cs.byPeer) > 0 && now.Sub(cs.probedAt) > clientProbe {
		cs.probe(now)
	}
	return len(dirty) > 0
}

// send moves what c has written into the link, as far as that takes it.
func (cs *clients) send(c *clientConn, now time.Time) {
	cs.b.sent = true
	over := false
	for !over {
		if len(c.rest) == 0 {
			if c.rest, over = c.takeOut(); len(c.rest) == 0 {
				break
			}
		}
		n := min(len(c.rest), clientFrameMax)
		err := cs.b.router.Send(c.peer, c.rest[:n])
		if errors.Is(err, link.ErrAgain) && !c.givenUp(now) {
			c.blocked = true
			cs.blocked = append(cs.blocked, c)
			return
		}
		if err != nil {
			over = true
			break
		}
		if c.rest = c.rest[n:]; len(c.rest) > 0 {
			over = false
		}
	}
	if over {
		c.rest = nil
		c.shut()
		if cs.byPeer[c.peer] == c { // it may be another's by now
			delete(cs.byPeer, c.peer)
		}
	}
}

func (cs *clients) probe(now time.Time) {
	cs.probedAt = now
	cs.b.sent = true
	for peer, c := range cs.byPeer {
		if now.Sub(c.heard) < clientProbe {
			continue
		}
		if err := cs.b.router.Send(peer, nil); err != nil && !errors.Is(err, link.ErrAgain) {
			c.shut()
			delete(cs.byPeer, peer)
		}
	}
}

func (cs *clients) closeAll() {
	for _, c := range cs.byPeer {
		c.shut()
	}
	clear(cs.byPeer)
}

func (cs *clients) markDirty(c *clientConn) {
	cs.mu.Lock()
	cs.dirty = append(cs.dirty, c)
	cs.mu.Unlock()
	cs.b.Kick()
}

// clientConn is a net.Conn whose bytes travel in ZeroMQ messages.
type clientConn struct {
	cs    *clients
	peer  string
	heard time.Time // owner only

	// The owner's: what was taken from out and is not sent yet, and whether that waits for room.
	rest     []byte
	blocked  bool
	closedAt time.Time // since when nothing else is to be sent

	mu           sync.Mutex
	cond         sync.Cond
	in, out      []byte
	closed, gone bool // closed by the front end; by the owner
	dirty        bool
	readBy       time.Time
	writeBy      time.Time
	timer        *time.Timer
}

func newClientConn(cs *clients, peer string) *clientConn {
	c := &clientConn{cs: cs, peer: peer}
	c.cond.L = &c.mu
	return c
}

func (c *clientConn) feed(b []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.in)+len(b) > clientBytesMax && len(c.in) > 0 {
		return false
	}
	c.in = append(c.in, b...)
	c.cond.Broadcast()
	return true
}

// givenUp says whether what a closed connection has left is not sent any more.
func (c *clientConn) givenUp(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.closed:
		return false
	case c.closedAt.IsZero():
		c.closedAt = now
	}
	return now.Sub(c.closedAt) > clientLinger
}

// takeOut returns what was written, and whether that was all for ever.
func (c *clientConn) takeOut() ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.out
	c.out, c.dirty = nil, false
	c.cond.Broadcast()
	return out, c.closed
}

// shut ends the connection from the owner's side.
func (c *clientConn) shut() {
	c.mu.Lock()
	c.gone = true
	c.cond.Broadcast()
	c.mu.Unlock()
}

func (c *clientConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.in) == 0 {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case c.gone:
			return 0, io.EOF
		case late(c.readBy):
			return 0, os.ErrDeadlineExceeded
		}
		c.cond.Wait()
	}
	n := copy(b, c.in)
	c.in = c.in[n:]
	if len(c.in) == 0 {
		c.in = nil
	}
	return n, nil
}

func (c *clientConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.out) > clientOutMax && !c.closed && !c.gone && !late(c.writeBy) {
		c.cond.Wait()
	}
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case c.gone:
		return 0, io.ErrClosedPipe
	case len(c.out) > clientOutMax:
		return 0, os.ErrDeadlineExceeded
	}
	c.out = append(c.out, b...)
	c.wakeOwner()
	return len(b), nil
}

func (c *clientConn) wakeOwner() {
	if !c.dirty {
		c.dirty = true
		c.cs.markDirty(c)
	}
}

func (c *clientConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		c.cond.Broadcast()
		c.wakeOwner()
	}
	return nil
}

func late(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

func (c *clientConn) SetDeadline(t time.Time) error {
	c.setDeadlines(func() { c.readBy, c.writeBy = t, t })
	return nil
}

func (c *clientConn) SetReadDeadline(t time.Time) error {
	c.setDeadlines(func() { c.readBy = t })
	return nil
}

func (c *clientConn) SetWriteDeadline(t time.Time) error {
	c.setDeadlines(func() { c.writeBy = t })
	return nil
}

func (c *clientConn) setDeadlines(set func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	set()
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	next := c.readBy
	if next.IsZero() || !c.writeBy.IsZero() && c.writeBy.Before(next) {
		next = c.writeBy
	}
	if !next.IsZero() {
		c.timer = time.AfterFunc(time.Until(next)+time.Millisecond, func() {
			c.mu.Lock()
			c.cond.Broadcast()
			c.mu.Unlock()
		})
	}
	c.cond.Broadcast()
}

func (c *clientConn) LocalAddr() net.Addr  { return zmqAddr(c.cs.b.cfg.Endpoint) }
func (c *clientConn) RemoteAddr() net.Addr { return zmqAddr("zmq:0") }

// zmqAddr is an address on a ZeroMQ endpoint.
type zmqAddr string

func (zmqAddr) Network() string  { return "zmq" }
func (a zmqAddr) String() string { return string(a) }
