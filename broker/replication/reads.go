package replication

import (
	"slices"

	"brainer/internal/eviction"
	"brainer/internal/op"
)

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
