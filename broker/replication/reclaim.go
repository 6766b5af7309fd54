package replication

import "brainer/internal/wire"

// Memory of expired keys, and of what was dropped, is freed as entries are applied, so much with each: it must be the same
// on every copy. Where clients write too little for that the core orders TICKs. While nodes say that one was not enough
// (by the time of their last entry, so that clocks do not matter), more follow, twice as many for each such heartbeat,
// each when the one before is safe and after a rest that leaves nodes three quarters of their time.
const (
	tickEveryUs   = 100_000 // without such a word
	tickRests     = 3       // times what the TICK took
	tickRestMinUs = 300
	tickBurstMax  = 256
)

// reclaim is when to order TICKs.
type reclaim struct {
	due         bool   // a node has memory to give back
	burst, left int    // TICKs that may follow each other: from a heartbeat on, and still
	tick        uint64 // the last one
	orderedUs   int64  // when; 0: it is safe
	nextUs      int64  // no other one before
}

// reclaims takes what a node's heartbeat says of that.
func (c *Core) reclaims(n *node, m *wire.Beat) {
	if !n.inSync() {
		return
	}
	r := &c.reclaim
	r.due = r.due || m.Reclaimable
	switch {
	case m.Applied < r.tick: // the last TICK has yet to show what it did
	case !m.Behind:
		r.burst, r.left = 0, 0
	case r.left == 0:
		r.burst = min(max(2*r.burst, 1), tickBurstMax)
		r.left = r.burst
	}
}

// tickSafe: more is safe.
func (c *Core) tickSafe() {
	if r := &c.reclaim; r.orderedUs > 0 && c.safe >= r.tick {
		r.nextUs = c.nowUs + max(tickRests*(c.nowUs-r.orderedUs), tickRestMinUs)
		r.orderedUs = 0
	}
}

// maybeOrderTick orders a TICK when a node has memory to give back and other entries do not see to it.
func (c *Core) maybeOrderTick() {
	r := &c.reclaim
	switch {
	case c.state != active:
		return
	case r.left > 0 && r.orderedUs == 0 && c.nowUs >= r.nextUs:
		r.left--
	case r.due && c.nowUs-c.lastOrderUs >= tickEveryUs && c.tail == c.safe:
	default:
		return
	}
	r.due = false
	r.tick, r.orderedUs = c.appendOwn(wire.EntryTick), c.nowUs
}

// tickAt is when the next of several TICKs is to be ordered, 0 when none is.
func (c *Core) tickAt() int64 {
	if r := &c.reclaim; r.left > 0 && r.orderedUs == 0 && c.state == active {
		return max(r.nextUs, 1)
	}
	return 0
}
