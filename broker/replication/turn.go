package replication

import "brainer/internal/wire"

// maybeSendTurn sends n all that waits for it, unless a turn is already on its way: meanwhile more is
// collected (Nagle's rule, per node; none waits for another's turn). Over a long link several follow each other. It
// says whether it did.
func (c *Core) maybeSendTurn(n *node) bool {
	if !n.streaming() || len(n.flight) > 0 && !c.mayFollow(n) {
		return false
	}
	q := &n.reads
	donate, read := c.donationFor(n), c.readerFor(n)
	paced := c.pace.limited && c.joins(n)
	if paced && !c.mayJoinGoOn(n) {
		return false
	}
	wantBytes, askMemory := c.asksMemory(n)
	if n.sent >= c.tail && q.sent == len(q.items) && donate == nil && read == nil && !askMemory {
		return false
	}
	if len(n.flight) > 0 {
		if due := n.lastTurn().sentUs + n.turnGapUs(); due > c.nowUs {
			c.turnDueUs = sooner(c.turnDueUs, due)
			return false
		}
	} else if n.resends == 0 {
		n.progressUs = c.nowUs
	}
	n.turn++
	prev := wire.Position{Era: c.view.eraOf(n.sent), Index: n.sent}
	next := n.sent + 1
	era := c.view.eraOf(next)
	upTo := min(c.tail, c.view.eraEnd(next, c.tail))
	b := wire.BeginTurn(n.buf[:0], wire.TurnHead{Prev: prev, Era: era, Confirm: c.pending.confirmed,
		Safe: c.safe, InSync: n.inSync()})
	budget, reads := c.cfg.TurnBytesMax, c.cfg.TurnReadsMax
	if paced {
		budget = min(budget, paceTurnBytes)
	}
	first := n.sent
	var views []view
	for budget > 0 {
		if q.sent < len(q.items) && q.items[q.sent].after <= n.sent {
			if reads == 0 {
				break
			}
			it := &q.items[q.sent]
			it.turn = n.turn
			q.sent++
			reads--
			before := len(b)
			if it.query {
				b = wire.AppendQueryItem(b, it.id)
			} else {
				b = wire.AppendReadItem(b, &wire.Read{ID: it.id, TimeMs: it.timeMs, DB: it.op.DB, Proto: it.op.Proto,
					Txn: it.op.Txn, NoTouch: it.op.NoTouch, Due: it.near && n.version != wire.VersionBefore,
					Accesses: it.op.Hold.Accesses, Body: it.op.Body})
			}
			budget -= len(b) - before
			continue
		}
		to := upTo
		if q.sent < len(q.items) {
			to = min(to, q.items[q.sent].after)
		}
		if n.sent >= to {
			break
		}
		count, encoded, tail := c.window.run(n.sent+1, to, budget)
		if count == 0 {
			c.lostFromWindow(n)
			return false
		}
		n.sent += uint64(count)
		budget -= len(encoded) + len(tail.Bytes)
		if number := c.aheadAt(n, n.sent); number > 0 && count == 1 {
			b = wire.AppendAheadItem(b, number, encoded)
			continue
		}
		b = wire.AppendEntriesHead(b, count, len(encoded)+len(tail.Bytes))
		if count == 1 && len(encoded) >= c.cfg.FragmentBytes {
			views = append(views, view{len(b), wire.Piece{Bytes: encoded}})
			continue
		}
		b = append(b, encoded...)
		if len(tail.Bytes) > 0 {
			views = append(views, view{len(b), tail})
		}
	}
	if n.sent >= n.sentMax { // not in a turn sent again: n may be ahead of its mark
		if donate != nil {
			b = c.startDonation(n, donate, b)
		}
		if read != nil {
			b = c.startReader(read, b)
		}
	}
	if askMemory {
		b = c.appendMemoryAsk(b, n, wantBytes)
	}
	n.sentMax = max(n.sentMax, n.sent)
	h := c.header(n)
	h.Seq = n.turn
	bytes := len(b)
	for _, v := range views {
		bytes += len(v.piece.Bytes)
	}
	if n.catchesUp() {
		c.joinSent(n, int64(bytes))
	}
	long := len(views) > 0 || len(b) > c.cfg.FrameBytesMax
	if len(n.flight) == 0 {
		n.parts = 0
	}
	n.flight = append(n.flight, flight{turn: n.turn, sentUs: c.nowUs, bytes: bytes, entries: n.sent > first, memory: askMemory, long: long})
	n.buf = b
	if !long {
		c.send(n.peer, wire.FinishTurn(b, h))
	} else {
		h.Type = wire.TTurn
		c.sendLong(n, h, interleave(b[wire.HeaderBytes:], views))
	}
	if cap(n.buf) > 4*c.cfg.TurnBytesMax {
		n.buf = nil // it was for one large entry
	}
	return true
}

// view is bytes of the log window that a turn carries without a copy, behind the first at bytes of it.
type view struct {
	at    int
	piece wire.Piece
}

// interleave returns a turn's body in pieces.
func interleave(b []byte, views []view) (pieces []wire.Piece) {
	from := 0
	for _, v := range views {
		at := v.at - wire.HeaderBytes
		pieces = append(pieces, wire.Piece{Bytes: b[from:at]}, v.piece)
		from = at
	}
	return append(pieces, wire.Piece{Bytes: b[from:]})
}

// lostFromWindow: what n needs next is not there any more; it has to start over.
func (c *Core) lostFromWindow(n *node) {
	n.flight = n.flight[:0]
	if n.member {
		n.leave = reasonBehind
	}
	c.reject(n.peer, wire.Header{Session: n.session}, true, reasonBehind)
	c.sessionOver(n, reasonBehind)
}

// resend sends again what follows index from: a turn, or its answer, was lost.
func (c *Core) resend(n *node, from uint64, why string) {
	c.counters.resends += n.sent - from
	c.event(-1, "resend", n, "from=%d to=%d %s", from+1, n.sent, why)
	if len(n.flight) > 0 {
		c.loseMarks(n)
	}
	n.sent = from
	n.flight, n.memory.asked = n.flight[:0], false
	n.turn++ // the next takes the place of all before, whether they are lost or not
	n.dropLong(wire.TTurn)
	n.buf = nil // a part of it may still wait to be written
	if n.resends < 8 {
		n.resends++
	}
	c.askReadsAgain(n)
	if c.cfg.Fault.OrderAgain {
		if r := c.pending.at(from + 1); r != nil && r.op != nil {
			c.order(r.op)
		}
	}
	// Replies of entries that this node has answered before may have been lost with the answer.
	c.askKept(n, from)
}

// queried are the entries whose kept replies are asked for.
func (q *readQueue) queried() map[uint64]bool {
	asked := map[uint64]bool{}
	for _, it := range q.items {
		if it.query {
			asked[it.id] = true
		}
	}
	return asked
}

// receiveNack goes back to where the node stands. What it says of a turn that was sent before going back is old.
func (c *Core) receiveNack(n *node, turn uint64, m wire.Nack) {
	if !n.streaming() || turn > 0 && (len(n.flight) == 0 || turn < n.flight[0].turn) {
		return
	}
	if m.Position.Index < n.match || m.Position.Index > n.sent {
		c.reject(n.peer, wire.Header{Session: n.session}, true, "position does not fit")
		c.sessionOver(n, "position does not fit")
		return
	}
	c.loseAhead(n)
	c.resend(n, m.Position.Index, "nack")
}

// Flush builds a turn for every node that is free for one. Call it when the inputs at hand are taken in.
func (c *Core) Flush(nowUs int64) {
	c.setNow(nowUs)
	c.hedgeReads()
	c.maybeOrderTick()
	if c.pace.joining {
		c.goOnJoining()
	}
	if len(c.readers) > 0 {
		c.goOnReading()
	}
	c.turnDueUs = 0
	for _, n := range c.nodes {
		c.maybeSendTurn(n)
	}
}

// FlushAt returns when the core wants Flush called at the latest, in microseconds; 0: nothing is due by itself.
func (c *Core) FlushAt() int64 {
	return sooner(sooner(c.hedgeAt(), c.turnDueUs), c.tickAt())
}

// sooner is the earlier of two times, of which 0 is none.
func sooner(a, b int64) int64 {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}
