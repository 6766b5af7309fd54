package keyspace

import (
	"bytes"
	"encoding/binary"
	"math"

	"brainer/internal/eviction"
)

// Nomination is a key that may be evicted, and about what that gives back.
type Nomination struct {
	DB    int
	Key   []byte
	Bytes int64
}

const (
	nominationsMax  = 1024
	lookedAtMax     = 16 << 10 // entries of segments that are walked; a cache line or two each
	lookedUpMin     = 128
	lookedUpMax     = 2 << 10 // keys that are found by their deadline
	volatileFew     = 16      // when fewer than one key in so many has a deadline, keys are found by that
	lookedAtEach    = 4       // of Redis's samples: walking is cheaper than picking one by one
	segmentsTries   = 4       // that may lead to one that was looked at already, for each that is wanted
	randomPerHandle = 16      // keys that are taken next to each other when any may go
)

// Nominate returns keys to evict, the first to go first, that give back about wantBytes. Keys of one segment are a
// random sample, as their place is their hash: segments are picked by chance and walked whole. samples says how many
// are looked at for each that is wanted. mine tells the keys that may be named.
func (k *Keyspace) Nominate(policy eviction.Policy, wantBytes int64, samples int, nowMs int64, mine func(db int, key []byte) bool) []Nomination {
	keys := k.TotalKeys()
	if keys == 0 || wantBytes <= 0 || policy == eviction.NoEviction {
		return nil
	}
	each := max(1, k.MemoryBytes()/int64(keys))
	n := nominator{k: k, policy: policy, nowMs: nowMs, mine: mine, wantBytes: wantBytes,
		best: make([]candidate, 0, min(nominationsMax, wantBytes/each+1))}
	lookAt := min(lookedAtMax, max(segmentSlots/8, lookedAtEach*samples*cap(n.best)))
	switch {
	case policy == eviction.VolatileTTL:
		n.soonest()
		return n.take()
	case policy.Volatile() && n.dues()*volatileFew < keys:
		n.sampleDeadlines(min(lookedUpMax, max(lookedUpMin, samples*cap(n.best))))
	case policy.Volatile():
		n.sampleSegments(min(lookedAtMax, lookAt*keys/n.dues()), segmentSlots)
	case policy.Random():
		n.sampleSegments(cap(n.best), randomPerHandle)
	default:
		n.sampleSegments(lookAt, segmentSlots)
	}
	n.sort()
	return n.take()
}

// nominator keeps the best candidates of those that it is shown, in a heap whose first is the worst.
type nominator struct {
	k         *Keyspace
	policy    eviction.Policy
	nowMs     int64
	mine      func(db int, key []byte) bool
	wantBytes int64
	best      []candidate
}

type candidate struct {
	rank uint64 // the higher, the sooner it goes
	db   int
	s    *segment
	i    int
}

// dues is how many keys have a deadline.
func (n *nominator) dues() (keys int) {
	for _, t := range n.k.dbs {
		keys += t.due.n
	}
	return keys
}

// rank orders candidates: by the policy, and among equals by what another one would say.
func (n *nominator) rank(r recency) uint64 {
	idle, rare := uint64(r.idleSeconds(n.nowMs)), uint64(255-r.frequency(n.k.m.lfu, n.nowMs))
	switch {
	case n.policy.Random():
		return n.k.m.chance()
	case n.policy.LFU():
		return rare<<secondBits | idle
	}
	return idle<<8 | rare
}

// rankMax is at least the rank, and found faster.
func (n *nominator) rankMax(r recency) uint64 {
	if n.policy.LFU() {
		return n.rank(r)
	}
	return uint64(r.idleSeconds(n.nowMs))<<8 | 255
}

// see is shown an entry with its rank; what has expired is before all.
func (n *nominator) see(db int, s *segment, i int, rank uint64, e *entry) {
	if e.expired(n.nowMs) {
		rank = math.MaxUint64
	}
	full := len(n.best) == cap(n.best)
	if full && rank <= n.best[0].rank || !n.mine(db, e.key(s)) {
		return
	}
	c := candidate{rank, db, s, i}
	if full {
		n.best[0] = c
		n.sink(0)
		return
	}
	n.best = append(n.best, c)
	for at := len(n.best) - 1; at > 0; {
		up := (at - 1) / 2
		if n.best[up].rank <= n.best[at].rank {
			break
		}
		n.best[up], n.best[at] = n.best[at], n.best[up]
		at = up
	}
}

func (n *nominator) sink(at int) {
	for {
		least := at
		for down := 2*at + 1; down <= 2*at+2 && down < len(n.best); down++ {
			if n.best[down].rank < n.best[least].rank {
				least = down
			}
		}
		if least == at {
			return
		}
		n.best[at], n.best[least] = n.best[least], n.best[at]
		at = least
	}
}

// sort puts the best first: the heap gives the worst, to the end.
func (n *nominator) sort() {
	all := n.best
	for len(n.best) > 1 {
		last := len(n.best) - 1
		n.best[0], n.best[last] = n.best[last], n.best[0]
		n.best = n.best[:last]
		n.sink(0)
	}
	n.best = all
}

// take returns the best as far as they are wanted.
func (n *nominator) take() []Nomination {
	var out []Nomination
	for _, c := range n.best {
		if n.wantBytes <= 0 {
			break
		}
		t := n.k.dbs[c.db]
		e := t.decode(c.s.at(c.i))
		size := t.memoryOf(c.s, &e)
		n.wantBytes -= size
		out = append(out, Nomination{DB: c.db, Key: bytes.Clone(e.key(c.s)), Bytes: size})
	}
	return out
}

// sampleSegments shows about so many entries, at most perSegment of one segment.
func (n *nominator) sampleSegments(lookAt, perSegment int) {
	seen := map[*segment]struct{}{}
	for tries := segmentsTries * (lookAt/min(perSegment, segmentSlots/2) + 1); tries > 0 && lookAt > 0; tries-- {
		db := n.pickDB(func(t *table) int { return t.n })
		t := n.k.dbs[db]
		head := t.head(n.k.m.chance())
		if _, again := seen[head]; again {
			continue
		}
		seen[head] = struct{}{}
		for s := head; s != nil; s = s.next {
			if s.n == 0 {
				continue
			}
			from := 0
			if int(s.n) > perSegment {
				from = int(n.k.m.chance() % uint64(int(s.n)-perSegment+1))
			}
			to := min(int(s.n), from+perSegment)
			n.seeSegment(db, s, from, to)
			lookAt -= to - from
		}
	}
}

// seeSegment shows some of a segment's entries. What decides of most of them is read in a loop that does nothing else, so
// that the processor fetches many at once: each is a cache line of its own.
func (n *nominator) seeSegment(db int, s *segment, from, to int) {
	var flags [segmentSlots]byte
	var uses [segmentSlots]recency
	for i := from; i < to; i++ {
		b := s.at(i)
		flags[i], uses[i] = b[0], recency(binary.LittleEndian.Uint32(b[1:]))
	}
	t := n.k.dbs[db]
	for i := from; i < to; i++ {
		due := flags[i]&flagDue != 0
		if !due && n.policy.Volatile() {
			continue
		}
		if !due && !n.policy.Random() && len(n.best) == cap(n.best) && n.rankMax(uses[i]) <= n.best[0].rank {
			continue
		}
		rank := n.rank(uses[i])
		e := t.decode(s.at(i))
		n.see(db, s, i, rank, &e)
	}
}

// pickDB picks a database by chance, weighted.
func (n *nominator) pickDB(weight func(*table) int) int {
	sum := 0
	for _, t := range n.k.dbs {
		sum += weight(t)
	}
	at := int(n.k.m.chance() % uint64(max(sum, 1)))
	for db, t := range n.k.dbs {
		if at -= weight(t); at < 0 {
			return db
		}
	}
	return 0
}

// sampleDeadlines shows about so many of the keys that have a deadline.
func (n *nominator) sampleDeadlines(lookUp int) {
	have := func(t *table) int { return t.due.n }
	if n.dues() <= lookUp {
		for db, t := range n.k.dbs {
			t.due.each(func(d due) bool {
				n.seeDue(db, d)
				return true
			})
		}
		return
	}
	seen := make(map[due]struct{}, lookUp)
	for range lookUp {
		db := n.pickDB(have)
		d := n.k.dbs[db].due.at(n.k.m.chance(), n.k.m.chance())
		if _, again := seen[d]; !again {
			seen[d] = struct{}{}
			n.seeDue(db, d)
		}
	}
}

func (n *nominator) seeDue(db int, d due) {
	p := n.k.dbs[db].findDue(d)
	n.see(db, p.s, p.i, n.rank(p.e.recency()), &p.e)
}

// soonest takes the keys that would expire first, of all databases.
func (n *nominator) soonest() {
	left := lookedUpMax
	var next [Databases]int
	for len(n.best) < cap(n.best) && left > 0 {
		db := -1
		var first due
		for i, t := range n.k.dbs {
			if d, ok := t.due.nth(next[i]); ok && (db < 0 || d.ms < first.ms) {
				db, first = i, d
			}
		}
		if db < 0 {
			return
		}
		next[db]++
		left--
		p := n.k.dbs[db].findDue(first)
		if n.mine(db, p.e.key(p.s)) {
			n.best = append(n.best, candidate{^uint64(first.ms), db, p.s, p.i})
		}
	}
}
