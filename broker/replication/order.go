package replication

import (
	"cmp"
	"fmt"
	"slices"

	"brainer/internal/op"
	"brainer/internal/wire"
)

func entryKind(k op.Kind) wire.EntryKind {
	switch k {
	case op.Write:
		return wire.EntryCommand
	case op.Txn:
		return wire.EntryTxn
	case op.Watch:
		return wire.EntryWatch
	default:
		return wire.EntryUnwatch
	}
}

// order gives a write the next index. From here on it is never cancelled.
func (c *Core) order(o *op.Op) {
	p := c.pick(o)
	if p == nil {
		c.answerError(o, errClusterDown)
		return
	}
	r := c.appendEntry(entryKind(o.Kind), o, p)
	o.Index, o.Ack = c.tail, c.ackOf(o)
	r.op, r.ack, r.primary = o, o.Ack, p
	if r.ack > 0 {
		c.ackN++
	}
	if len(o.Keys) <= 1 {
		r.keys = append(r.key0[:0], o.Keys...)
	} else {
		r.keys = append([]uint64(nil), o.Keys...)
	}
	for _, k := range o.Keys {
		c.keyLast[k] = c.tail
	}
	if o.Kind == op.Write || o.Kind == op.Txn {
		c.dropNear(o)
	}
	if o.Keyless {
		c.floor = c.tail
	}
	if o.DenyOOM {
		c.takesMemory(entryOverhead + int64(len(o.Body)))
	}
	c.lastOrderUs = c.nowUs
}

// appendEntry puts an entry at the end of the order; o is nil for the core's own.
func (c *Core) appendEntry(kind wire.EntryKind, o *op.Op, primary *node) *record {
	c.tail++
	e := wire.Entry{Kind: kind, Proto: 2, Seed: seed(c.epoch, c.tail), TimeMs: c.stampMs()}
	if c.cfg.Fault.ClockBack {
		e.TimeMs = c.nowUs / 1000
	}
	if o != nil {
		e.DB, e.Proto, e.NoTouch, e.Token, e.Body = o.DB, o.Proto, o.NoTouch, o.Token, o.Body
		if len(o.Client) > 0 {
			e.ID = wire.RequestID{Client: o.Client, Number: o.Number, KeepMs: c.cfg.IDKeepMs}
		}
	}
	if primary != nil {
		e.Primary = primary.number
	}
	c.pace.ordered += int64(len(e.Body)) + entryOverhead
	size := entryOverhead + len(e.ID.Client) + len(e.Body)
	if o != nil && o.Lasting {
		c.window.put(wire.AppendEntryHead(nil, &e), e.Body, o.Hold.Ahead, e.TimeMs)
	} else {
		c.window.end(wire.AppendEntry(c.window.begin(size), &e), e.TimeMs)
	}
	return c.pending.push(int64(size))
}

const (
	entryOverhead = 64
	bodyBytesMax  = 1<<30 + 1<<20 // of one entry: what a node can put together, with room
	bytesPerUs    = 20            // that a write must get done
)

// An id that the front end takes fits into an entry.
var _ [wire.ClientBytesMax - op.ClientBytesMax]struct{}

// seed is the entry's share of chance: a function of its place, so that it need not be drawn.
func seed(epoch, index uint64) uint64 {
	z := epoch*0x9e3779b97f4a7c15 + index
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// appendOwn orders an entry of the core's own, which needs no reply.
func (c *Core) appendOwn(kind wire.EntryKind) uint64 {
	r := c.appendEntry(kind, nil, nil)
	r.replied = true
	c.lastOrderUs = c.nowUs
	return c.tail
}

// receiveDone takes a node's progress and replies.
func (c *Core) receiveDone(n *node, turn uint64, d *wire.Done) {
	if !n.streaming() {
		return
	}
	whole := !d.Part && c.turnAnswered(n, turn)
	if d.Part && len(n.flight) > 0 && turn == n.flight[0].turn {
		n.parts++ // received: the node may go on
		c.send(n.peer, wire.Credit{UpTo: n.parts}.Append(nil, c.header(n)))
	}
	n.progressUs, n.resends = c.nowUs, 0
	if d.Applied.Index > n.sentMax {
		return // cannot be: it applied what this session has not sent
	}
	n.sent = max(n.sent, d.Applied.Index) // it had what was to be sent again
	var memory []byte
	var memoryBytes uint64
	asked := false
	for {
		kind, id, reply, ok := d.Next()
		if !ok {
			break
		}
		switch kind {
		case wire.ReplyEntry:
			c.entryReplied(n, id, reply)
		case wire.ReplyGone:
			c.entryReplyGone(n, id)
		case wire.ReplyRead:
			c.readReplied(n, id, reply, -1)
		case wire.ReplyDue:
			if dueMs, reply, ok := wire.TakeDue(reply); ok {
				c.readReplied(n, id, reply, dueMs)
			}
		case wire.ReplyMemory:
			memory, asked = reply, true
			memoryBytes = id
		case wire.ReplyCounts:
			if t, err := wire.DecodeTally(reply); err == nil {
				c.tallied(n, t)
			}
		case wire.ReplyLater:
			n.reads.goesOn(id, c.nowUs)
		}
	}
	if whole && n.reads.sent > 0 && n.reads.items[0].turn <= turn {
		c.askReadsAgain(n) // a part of the answer was lost
	}
	if d.Applied.Index > n.match {
		n.match = d.Applied.Index
		c.appliedAhead(n)
		c.compareDigest(n, d.DigestIndex, d.Digest)
		c.advance()
		c.maybeAdd(n)
	}
	if asked {
		c.memoryReplied(n, memoryBytes, memory, d.Applied.Index)
	}
	if next := c.pending.confirmed + 1; whole && next <= n.match && n.reads.queries == 0 {
		if r := c.pending.at(next); r != nil && r.primary == n && !r.replied {
			c.askKept(n, n.match) // it was in such a part
		}
	}
}

// settle answers r's operation when its reply is there and its rule holds.
func (c *Core) settle(index uint64, r *record) {
	if r.op == nil || !r.replied {
		return
	}
	ok := false
	switch {
	case r.ack == op.AckAll:
		ok = index <= c.safe || c.cfg.Fault.AckEarly
	case r.ack == op.AckPrimary:
		ok = index <= c.safe || index <= c.heldTo && c.holders(index) > 0 // its reply may come from a node that has left the set
	default:
		ok = index <= c.heldTo && c.holders(index) >= int(r.ack)
	}
	if !ok {
		if r.ack > 0 && int(r.ack) <= len(c.heldBy) { // it was held by so many before its reply came
			c.heldBy[r.ack-1] = min(c.heldBy[r.ack-1], index-1)
		}
		return
	}
	o := r.op
	if r.ack > 0 {
		c.ackN--
	}
	r.op = nil
	if o.OnSafe != nil {
		o.OnSafe(o)
	}
	c.answer(o, o.Reply)
}

// holders counts the in-sync nodes that have applied index.
func (c *Core) holders(index uint64) int {
	n := 0
	for _, x := range c.nodes {
		if x.inSync() && x.match >= index {
			n++
		}
	}
	return n
}

// advance recomputes the safe index and settles what became safe.
func (c *Core) advance() {
	c.heldTo = c.leashed()
	safe, any := min(c.tail, c.heldTo), false
	for _, n := range c.nodes {
		if n.required() {
			any = true
			safe = min(safe, n.match)
		}
	}
	c.settleHeld()
	if c.cfg.Fault.SafeGoesBack && any && safe < c.safe {
		c.safe = safe
	}
	if !any || safe <= c.safe {
		c.settleBarriers()
		return
	}
	from := c.safe + 1
	c.safe = safe
	c.tickSafe()
	for i := max(from, c.pending.first); i <= safe; i++ {
		r := c.pending.at(i)
		if r == nil {
			break
		}
		for _, k := range r.keys {
			if c.keyLast[k] == i {
				delete(c.keyLast, k)
			}
		}
		c.settle(i, r)
		for _, o := range r.held {
			c.pendingReads--
			c.answer(o, o.Reply)
		}
		clear(r.held)
		r.held = r.held[:0]
	}
	c.popSettled()
	c.settleBarriers()
	if c.state == activating && c.safe >= c.noop {
		c.becomeActive()
	}
}

// settleHeld settles the writes that wait for a number of nodes and are held by so many now. Each is
// looked at once for each number: what is held by n in-sync nodes is all up to the n-th of their
// positions. One whose reply is still to come is settled with that.
func (c *Core) settleHeld() {
	if c.ackN == 0 {
		return // what heldBy leaves out is looked at when there is one again
	}
	applied := c.applied[:0]
	for _, n := range c.nodes {
		if n.inSync() {
			applied = append(applied, min(n.match, c.heldTo))
		}
	}
	c.applied = applied
	slices.SortFunc(applied, func(a, b uint64) int { return cmp.Compare(b, a) })
	for len(c.heldBy) < len(applied) {
		c.heldBy = append(c.heldBy, 0)
	}
	clear(c.heldBy[len(applied):])
	for i, upTo := range applied {
		from := min(c.heldBy[i], upTo)
		c.heldBy[i] = upTo
		for index := max(from+1, c.pending.first); index <= upTo; index++ {
			if r := c.pending.at(index); r != nil && int(r.ack) == i+1 {
				c.settle(index, r)
			}
		}
	}
}

// popSettled forgets the records at the front that are safe and whose reply is confirmed.
func (c *Core) popSettled() {
	p := &c.pending
	for len(p.recs) > 0 && p.first <= c.safe && p.recs[0].replied && p.recs[0].op == nil {
		if p.confirmed < p.first {
			p.confirmed = p.first
		}
		p.pop()
	}
}

// abandon answers r's operation with an error that leaves its fate open.
func (c *Core) abandon(r *record, text string) {
	o := r.op
	if r.ack > 0 {
		c.ackN--
	}
	r.op, r.replied = nil, true
	c.answerError(o, text)
	c.pending.confirm()
}

func (c *Core) abandonUncertain(index uint64, r *record) {
	if r.op != nil {
		c.abandon(r, fmt.Sprintf(errUncertain, c.epoch, index, c.holders(index), c.inSyncCount()))
	}
}

// shrunk answers the writes that the smaller set can no longer acknowledge as promised.
func (c *Core) shrunk() {
	n := c.inSyncCount()
	for i, r := range c.pending.recs {
		index := c.pending.first + uint64(i)
		// What is safe is held by too few for a rule that names a number all the same.
		if r.op != nil && (index > c.safe && n < c.cfg.MinInSync || int(r.ack) > n) {
			c.abandonUncertain(index, r)
		}
	}
	c.popSettled()
}

// expireOps gives an answer to what has waited for too long.
func (c *Core) expireOps() {
	limit := c.nowUs - c.cfg.WriteTimeoutMs*1000
	for i, r := range c.pending.recs {
		if r.op == nil {
			continue
		}
		if r.op.Hold.OrderedUs > limit {
			break // ordered in time
		}
		if r.op.Hold.OrderedUs+r.bytes/bytesPerUs > limit {
			continue // a large one takes its time
		}
		c.abandonUncertain(c.pending.first+uint64(i), r)
	}
	c.popSettled()
	c.settleBarriers()
	c.expireReads()
}
