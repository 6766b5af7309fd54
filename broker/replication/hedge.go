package replication

import (
	"math/bits"

	"brainer/internal/op"
)

// A read that takes longer than nearly all others do is asked of a second node, too, and answered by
// whichever is first (Dean and Barroso, "The Tail at Scale", 2013). Each of the two is behind all
// that was ordered before it was asked, and is held for itself.
const (
	hedgeShare     = 20        // at most one read in so many is asked twice
	hedgeBurst     = 100       // beyond what that share has saved up
	hedgeFewest    = 5         // reads beyond the percentile must have been timed before anything is concluded from them
	hedgeForgetsUs = 1_000_000 // what was timed counts half as much after so long
	hedgeNever     = 1<<63 - 1
)

// hedge decides when reads are asked of a second node.
type hedge struct {
	times   latencies
	agedUs  int64
	afterUs int64 // a read that is open for longer is asked twice; 0: none is
	saved   int   // reads, of which each hedgeShare pay for another one
}

// latencies counts times by their size, four steps for each doubling.
type latencies struct {
	counts [4 * 40]uint32
	total  uint32
}

// step is the number of the bucket for us microseconds.
func step(us int64) int {
	if us < 4 {
		return int(max(us, 0))
	}
	top := bits.Len64(uint64(us)) - 1
	return min(4*(top-1)+int(us>>(top-2))&3, len(latencies{}.counts)-1)
}

// stepEnds is the first time, in microseconds, that is beyond bucket i.
func stepEnds(i int) int64 {
	i++
	if i < 4 {
		return int64(i)
	}
	return int64(4+i&3) << (i/4 - 1)
}

func (l *latencies) add(us int64) {
	l.counts[step(us)]++
	l.total++
}

// halve lets what was counted so far count half as much.
func (l *latencies) halve() {
	l.total = 0
	for i := range l.counts {
		l.counts[i] /= 2
		l.total += l.counts[i]
	}
}

// percentile is a time in microseconds that percent of those counted do not exceed.
func (l *latencies) percentile(percent float64) int64 {
	left := float64(l.total) * percent / 100
	for i, n := range l.counts {
		if left -= float64(n); left <= 0 {
			return stepEnds(i)
		}
	}
	return stepEnds(len(l.counts) - 1)
}

// tickHedge computes anew after what time a read is asked of a second node.
func (c *Core) tickHedge() {
	h := &c.hedge
	if c.cfg.HedgePercentile == 0 {
		return
	}
	h.afterUs = 0
	if float64(h.times.total)*(100-c.cfg.HedgePercentile) >= 100*hedgeFewest {
		h.afterUs = h.times.percentile(c.cfg.HedgePercentile)
	}
	if c.nowUs-h.agedUs >= hedgeForgetsUs {
		h.agedUs = c.nowUs
		h.times.halve()
	}
}

// readTaken counts a read towards the second ones.
func (c *Core) readTaken() {
	c.hedge.saved = min(c.hedge.saved+1, hedgeShare*hedgeBurst)
}

// hedgeAt is when a read is slow that is not so yet, in microseconds; 0: never.
func (c *Core) hedgeAt() int64 {
	if c.hedge.afterUs == 0 || c.hedge.saved < hedgeShare || len(c.usable) < 2 {
		return 0
	}
	at := int64(hedgeNever)
	for _, n := range c.nodes {
		if q := &n.reads; q.looked < len(q.items) {
			at = min(at, q.items[q.looked].askedUs+c.hedge.afterUs)
		}
	}
	if at == hedgeNever {
		return 0
	}
	return at
}

// hedgeReads asks a second node for the reads that are slow.
func (c *Core) hedgeReads() {
	if c.hedge.afterUs == 0 {
		return
	}
	for _, n := range c.nodes {
		q := &n.reads
		for q.looked < len(q.items) && c.hedge.saved >= hedgeShare {
			it := q.items[q.looked]
			if it.askedUs+c.hedge.afterUs > c.nowUs {
				break
			}
			q.looked++
			if it.op == nil || it.op.Hold.Twice || it.op.Keyless || len(it.op.Keys) == 0 {
				continue // what looks at the whole keyspace takes its time by itself
			}
			if second := c.secondFor(it.op, n); second != nil {
				c.hedge.saved -= hedgeShare
				c.counters.hedged++
				it.op.Hold.Twice = true
				c.askRead(second, it.op)
				twin := &second.reads.items[len(second.reads.items)-1]
				twin.second = true
				if c.cfg.Fault.HedgeHold {
					twin.hold = it.hold
				}
			}
		}
	}
}

// secondFor is the node that o's keys would have for a primary if first were not there.
func (c *Core) secondFor(o *op.Op, first *node) (best *node) {
	for _, n := range c.usable {
		if n != first && (best == nil || n.weight(o.Keys[0]) > best.weight(o.Keys[0])) {
			best = n
		}
	}
	return best
}

// settleTwin withdraws the question for o that is with another node than n, which has answered it, and
// reports whether there was one.
func (c *Core) settleTwin(o *op.Op, n *node) bool {
	if x := c.twin(o, n); x != nil && !c.cfg.Fault.TwoAnswers {
		x.reads.withdraw(o)
		return true
	}
	return false
}

// twin is the node besides n that o is asked of, nil when there is none; it is the only one from now on.
func (c *Core) twin(o *op.Op, n *node) *node {
	if !o.Hold.Twice {
		return nil
	}
	o.Hold.Twice = false
	for _, x := range c.nodes {
		if x != n && x.reads.holds(o) {
			return x
		}
	}
	return nil
}
