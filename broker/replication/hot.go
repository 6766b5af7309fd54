package replication

import (
	"bytes"
	"cmp"
	"container/heap"
	"slices"

	"brainer/internal/op"
)

// Which keys are asked for most is found by counting one operation in a few with Space-Saving (Metwally, Agrawal
// and El Abbadi, 2005): a key without a counter takes over the one that counts least, and what that counted, so
// that a key of more than one part in hotCounters of all is never missed. Counting begins anew each second.
//
// The reads of a key that has more than a number of them in a second are asked of all in-sync nodes in turn: each
// answers behind all that was ordered, so that any may.
const (
	hotCounters = 128
	hotShown    = 32
	hotSpanUs   = 1_000_000
	hotNameMax  = 256 // bytes of a key's name that are kept
)

// hot is the hottest keys: of this second, and what the last one came to.
type hot struct {
	every    int // one operation in so many is counted; 0: none
	skipped  int
	counters hotHeap
	byKey    map[uint64]*hotCounter
	sinceUs  int64
	last     []op.HotKey         // of the last second, the hottest first
	spread   map[uint64]struct{} // whose reads are spread
	turn     uint64
}

// hotCounter counts one key.
type hotCounter struct {
	key           uint64
	name          []byte
	db            uint8
	reads, writes int64
	taken         int64 // counted for others, before it took the counter over
	at            int   // in the heap
}

func (h *hotCounter) count() int64 { return h.reads + h.writes + h.taken }

// hotHeap has the counter that counts least in front.
type hotHeap []*hotCounter

func (h hotHeap) Len() int           { return len(h) }
func (h hotHeap) Less(i, j int) bool { return h[i].count() < h[j].count() }
func (h hotHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].at, h[j].at = i, j }
func (h *hotHeap) Push(x any)        { c := x.(*hotCounter); c.at = len(*h); *h = append(*h, c) }
func (h *hotHeap) Pop() any          { panic("replication: a counter is not taken away alone") }

// asksFor counts an operation, or not.
func (h *hot) asksFor(o *op.Op) {
	if h.every == 0 || len(o.Keys) == 0 {
		return
	}
	if h.skipped++; h.skipped < h.every {
		return
	}
	h.skipped = 0
	key := o.Keys[0]
	c := h.byKey[key]
	switch {
	case c != nil:
	case len(h.counters) < hotCounters:
		c = &hotCounter{}
		h.take(c, o)
		heap.Push(&h.counters, c)
	default:
		c = h.counters[0]
		delete(h.byKey, c.key)
		c.reads, c.writes, c.taken = 0, 0, c.count()
		h.take(c, o)
	}
	if o.Kind == op.Read {
		c.reads++
	} else {
		c.writes++
	}
	heap.Fix(&h.counters, c.at)
}

func (h *hot) take(c *hotCounter, o *op.Op) {
	c.key, c.db = o.Keys[0], o.DB
	c.name = append(c.name[:0], o.Key[:min(len(o.Key), hotNameMax)]...)
	h.byKey[c.key] = c
}

// tickHot concludes from a second's counts.
func (c *Core) tickHot() {
	h := &c.hot
	since := c.nowUs - h.sinceUs
	if h.every == 0 || since < hotSpanUs {
		return
	}
	perSecond := func(n int64) int64 { return int64(float64(n) * float64(h.every) * 1e6 / float64(since)) }
	slices.SortFunc(h.counters, func(a, b *hotCounter) int {
		return cmp.Or(cmp.Compare(b.reads+b.writes, a.reads+a.writes), cmp.Compare(a.key, b.key))
	})
	h.last = h.last[:0]
	clear(h.spread)
	for i, x := range h.counters {
		reads := perSecond(x.reads)
		spread := c.cfg.HotReads > 0 && reads >= c.cfg.HotReads
		if spread {
			h.spread[x.key] = struct{}{}
		}
		if i < hotShown {
			h.last = append(h.last, op.HotKey{DB: int(x.db), Key: bytes.Clone(x.name), Reads: reads, Writes: perSecond(x.writes), Spread: spread})
		}
	}
	h.counters, h.sinceUs = h.counters[:0], c.nowUs
	clear(h.byKey)
}

// spreads returns the node that a read of a hot key is asked of, nil when its key is not hot.
func (c *Core) spreads(o *op.Op) *node {
	h := &c.hot
	if len(h.spread) == 0 || len(o.Keys) == 0 || len(c.usable) < 2 {
		return nil
	}
	if _, is := h.spread[o.Keys[0]]; !is {
		return nil
	}
	h.turn++
	return c.usable[h.turn%uint64(len(c.usable))]
}
