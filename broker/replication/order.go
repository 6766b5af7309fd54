package replication

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"brainer/internal/op"
	"brainer/internal/wire"
)

// record is an ordered write until it is safe and answered.
type record struct {
	op      *op.Op // nil: nobody waits for it (any more)
	ack     op.Ack
	primary *node // who was asked for the reply; nil: no reply is needed
	replied bool  // the reply has arrived, or is given up
	keys    []uint64
	key0    [1]uint64
	held    []*op.Op // reads that wait until it is safe
	bytes   int64    // of its entry
}

// pending is the records from first on, without a gap up to the tail.
type pending struct {
	first     uint64
	recs      []*record
	base      []*record // the memory that recs lies in
	free      []*record
	confirmed uint64 // every reply up to here has arrived
	bytes     int64  // of the entries
}

func (p *pending) reset(next uint64) {
	*p = pending{first: next, confirmed: next - 1}
}

func (p *pending) at(index uint64) *record {
	if index < p.first || index-p.first >= uint64(len(p.recs)) {
		return nil
	}
	return p.recs[index-p.first]
}

func (p *pending) push(bytes int64) *record {
	var r *record
	if n := len(p.free); n > 0 {
		r, p.free = p.free[n-1], p.free[:n-1]
	} else {
		r = &record{}
	}
	r.bytes = bytes
	p.bytes += bytes
	if len(p.recs) == cap(p.recs) {
		p.makeRoom()
	}
	p.recs = append(p.recs, r)
	return r
}

// makeRoom uses what pop has freed at the front, or takes more memory.
func (p *pending) makeRoom() {
	if len(p.recs) > cap(p.base)/2 {
		p.base = make([]*record, max(64, 2*len(p.recs)))
	}
	n := copy(p.base, p.recs)
	clear(p.base[n:])
	p.recs = p.base[:n]
}

func (p *pending) pop() {
	r := p.recs[0]
	p.recs[0] = nil
	p.recs = p.recs[1:]
	p.first++
	p.bytes -= r.bytes
	held := r.held[:0]
	*r = record{held: held}
	if len(p.free) < 4096 {
		p.free = append(p.free, r)
	}
}

// confirm moves confirmed over the replies that have arrived.
func (p *pending) confirm() {
	for {
		r := p.at(p.confirmed + 1)
		if r == nil || !r.replied {
			return
		}
		p.confirmed++
	}
}

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

// entryReplied takes the reply of entry index.
func (c *Core) entryReplied(n *node, index uint64, reply []byte) {
	n.reads.answered(index)
	r := c.pending.at(index)
	if r == nil || r.replied || r.primary == nil {
		return
	}
	r.replied = true
	if r.op != nil {
		r.op.Reply = reply
	}
	c.settle(index, r)
	c.pending.confirm()
	c.popSettled()
}

func (c *Core) entryReplyGone(n *node, index uint64) {
	n.reads.answered(index)
	r := c.pending.at(index)
	if r == nil || r.replied || r.primary != n {
		return
	}
	n.lostReplies = max(n.lostReplies, index)
	c.askAnother(index, r)
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

// askAnother asks another node for the kept reply of an ordered write.
func (c *Core) askAnother(index uint64, r *record) {
	if len(r.keys) == 0 {
		r.primary = nil
	}
	var best *node
	for _, n := range c.nodes {
		if n == r.primary || !n.inSync() || n.suspect || n.lostReplies >= index {
			continue
		}
		if best == nil || len(r.keys) > 0 && n.weight(r.keys[0]) > best.weight(r.keys[0]) {
			best = n
		}
	}
	if best == nil && r.primary != nil && r.primary.inSync() && r.primary.lostReplies < index {
		return // it is the only one; it may come back
	}
	if best != nil {
		r.primary = best
		best.reads.push(readItem{query: true, id: index, after: index})
		return
	}
	for _, n := range c.nodes {
		if n.required() && n.lostReplies < index {
			r.primary = n
			return // asked again when it is back
		}
	}
	r.replied = true
	if r.op != nil {
		c.abandon(r, fmt.Sprintf(errReplyGone, c.epoch, index))
	}
	c.pending.confirm()
	c.popSettled()
}

// askKept asks n for the replies up to an index that it owes: the answers that carried them may be lost.
func (c *Core) askKept(n *node, upTo uint64) {
	asked := n.reads.queried()
	for index := c.pending.first; index <= min(upTo, c.tail); index++ {
		if r := c.pending.at(index); r.primary == n && !r.replied && !asked[index] {
			n.reads.push(readItem{query: true, id: index, after: index})
		}
	}
}

// repliesFrom asks others for the replies that n owes.
func (c *Core) repliesFrom(n *node) {
	for index := c.pending.first; index <= c.tail; index++ {
		// Asking may settle records, from the first one on.
		if r := c.pending.at(index); r != nil && r.primary == n && !r.replied {
			c.askAnother(index, r)
		}
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

// addBarrier takes a WAIT.
func (c *Core) addBarrier(o *op.Op) {
	if c.maybeSettleBarrier(o) {
		return
	}
	c.barriers = append(c.barriers, o)
}

func (c *Core) maybeSettleBarrier(o *op.Op) bool {
	held := c.holders(o.Index)
	late := o.TimeoutMs > 0 && c.nowUs-o.Hold.OrderedUs >= o.TimeoutMs*1000
	if held < o.Copies && !late && !o.Cancelled() {
		return false
	}
	c.answer(o, []byte(":"+strconv.Itoa(max(held-1, 0))+"\r\n"))
	return true
}

func (c *Core) settleBarriers() {
	if len(c.barriers) == 0 {
		return
	}
	keep := c.barriers[:0]
	for _, o := range c.barriers {
		if !c.maybeSettleBarrier(o) {
			keep = append(keep, o)
		}
	}
	clear(c.barriers[len(keep):])
	c.barriers = keep
}
