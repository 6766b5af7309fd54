package replication

import (
	"slices"

	"brainer/internal/op"
	"brainer/internal/wire"
)

// What is ordered behind a large value waits until that has reached every node. So a large write that nothing of its own
// pipeline follows (op.Op.Ahead) goes to the nodes before it is ordered, a few fragments at a time, which turns pass. It is
// ordered when the nodes that are required hold it, whatever its own rule waits for; their turns then name it, with its head.
// Nothing is promised by that: until it is ordered it can be refused, a node that lacks it is sent all of it in the turn, and
// one that keeps the others waiting for too long is not waited for.
const (
	aheadFragmentsMax = 2         // of one node, on their way; over a long link one more for each 2 ms
	aheadBytesMax     = 64 << 20  // that a node holds of what is not applied yet, unless one entry is larger
	aheadWaitUs       = 300_000   // without any node having taken in more: it is ordered all the same
	aheadEndsUs       = 4_000_000 // so is one that has been first for so long, and its length at bytesPerUs
)

// ahead is the writes that are on their way before they are ordered, oldest first. They are ordered one after the other.
type ahead struct {
	ops     []*aheadOp
	last    uint64 // number
	movedUs int64  // when a node has taken in more, or the first became first
	total   uint64 // since the start
}

type aheadOp struct {
	op      *op.Op
	number  uint64
	room    []byte // as long as its entry's head will be
	body    wire.Piece
	firstUs int64 // since when it is the first
}

func (a *aheadOp) bytes() int64 { return int64(len(a.room) + len(a.body.Bytes)) }

// nodeAhead is what was sent ahead to one node in its session.
type nodeAhead struct {
	begun    uint64 // the last number of which it was sent something
	missed   uint64 // up to that number it holds only what is in holds
	cut      wire.Cutter
	cutting  int64       // bytes of what is being cut
	received int         // fragments of it
	bytes    int64       // of it and of holds
	holds    []aheadHeld // what it has and has not applied, as far as is known
}

type aheadHeld struct {
	number uint64
	index  uint64 // 0: not ordered
	bytes  int64
}

// sendAhead takes a write that is worth it, and says whether it did.
func (c *Core) sendAhead(o *op.Op) bool {
	if !o.Ahead || !o.Lasting || c.cfg.AheadBytes == 0 || len(o.Body) < c.cfg.AheadBytes || o.Hold.Ahead > 0 {
		return false
	}
	if !slices.ContainsFunc(c.nodes, func(n *node) bool { return n.takesAhead() && !n.embedded }) {
		return false
	}
	h := &c.ahead
	h.last++
	o.Hold.Ahead = h.last
	id := wire.RequestID{Client: o.Client}
	if len(h.ops) == 0 {
		h.movedUs = c.nowUs
	}
	h.ops = append(h.ops, &aheadOp{op: o, number: h.last, room: make([]byte, wire.EntryHeadSize(&id)),
		body: wire.Piece{Bytes: o.Body, Sums: new(wire.Sums)}, firstUs: c.nowUs})
	for _, n := range c.nodes {
		c.goOnSendingAhead(n)
	}
	return true
}

// takesAhead: n is sent what is not ordered yet, and waited for.
func (n *node) takesAhead() bool {
	return n.required() && n.streaming() && !n.suspect && n.version != wire.VersionBefore
}

// goOnSendingAhead sends n as much as it may be sent now.
func (c *Core) goOnSendingAhead(n *node) {
	a := &n.ahead
	for n.takesAhead() {
		if a.cut.Part() == 0 {
			i := slices.IndexFunc(c.ahead.ops, func(o *aheadOp) bool { return o.number > a.begun })
			if i < 0 {
				return
			}
			o := c.ahead.ops[i]
			if a.bytes > 0 && a.bytes+o.bytes() > aheadBytesMax {
				return
			}
			h := c.header(n)
			h.Type, h.Seq = wire.TAhead, o.number
			a.begun, a.received, a.cutting = o.number, 0, o.bytes()
			a.bytes += a.cutting
			a.cut = wire.Cut(h, c.cfg.FragmentBytes, wire.Piece{Bytes: o.room}, o.body)
		}
		if !a.cut.More() || a.cut.Part()-a.received >= min(aheadFragmentsMax+int(n.rttUs/2000), fragmentsMax) {
			return
		}
		head, body := a.cut.Next(nil)
		c.Out.Frames = append(c.Out.Frames, Frame{Peer: n.peer, Bytes: head, Body: body})
	}
}

// aheadGot is told how much n has of what is sent ahead.
func (c *Core) aheadGot(n *node, number uint64, m wire.AheadGot) {
	a := &n.ahead
	if !n.streaming() || number != a.begun || int(m.Fragments) <= a.received || int(m.Fragments) > a.cut.Part() {
		return
	}
	n.progressUs, c.ahead.movedUs = c.nowUs, c.nowUs
	a.received = int(m.Fragments)
	if !a.cut.More() && a.received == a.cut.Part() {
		if m.Whole {
			a.holds = append(a.holds, aheadHeld{number: number, bytes: a.cutting})
		} else {
			a.missed = number // a part was lost
			a.bytes -= a.cutting
		}
		a.cut = wire.Cutter{}
	}
	c.goOnSendingAhead(n)
	c.orderAhead()
}

// tickAhead: a node that answers again, or has entered the set, is sent what is on its way to the others.
func (c *Core) tickAhead() {
	if len(c.ahead.ops) == 0 {
		return
	}
	for _, n := range c.nodes {
		c.goOnSendingAhead(n)
	}
	c.orderAhead()
}

// orderAhead orders what has arrived, or need not be waited for any more.
func (c *Core) orderAhead() {
	h := &c.ahead
	for len(h.ops) > 0 && c.state == active {
		a := h.ops[0]
		late := c.nowUs-h.movedUs >= aheadWaitUs || c.nowUs-a.firstUs >= aheadEndsUs+a.bytes()/bytesPerUs
		if !late && !c.cfg.Fault.AheadEarly && slices.ContainsFunc(c.nodes, func(n *node) bool { return n.takesAhead() && !n.hasAhead(a.number) }) {
			return
		}
		h.ops[0] = nil
		if h.ops = h.ops[1:]; len(h.ops) == 0 {
			h.ops = nil
		} else {
			h.ops[0].firstUs = c.nowUs
		}
		h.movedUs = c.nowUs
		if !late {
			h.total++
		}
		for _, n := range c.nodes {
			c.stopSendingAhead(n, a.number)
		}
		a.op.Hold.OrderedUs = c.nowUs // it has not waited for memory yet
		if !c.holdForMemory(a.op) {
			c.take(a.op)
		}
	}
}

// hasAhead: n has it, or will not have it: it is not waited for.
func (n *node) hasAhead(number uint64) bool {
	return number <= n.ahead.missed || n.holdsAhead(number) != nil
}

func (n *node) holdsAhead(number uint64) *aheadHeld {
	for i := range n.ahead.holds {
		if h := &n.ahead.holds[i]; h.number == number {
			return h
		}
	}
	return nil
}

// stopSendingAhead: the rest of it is not needed any more.
func (c *Core) stopSendingAhead(n *node, number uint64) {
	if a := &n.ahead; n.streaming() && a.begun == number && a.cut.Part() > 0 {
		a.missed, a.cut = number, wire.Cutter{}
		a.bytes -= a.cutting
		c.sayForgetAhead(n, number)
	}
}

// sayForgetAhead has n forget what it was sent ahead under a number, if it has it.
func (c *Core) sayForgetAhead(n *node, number uint64) {
	h := c.header(n)
	h.Type, h.Seq = wire.TAhead, number
	c.send(n.peer, wire.Finish(wire.Begin(nil), h))
}

// forgetAhead: it will not be ordered.
func (c *Core) forgetAhead(number uint64) {
	for _, n := range c.nodes {
		if n.holdsAhead(number) != nil {
			c.sayForgetAhead(n, number)
			n.letGoAhead(func(h aheadHeld) bool { return h.number == number })
		}
	}
}

// loseAhead: n does not have what it should; from here on it is sent entries whole.
func (c *Core) loseAhead(n *node) {
	if c.cfg.Fault.AheadAgain {
		return
	}
	for _, h := range n.ahead.holds {
		c.sayForgetAhead(n, h.number)
	}
	n.ahead.missed = max(n.ahead.missed, n.ahead.begun)
	n.letGoAhead(func(aheadHeld) bool { return true })
}

// appliedAhead: n has applied all entries up to its position, and may have room for more.
func (c *Core) appliedAhead(n *node) {
	if len(n.ahead.holds) > 0 {
		n.letGoAhead(func(h aheadHeld) bool { return h.index > 0 && h.index <= n.match })
		c.goOnSendingAhead(n)
	}
}

func (n *node) letGoAhead(which func(aheadHeld) bool) {
	n.ahead.holds = slices.DeleteFunc(n.ahead.holds, func(h aheadHeld) bool {
		gone := which(h)
		if gone {
			n.ahead.bytes -= h.bytes
		}
		return gone
	})
}

// refuseAhead answers all that waits, as nothing is ordered any more.
func (c *Core) refuseAhead(text string) {
	ops := c.ahead.ops
	c.ahead.ops = nil
	for _, a := range ops {
		for _, n := range c.nodes {
			c.stopSendingAhead(n, a.number)
		}
		c.answerError(a.op, text)
	}
}

// aheadAt returns the number under which entry index was sent ahead to n, and has it count as named; 0: it does not hold it.
func (c *Core) aheadAt(n *node, index uint64) uint64 {
	if len(n.ahead.holds) == 0 {
		return 0
	}
	number := c.window.ahead(index)
	h := n.holdsAhead(number)
	if number == 0 || h == nil {
		return 0
	}
	h.index = index
	return number
}
