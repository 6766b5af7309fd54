package replication

import "brainer/internal/wire"

// maybeSendTurn sends n all that waits for it, unless a turn is already on its way: meanwhile more is
// collected (Nagle's rule, per node; none waits for another's turn). Over a long link several follow each other. It
// says whether it did.
func (c *Core) maybeSendTurn(n *node) bool {
	if !n.streaming() || len(n.flight) > 0 && !c.mayFollow(n) {
		return false
	}
	donate, read := c.donationFor(n), c.readerFor(n)
	paced := c.pace.limited && c.joins(n)
	if paced && !c.mayJoinGoOn(n) {
		return false
	}
	wantBytes, askMemory := c.asksMemory(n)
	if n.sent >= c.tail && n.reads.sent == len(n.reads.items) && donate == nil && read == nil && !askMemory {
		return false
	}
	if !c.maybeStartTurn(n) {
		return false
	}
	first := n.sent
	d := c.draftTurn(n, paced)
	if !c.fillTurn(n, &d) {
		c.lostFromWindow(n)
		return false
	}
	if n.sent >= n.sentMax { // not in a turn sent again: n may be ahead of its mark
		if donate != nil {
			d.b = c.startDonation(n, donate, d.b)
		}
		if read != nil {
			d.b = c.startReader(read, d.b)
		}
	}
	if askMemory {
		d.b = c.appendMemoryAsk(d.b, n, wantBytes)
	}
	n.sentMax = max(n.sentMax, n.sent)
	c.sendTurn(n, &d, flight{turn: n.turn, entries: n.sent > first, memory: askMemory})
	return true
}

// maybeStartTurn gives n's next turn its number, unless its time behind the one before has not come.
func (c *Core) maybeStartTurn(n *node) bool {
	if len(n.flight) > 0 {
		if due := n.lastTurn().sentUs + n.turnGapUs(); due > c.nowUs {
			c.turnDueUs = sooner(c.turnDueUs, due)
			return false
		}
	} else if n.resends == 0 {
		n.progressUs = c.nowUs
	}
	n.turn++
	return true
}

// draft is a turn while it is put together.
type draft struct {
	b     []byte // as far as it is copied
	views []view // and what of it is not
	left  int    // bytes that it may still grow by
	reads int    // that it may still take
}

// view is bytes of the log window that a turn carries without a copy, behind the first at bytes of it.
type view struct {
	at    int
	piece wire.Piece
}

// draftTurn begins a turn that follows what n was sent.
func (c *Core) draftTurn(n *node, paced bool) draft {
	prev := wire.Position{Era: c.view.eraOf(n.sent), Index: n.sent}
	head := wire.TurnHead{Prev: prev, Era: c.view.eraOf(n.sent + 1), Confirm: c.pending.confirmed, Safe: c.safe, InSync: n.inSync()}
	d := draft{b: wire.BeginTurn(n.buf[:0], head), left: c.cfg.TurnBytesMax, reads: c.cfg.TurnReadsMax}
	if paced {
		d.left = min(d.left, paceTurnBytes)
	}
	return d
}

// fillTurn adds what waits for n: entries of one era, and each read behind the last entry that it must see. It returns
// false when the log window does not reach back to what n needs next.
func (c *Core) fillTurn(n *node, d *draft) bool {
	q := &n.reads
	eraEnd := min(c.tail, c.view.eraEnd(n.sent+1, c.tail))
	for d.left > 0 {
		upTo := eraEnd
		if q.sent < len(q.items) {
			it := &q.items[q.sent]
			if it.after <= n.sent {
				if d.reads == 0 {
					break
				}
				it.turn = n.turn
				q.sent++
				d.addRead(it, n.version)
				continue
			}
			upTo = min(upTo, it.after)
		}
		if n.sent >= upTo {
			break
		}
		if !c.addEntries(n, d, upTo) {
			return false
		}
	}
	return true
}

func (d *draft) addRead(it *readItem, version uint8) {
	d.reads--
	before := len(d.b)
	if it.query {
		d.b = wire.AppendQueryItem(d.b, it.id)
	} else {
		d.b = wire.AppendReadItem(d.b, &wire.Read{ID: it.id, TimeMs: it.timeMs, DB: it.op.DB, Proto: it.op.Proto,
			Txn: it.op.Txn, NoTouch: it.op.NoTouch, Due: it.near && version != wire.VersionBefore,
			Accesses: it.op.Hold.Accesses, Body: it.op.Body})
	}
	d.left -= len(d.b) - before
}

// addEntries adds entries up to an index, as many as lie together in the log window and fit. What is large of them is not copied.
func (c *Core) addEntries(n *node, d *draft, upTo uint64) bool {
	count, encoded, tail := c.window.run(n.sent+1, upTo, d.left)
	if count == 0 {
		return false
	}
	n.sent += uint64(count)
	d.left -= len(encoded) + len(tail.Bytes)
	if number := c.aheadAt(n, n.sent); number > 0 && count == 1 {
		d.b = wire.AppendAheadItem(d.b, number, encoded)
		return true
	}
	d.b = wire.AppendEntriesHead(d.b, count, len(encoded)+len(tail.Bytes))
	if count == 1 && len(encoded) >= c.cfg.FragmentBytes {
		d.views = append(d.views, view{len(d.b), wire.Piece{Bytes: encoded}})
		return true
	}
	d.b = append(d.b, encoded...)
	if len(tail.Bytes) > 0 {
		d.views = append(d.views, view{len(d.b), tail})
	}
	return true
}

// sendTurn sends n a turn, in fragments when it is long.
func (c *Core) sendTurn(n *node, d *draft, f flight) {
	h := c.header(n)
	h.Seq = n.turn
	f.sentUs, f.bytes = c.nowUs, len(d.b)
	for _, v := range d.views {
		f.bytes += len(v.piece.Bytes)
	}
	f.long = len(d.views) > 0 || len(d.b) > c.cfg.FrameBytesMax
	if n.catchesUp() {
		c.joinSent(n, int64(f.bytes))
	}
	if len(n.flight) == 0 {
		n.parts = 0
	}
	n.flight = append(n.flight, f)
	n.buf = d.b
	if !f.long {
		c.send(n.peer, wire.FinishTurn(d.b, h))
	} else {
		h.Type = wire.TTurn
		c.sendLong(n, h, interleave(d.b[wire.HeaderBytes:], d.views))
	}
	if cap(n.buf) > 4*c.cfg.TurnBytesMax {
		n.buf = nil // it was for one large entry
	}
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
