package sim

import (
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"brainer/internal/wire"
)

var errGone = errors.New("sim: nobody is connected there")

// network carries frames between the nodes' sockets and the broker's one. Within a connection and
// direction it keeps the order; what is in flight when a connection breaks is lost from some point
// on, in each direction for itself.
type network struct {
	w     *world
	conns map[string]*conn // those that the broker can send to
	all   []*conn          // those that are not over
	old   []staleFrame     // frames of sessions, for late repetitions
}

// conn is one socket of a node, connected to the broker.
type conn struct {
	net         *network
	id          string
	node        *nodeHost
	beat        bool
	session     uint64
	established bool
	broken      bool // nothing can be sent any more
	brokerGone  bool // the broker has seen the end
	nodeGone    bool // the node has closed it, or died
	lateUs      int64
	up, down    pipe
}

// pipe is one direction. Its events are interchangeable: each lets the next message through.
type pipe struct {
	queue    []message
	sent     uint64
	got      uint64
	cut      uint64 // what was sent after it is lost; 0: nothing
	lastUs   int64
	stuck    int // events that wait for a partition to end
	deliver  func([]byte)
	blocked  func() bool
	finished func()
}

type message struct {
	frame []byte
	lost  bool
	fin   bool
}

type staleFrame struct {
	conn  *conn
	up    bool
	frame []byte
}

// dial begins a connection; ready is called when it stands. It is tried until it is closed.
func (net *network) dial(n *nodeHost, beat bool, session uint64, ready func()) *conn {
	kind := "d"
	if beat {
		kind = "h"
	}
	c := &conn{net: net, node: n, beat: beat, session: session, id: fmt.Sprintf("n-%s-%s%x", n.id, kind, session)}
	c.up.deliver = func(b []byte) { net.w.broker.arrive(c, b) }
	c.up.blocked = func() bool { return n.cut(c.beat, true) }
	c.up.finished = func() { c.over() }
	c.down.deliver = func(b []byte) { n.arrive(c, b) }
	c.down.blocked = func() bool { return n.cut(c.beat, false) }
	var try func()
	try = func() {
		b := net.w.broker
		switch {
		case c.nodeGone:
			return
		case !b.alive || b.paused || n.cut(beat, true) || n.cut(beat, false):
			net.w.after(20_000, try)
			return
		}
		c.established = true
		if net.conns == nil {
			net.conns = map[string]*conn{}
		}
		net.conns[c.id] = c
		net.all = append(net.all, c)
		ready()
	}
	net.w.after(net.latency(c)+net.latency(c), try)
	return c
}

func (net *network) latency(c *conn) int64 {
	if c.node.embedded {
		return net.w.between(1, 20)
	}
	p := &net.w.plan
	us := p.LatencyUs + net.w.between(0, p.JitterUs)
	if net.w.chance(0.002) {
		us += net.w.between(5_000, 40_000)
	}
	return us
}

// toBroker sends from the node's end.
func (c *conn) toBroker(frame []byte) error {
	if !c.established || c.broken || c.nodeGone {
		return errGone
	}
	c.send(&c.up, frame)
	return nil
}

// toNode sends from the broker's end.
func (net *network) toNode(peer string, frame []byte) error {
	c := net.conns[peer]
	if c == nil || c.broken {
		return errGone
	}
	c.send(&c.down, frame)
	return nil
}

func (c *conn) send(p *pipe, frame []byte) {
	w := c.net.w
	b := append(make([]byte, 0, len(frame)), frame...)
	m := message{frame: b}
	if w.plan.Loss > 0 && !c.node.embedded && w.chance(w.plan.Loss) && !w.faults.healed {
		m.lost = true
	}
	if !c.beat && (w.chance(0.05) || frameType(b) == wire.TPosition) {
		c.net.old = append(c.net.old, staleFrame{c, p == &c.up, b})
		if len(c.net.old) > 100 {
			c.net.old = c.net.old[50:]
		}
	}
	w.stats.Frames++
	c.push(p, m)
}

func (c *conn) push(p *pipe, m message) {
	p.queue = append(p.queue, m)
	p.sent++
	w := c.net.w
	at := max(p.lastUs+1, w.nowUs+c.net.latency(c))
	p.lastUs = at
	w.at(at, func() { c.next(p) })
}

// next lets the next message of a direction through.
func (c *conn) next(p *pipe) {
	w := c.net.w
	if p.blocked() {
		p.stuck++
		return
	}
	if c.lateUs > w.nowUs {
		w.at(c.lateUs, func() { c.next(p) })
		return
	}
	m := p.queue[0]
	p.queue[0] = message{}
	p.queue = p.queue[1:]
	p.got++
	switch {
	case m.fin:
		p.finished()
	case m.lost || p.cut > 0 && p.got > p.cut:
	default:
		var crc uint64
		if len(m.frame) >= wire.HeaderBytes {
			crc = xxhash.Sum64(m.frame[:wire.HeaderBytes])
		}
		w.mark('m', xxhash.Sum64String(c.id), uint64(len(m.frame)), crc)
		p.deliver(m.frame)
	}
}

// unblock lets go what a partition has held back.
func (c *conn) unblock() {
	for _, p := range [2]*pipe{&c.up, &c.down} {
		if p.blocked() {
			continue
		}
		for ; p.stuck > 0; p.stuck-- {
			at := max(p.lastUs+1, c.net.w.nowUs+c.net.latency(c))
			p.lastUs = at
			c.net.w.at(at, func() { c.next(p) })
		}
	}
}

// breakOff ends a connection for both ends; what is on its way is lost from some point on.
func (c *conn) breakOff() {
	if c.broken || !c.established {
		return
	}
	w := c.net.w
	c.broken = true
	c.loseSuffix()
	if w.chance(0.3) {
		c.lateUs = w.nowUs + w.between(0, 2_000_000)
	}
	w.tracef("break %s", c.id)
	c.over()
}

func (c *conn) loseSuffix() {
	for _, p := range [2]*pipe{&c.up, &c.down} {
		if n := len(p.queue); n > 0 {
			p.cut = p.got + uint64(c.net.w.rng.IntN(n+1))
			if p.cut == 0 {
				for i := range p.queue {
					p.queue[i].lost = p.queue[i].lost || !p.queue[i].fin
				}
			}
		}
	}
}

// close is the node's: it closes the socket, and the broker learns of it behind what was sent.
func (c *conn) close() {
	if c.nodeGone {
		return
	}
	c.nodeGone = true
	if c.established && !c.broken {
		if c.net.w.chance(0.5) {
			c.loseSuffix()
		}
		c.push(&c.up, message{fin: true})
	}
}

// over: the broker cannot reach it any more.
func (c *conn) over() {
	if c.brokerGone {
		return
	}
	c.brokerGone = true
	if c.net.conns[c.id] == c {
		delete(c.net.conns, c.id)
	}
	for i, x := range c.net.all {
		if x == c {
			c.net.all = append(c.net.all[:i], c.net.all[i+1:]...)
			break
		}
	}
}

// brokerDied breaks every connection.
func (net *network) brokerDied() {
	for len(net.all) > 0 {
		c := net.all[0]
		c.broken = true
		c.loseSuffix()
		c.over()
	}
}

// repeatStale delivers a frame of an earlier time once more: of a dead session on its own, dead
// connection, or on a living one of that node.
func (net *network) repeatStale() {
	if len(net.old) == 0 {
		return
	}
	s := net.old[net.w.rng.IntN(len(net.old))]
	n := s.conn.node
	if n.data == nil || s.conn.session == n.session || s.conn.beat {
		return
	}
	to := s.conn
	if net.w.chance(0.5) && frameType(s.frame) != typeHello {
		to = n.data
	}
	net.w.tracef("repeat %s of session %x to %s", frameType(s.frame), s.conn.session, to.id)
	if s.up {
		net.w.broker.arrive(to, s.frame)
	} else if n.alive {
		n.arrive(n.data, s.frame)
	}
}
