package keyspace

import (
	"bytes"
	"cmp"
	"slices"
)

// iterator walks a table in the order of (hash, key). The table must not change meanwhile.
type iterator struct {
	t     *table
	first uint64   // hashes below are left out
	pos   uint64   // where the next range of the directory begins
	more  bool     // there is a next range
	head  *segment // the range being walked
	i     int      // its next slot, unless it is several segments
	group []place  // equal tags, or a whole range of several segments, in order
	g     int

	skipped int

	s    *segment
	e    entry
	hash uint64
}

type place struct {
	hash uint64
	s    *segment
	i    int
}

// from begins at the first entry whose hash is at least hash.
func (t *table) from(hash uint64) iterator {
	return iterator{t: t, first: hash, pos: hash, more: true}
}

func (it *iterator) next() bool {
	for {
		if it.g < len(it.group) {
			p := it.group[it.g]
			it.g++
			it.s, it.hash = p.s, p.hash
			it.e = it.t.decode(p.s.at(p.i))
			return true
		}
		if it.head == nil || it.head.next != nil || it.i >= int(it.head.n) {
			if !it.nextRange() {
				return false
			}
			continue
		}
		s, i := it.head, it.i
		it.i++
		if it.i == int(s.n) || s.slots[it.i]>>16 != s.slots[i]>>16 {
			it.s = s
			it.e = it.t.decode(s.at(i))
			it.hash = it.t.m.hashOf(it.e.key(s))
			if it.hash < it.first {
				continue
			}
			return true
		}
		it.group, it.g = it.group[:0], 0
		for ; i < int(s.n) && s.slots[i]>>16 == s.slots[it.i]>>16; i++ {
			it.add(s, i)
		}
		it.i = i
		it.sort()
	}
}

func (it *iterator) nextRange() bool {
	if !it.more {
		return false
	}
	t := it.t
	it.head = t.head(it.pos)
	it.i = it.head.lowerBound(it.head.tag(it.pos))
	width := uint64(1) << (64 - it.head.depth) // 0 for the only range
	it.pos = it.pos&^(width-1) + width
	it.more = it.pos != 0
	it.group, it.g = it.group[:0], 0
	if it.head.next != nil {
		for s := it.head; s != nil; s = s.next {
			for i := range int(s.n) {
				it.add(s, i)
			}
		}
		it.sort()
	}
	return true
}

func (it *iterator) add(s *segment, i int) {
	e := it.t.decode(s.at(i))
	if hash := it.t.m.hashOf(e.key(s)); hash >= it.first {
		it.group = append(it.group, place{hash, s, i})
	}
}

func (it *iterator) sort() {
	key := func(p place) []byte {
		e := it.t.decode(p.s.at(p.i))
		return e.key(p.s)
	}
	slices.SortFunc(it.group, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), bytes.Compare(key(a), key(b)))
	})
}

// skipTo leaves out up to n entries of the first range, stopping before entries of equal tag.
func (it *iterator) skipTo(n int) {
	if !it.nextRange() || it.head.next != nil {
		return
	}
	s := it.head
	from := it.i
	i := min(from+n, int(s.n))
	for i > from && i < int(s.n) && s.slots[i-1]>>16 == s.slots[i]>>16 {
		i--
	}
	it.i, it.skipped = i, i-from
}

// cursorShift leaves 48 bits for a cursor: some clients keep it in a float64.
const cursorShift = 16

// scanStep counts what one call of a scan visits. A cursor is the leading bits of the first hash that
// was not visited, so it stays valid whatever becomes of the table, and on every copy.
type scanStep struct {
	cursor uint64
	count  int
	seen   int
	after  uint64
	stop   bool
}

// full tells whether the step ends before an entry with that hash; entries that one cursor cannot tell apart stay together.
func (st *scanStep) full(hash uint64) bool {
	p := hash >> cursorShift
	if st.seen >= max(st.count, 1) && p >= st.after {
		st.stop = true
		return true
	}
	st.seen++
	st.after = p + 1
	return false
}

// cursorAfter is where the next call goes on, 0 at the end.
func (st *scanStep) cursorAfter() uint64 {
	if !st.stop {
		return 0
	}
	return st.after
}

func (t *table) scan(cursor uint64, count int, visit func(s *segment, e *entry)) uint64 {
	if cursor >= 1<<(64-cursorShift) {
		return 0
	}
	st := scanStep{cursor: cursor, count: count}
	for it := t.from(cursor << cursorShift); it.next(); {
		if st.full(it.hash) {
			break
		}
		visit(it.s, &it.e)
	}
	return st.cursorAfter()
}

// Scan visits about count keys from the cursor on, in the order of their hash, and returns the cursor
// for the next call, 0 at the end. A key that exists during a whole scan is visited at least once.
// visit must not change the keyspace.
func (k *Keyspace) Scan(db int, cursor uint64, count int, nowMs int64, visit func(key []byte, v Value)) (next uint64) {
	return k.dbs[db].scan(cursor, count, func(s *segment, e *entry) {
		if !e.expired(nowMs) {
			visit(e.key(s), valueOf(k.dbs[db], s, e))
		}
	})
}

// Each visits every key that exists at nowMs, in the order of their hash, until visit returns false.
// visit must not change the keyspace.
func (k *Keyspace) Each(db int, nowMs int64, visit func(key []byte, v Value) bool) {
	for it := k.dbs[db].from(0); it.next(); {
		if !it.e.expired(nowMs) && !visit(it.e.key(it.s), valueOf(it.t, it.s, &it.e)) {
			return
		}
	}
}

// randomSpread is from how many neighbours in hash order RandomKey picks. One alone would be picked as
// often as the gap before it is wide; that evens out over so many.
const randomSpread = 16

// RandomKey picks a key that exists at nowMs by rnd: every copy with the same keys picks the same.
func (k *Keyspace) RandomKey(db int, rnd uint64, nowMs int64) (key []byte, ok bool) {
	t := k.dbs[db]
	if k.Len(db, nowMs) == 0 {
		return nil, false
	}
	skip := int(mix(rnd, 1) % randomSpread)
	it := t.from(rnd)
	for {
		if !it.next() {
			it = t.from(0)
			continue
		}
		if it.e.expired(nowMs) {
			continue
		}
		if skip == 0 {
			return it.e.key(it.s), true
		}
		skip--
	}
}
