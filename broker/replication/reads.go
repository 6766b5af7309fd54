package replication

import (
	"slices"

	"brainer/internal/eviction"
	"brainer/internal/op"
)

// readItem is what a node is asked, in its stream: a read, or the kept reply of an entry.
type readItem struct {
	op     *op.Op
	query  bool
	id     uint64 // the read's id, or the entry's index
	after  uint64 // executed behind this entry
	timeMs int64
	hold   uint64 // the answer is kept until this index is safe
	turn   uint64 // that carried it to the node

	askedUs int64
	heardUs int64 // when the node said last that it goes on with this long one
	second  bool  // another node was asked before, and is slow

	near     bool // its answer may be kept in the near cache
	compares bool // of all copies at the same place and time: it is not asked again
}

// readQueue holds the items of one node in the order of asking. The first sent of them are with the
// node; its answers come in the same order.
type readQueue struct {
	items   []readItem
	base    []readItem // the memory that items lies in
	sent    int
	queries int // how many of the items are
	looked  int // the first so many have been looked at for slow ones

	later []readItem // long reads that the node executes beside its stream; their answers come any time
}

func (q *readQueue) push(it readItem) {
	if len(q.items) == cap(q.items) {
		q.makeRoom()
	}
	q.items = append(q.items, it)
	if it.query {
		q.queries++
	}
}

// makeRoom uses what pop has freed at the front, or takes more memory.
func (q *readQueue) makeRoom() {
	if len(q.items) > cap(q.base)/2 {
		q.base = make([]readItem, max(64, 2*len(q.items)))
	}
	n := copy(q.base, q.items)
	clear(q.base[n:])
	q.items = q.base[:n]
}

// pop removes the item with that id, which the node has answered.
func (q *readQueue) pop(query bool, id uint64) (readItem, bool) {
	for i := 0; i < q.sent; i++ {
		it := q.items[i]
		if it.query != query || it.id != id {
			continue
		}
		copy(q.items[1:], q.items[:i]) // answers come in order: i is 0 unless some were lost
		q.items[0] = readItem{}
		q.items = q.items[1:]
		q.sent--
		q.looked = max(q.looked-1, 0)
		if query {
			q.queries--
		}
		return it, true
	}
	return readItem{}, false
}

// withdraw takes o off the queue; a question that is with the node stays there, and its answer is for
// nobody.
func (q *readQueue) withdraw(o *op.Op) {
	is := func(it readItem) bool { return it.op == o }
	q.later = slices.DeleteFunc(q.later, is)
	switch i := slices.IndexFunc(q.items, is); {
	case i < 0:
	case i < q.sent:
		q.items[i].op = nil
	default:
		q.items = slices.Delete(q.items, i, i+1)
		if i < q.looked {
			q.looked--
		}
	}
}

// holds reports whether o is in the queue.
func (q *readQueue) holds(o *op.Op) bool {
	is := func(it readItem) bool { return it.op == o }
	return slices.ContainsFunc(q.items, is) || slices.ContainsFunc(q.later, is)
}

// goesOn notes that the node goes on with a long read beside its stream.
func (q *readQueue) goesOn(id uint64, nowUs int64) {
	for i := range q.later {
		if q.later[i].id == id {
			q.later[i].heardUs = nowUs
			return
		}
	}
	if it, ok := q.pop(false, id); ok {
		it.heardUs = nowUs
		q.later = append(q.later, it)
	}
}

// popRead removes a read that the node has answered.
func (q *readQueue) popRead(id uint64) (readItem, bool) {
	for i, it := range q.later {
		if it.id == id {
			q.later = slices.Delete(q.later, i, i+1)
			return it, true
		}
	}
	return q.pop(false, id)
}

// answered removes the query for a kept reply, if there was one.
func (q *readQueue) answered(index uint64) {
	if q.queries > 0 {
		q.pop(true, index)
	}
}

// take empties the queue. The first begun of the items are reads that the node was executing beside
// its stream, the next sent are with it.
func (q *readQueue) take() (items []readItem, begun, sent int) {
	items, begun, sent = q.items, len(q.later), q.sent
	if begun > 0 {
		items = append(q.later, items...)
	}
	*q = readQueue{}
	return items, begun, sent
}

// routeRead sends a read to the primary of its first key, behind all that is ordered.
func (c *Core) routeRead(o *op.Op) {
	if c.answerNear(o) {
		return
	}
	c.pendingReads++
	c.readTaken()
	c.ask(o)
}

// ask asks the node that answers o, or has it wait for one.
func (c *Core) ask(o *op.Op) {
	n := c.spreads(o)
	if n == nil {
		n = c.pick(o)
	}
	switch {
	case n != nil:
		c.askRead(n, o)
	case c.mayComeBack():
		c.parked = append(c.parked, o)
	default:
		c.pendingReads--
		c.answerError(o, errClusterDown)
	}
}

// mayComeBack: no node serves, but one that is in the set is opening its session again, or is likely
// to as the broker itself stood still for so long that they have all given it up.
func (c *Core) mayComeBack() bool {
	if c.reopens || c.nowUs-c.tickUs > stoodStillUs || c.graceUs > 0 && c.nowUs-c.graceUs < 2*c.cfg.DeadMs*1000 {
		return true
	}
	for _, n := range c.nodes {
		if n.member && n.connected() && n.leave == "" && !n.goodbye {
			return true
		}
	}
	return false
}

// askParked asks for the reads that have waited for a node.
func (c *Core) askParked() {
	parked := c.parked
	c.parked = nil
	for _, o := range parked {
		c.ask(o)
	}
}

func (c *Core) askRead(n *node, o *op.Op) {
	c.rid++
	n.reads.push(readItem{op: o, id: c.rid, after: c.tail, timeMs: c.stampMs(), hold: c.holdOf(o), askedUs: c.nowUs, near: c.asksNear(o, c.rid)})
}

// holdOf returns the index that must be safe before o's reply is shown: of the last write ordered
// before it that it may have seen. 0: none.
func (c *Core) holdOf(o *op.Op) uint64 {
	if c.cfg.Fault.NoReadHold {
		return 0
	}
	hold := c.floor
	if c.cfg.Fault.NoFloor {
		hold = 0
	}
	if o.Keyless {
		hold = c.tail
	}
	for _, k := range o.Keys {
		hold = max(hold, c.keyLast[k])
	}
	if hold <= c.safe {
		return 0
	}
	return hold
}

// readReplied takes the answer of a read, and the deadline of its key, -1 when that was not told; one that was asked
// elsewhere since is ignored.
func (c *Core) readReplied(n *node, id uint64, reply []byte, dueMs int64) {
	it, ok := n.reads.popRead(id)
	if !ok || it.op == nil {
		return
	}
	if it.compares {
		c.rangeReplied(id, reply)
		return
	}
	o := it.op
	o.Hold.Asked = id
	if c.settleTwin(o, n) && it.second {
		c.counters.hedgesWon++
	}
	if dueMs >= 0 {
		c.maybeKeepNear(&it, reply, dueMs)
	}
	if c.cfg.HedgePercentile > 0 && !o.Keyless {
		c.hedge.times.add(c.nowUs - o.Hold.OrderedUs)
	}
	if c.cfg.Fault.ReplyMixUp && n.reads.sent > 0 && n.reads.items[0].op != nil && !n.reads.items[0].compares {
		next := &n.reads.items[0]
		next.op, o = o, next.op
		next.hold, it.hold = it.hold, next.hold
		next.near = false
	}
	reply = keepReply(o, reply)
	o.Reply = reply
	if it.hold > c.safe {
		if r := c.pending.at(it.hold); r != nil {
			r.held = append(r.held, o)
			return
		}
	}
	c.pendingReads--
	c.answer(o, reply)
}

// A batch of reads is answered when all of them are. Nobody knows before how large their replies are, so
// when they are too large together to be kept, the rest is let go of and asked for later, one by one. While
// clients that do not read keep much from being sent, a batch has room for little.
// What is followed by a write in its batch cannot be let go of: it has a larger limit.
const (
	batchRepliesMax  = 64 << 20
	batchRepliesHard = 1 << 30
	unsentMax        = 256 << 20 // of all batches together
	batchRepliesMin  = 64 << 10  // of each when that is exceeded, and one reply
)

// keepReply returns what becomes of a reply.
func keepReply(o *op.Op, reply []byte) []byte {
	before, unsent := o.Replied(len(reply))
	switch {
	case o.Again && (before > batchRepliesMax || before > batchRepliesMin && unsent > unsentMax):
		o.Dropped = true
		o.Replied(-len(reply))
		return nil
	case before > batchRepliesHard:
		o.Replied(-len(reply))
		return []byte("-" + errRepliesTooLarge + "\r\n")
	}
	return reply
}

// rerouteReads asks other nodes what n was asked. died says that n may have died of one of them.
func (c *Core) rerouteReads(n *node, died bool) {
	items, begun, sent := n.reads.take()
	for i, it := range items {
		if it.query {
			if r := c.pending.at(it.id); r != nil && !r.replied && r.primary == n {
				c.askAnother(it.id, r)
			}
			continue
		}
		o := it.op
		if it.compares && o != nil {
			c.voidRange()
			continue
		}
		if o == nil || c.twin(o, n) != nil {
			continue // nobody waits for it, or the other node goes on with it
		}
		if died && i < begun+sent {
			// Of those in its stream it executed the first that it has not answered, and none behind that.
			died = i < begun
			if o.Hold.Resent++; o.Hold.Resent > 1 {
				c.pendingReads--
				c.answerError(o, errReadLost)
				continue
			}
		}
		if c.pick(o) != n {
			c.counters.rerouted++
		}
		c.ask(o)
	}
}

// askReadsAgain has n's unanswered reads and queries sent again, in their order and behind what they
// were behind before. What was ordered since may be executed already, and a read then shows it: it
// is held for that too, and is as late as that.
func (c *Core) askReadsAgain(n *node) {
	q := &n.reads
	keep := q.items[:0]
	void := false
	for i, it := range q.items {
		switch {
		case i >= q.sent || it.query:
		case it.op == nil:
			continue // withdrawn
		case it.compares:
			void = true
			continue
		case !c.cfg.Fault.HoldOnce:
			it.hold, it.timeMs = c.holdOf(it.op), c.stampMs()
		}
		keep = append(keep, it)
	}
	clear(q.items[len(keep):])
	q.items, q.sent, q.looked = keep, 0, 0
	if void {
		c.voidRange()
	}
}

// expireReads answers reads that no node has answered in time.
func (c *Core) expireReads() {
	limit := c.nowUs - c.cfg.ReadTimeoutMs*1000
	if v := &c.verify; len(v.asks) > 0 && c.nowUs-v.askedUs > c.cfg.ReadTimeoutMs*1000 {
		c.voidRange()
	}
	for _, n := range c.nodes {
		q := &n.reads
		keep, sent := q.items[:0], q.sent
		for i, it := range q.items {
			since := int64(0)
			if i < sent || len(n.long) > 0 {
				since = n.progressUs // as long as parts of something large come and go there is no limit
			}
			if it.op != nil && !it.compares && max(it.op.Hold.OrderedUs, since) < limit {
				c.settleTwin(it.op, n)
				c.pendingReads--
				c.answerError(it.op, errReadTimeout)
				if i < sent {
					q.sent--
				}
				continue
			}
			keep = append(keep, it)
		}
		clear(q.items[len(keep):])
		q.items, q.looked = keep, 0
		c.expireLater(n, limit)
	}
	c.parked = slices.DeleteFunc(c.parked, func(o *op.Op) bool {
		late := o.Hold.OrderedUs < limit
		if late {
			c.pendingReads--
			c.answerError(o, errReadTimeout)
		}
		return late
	})
	for _, r := range c.pending.recs {
		keep := r.held[:0]
		for _, o := range r.held {
			if o.Hold.OrderedUs+r.bytes/bytesPerUs >= limit {
				keep = append(keep, o)
				continue
			}
			c.pendingReads--
			c.answerError(o, errReadTimeout)
		}
		clear(r.held[len(keep):])
		r.held = keep
	}
}

// expireLater looks after n's long reads. They may take their time as long as n goes on with them;
// when it says nothing of one, the answer is lost, and it is asked for again.
func (c *Core) expireLater(n *node, limitUs int64) {
	q := &n.reads
	q.later = slices.DeleteFunc(q.later, func(it readItem) bool {
		switch {
		case it.heardUs < limitUs:
			c.settleTwin(it.op, n)
			c.pendingReads--
			c.answerError(it.op, errReadTimeout)
		case n.busyMs == 0 && it.heardUs < c.nowUs-c.cfg.DeadMs*1000:
			if c.twin(it.op, n) == nil {
				c.askRead(n, it.op)
			}
		default:
			return false
		}
		return true
	})
}

// pick chooses the node for an operation: the primary of its first key; of a keyless one, of its
// database number.
func (c *Core) pick(o *op.Op) *node {
	if len(o.Keys) > 0 {
		return c.primaryOf(o.Keys[0])
	}
	return c.primaryOf(uint64(o.DB))
}

// primaryOf is rendezvous hashing over the in-sync nodes that answer. When none answers, over those
// in the set that are connected.
func (c *Core) primaryOf(key uint64) *node {
	if c.cfg.Fault.ReadAnywhere {
		for _, n := range c.nodes {
			if n.streaming() && !n.member {
				return n
			}
		}
	}
	switch len(c.usable) {
	case 0:
		var best *node
		for _, n := range c.nodes {
			if n.inSync() && (best == nil || n.weight(key) > best.weight(key)) {
				best = n
			}
		}
		return best
	case 1:
		return c.usable[0]
	}
	best := c.usable[0]
	w := best.weight(key)
	for _, n := range c.usable[1:] {
		if x := n.weight(key); x > w {
			best, w = n, x
		}
	}
	return best
}

// weight is the node's rank for a key in rendezvous hashing (Thaler and Ravishankar, 1998).
func (n *node) weight(key uint64) uint64 { return eviction.Weight(key, n.salt) }
