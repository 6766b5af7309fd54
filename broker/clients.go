package broker

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	clientBytesMax = 8 << 20 // what a client may have sent and not had read; more is discarded
	clientOutMax   = 8 << 20 // what may wait for the socket; more blocks the writer
	clientFrameMax = 256 << 10
	clientProbe    = 15 * time.Second // an idle client is probed: nobody else says that it has gone
	clientsMax     = 10000
)

var errClientTooFast = []byte("-ERR too many bytes in flight, the rest was discarded\r\n")

// clients are the peers that speak RESP. Each is a virtual connection, which the front end serves
// like any other. The owner goroutine moves the bytes.
type clients struct {
	b        *Broker
	byPeer   map[string]*clientConn
	probedAt time.Time

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
	for _, c := range dirty {
		cs.b.sent = true
		out, closed := c.takeOut()
		for len(out) > 0 {
			n := min(len(out), clientFrameMax)
			if err := cs.b.router.Send(c.peer, out[:n]); err != nil {
				closed = true
				break
			}
			out = out[n:]
		}
		if closed {
			c.shut()
			if cs.byPeer[c.peer] == c { // it may be another's by now
				delete(cs.byPeer, c.peer)
			}
		}
	}
	if now := time.Now(); len(cs.byPeer) > 0 && now.Sub(cs.probedAt) > clientProbe {
		cs.probe(now)
	}
	return len(dirty) > 0
}

func (cs *clients) probe(now time.Time) {
	cs.probedAt = now
	cs.b.sent = true
	for peer, c := range cs.byPeer {
		if now.Sub(c.heard) < clientProbe {
			continue
		}
		if err := cs.b.router.Send(peer, nil); err != nil {
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
	cs.b.kick()
}

// clientConn is a net.Conn whose bytes travel in ZeroMQ messages.
type clientConn struct {
	cs    *clients
	peer  string
	heard time.Time // owner only

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
