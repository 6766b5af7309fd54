package keyspace

import "bytes"

// Databases is how many databases a keyspace has.
const Databases = 16

// What a key, a deadline and a field of a hash count beyond their bytes. Measured, then fixed: the
// sum must be the same on every copy, whatever its memory looks like.
const (
	keyWeight      = 20
	deadlineWeight = 26
	fieldWeight    = 8
)

// Keyspace is the data of one node. What is read from it must not be used after the keyspace itself
// has become unreachable.
type Keyspace struct {
	m       *memory
	dbs     [Databases]*table
	hooks   Hooks
	change  uint64
	expired uint64
	scratch []byte // a packed value that is being made
}

// New returns an empty keyspace.
func New() *Keyspace {
	k := &Keyspace{m: newMemory()}
	for db := range k.dbs {
		k.dbs[db] = newTable(k.m, true)
	}
	return k
}

// SetSeed gives the keyspace, which must be empty, the secret that keys are placed by. Copies that are
// to be equal, and to iterate in the same order, need the same.
func (k *Keyspace) SetSeed(seed uint64) {
	if k.TotalKeys() > 0 {
		panic("keyspace: a seed for keys that are placed already")
	}
	k.m.key0, k.m.key1 = seed, mix(seed, 0)
}

// SetHooks installs who is told of changes.
func (k *Keyspace) SetHooks(h Hooks) { k.hooks = h }

// spot is where a key is.
type spot struct {
	t    *table
	hash uint64
	s    *segment
	i    int
	e    entry
}

func (p *spot) value() Value { return valueOf(p.t, p.s, &p.e) }

func valueOf(t *table, s *segment, e *entry) Value {
	v := Value{Type: e.typ(), form: e.form(), DeadlineMs: e.due(), access: e.recency()}
	switch v.Type {
	case TypeString:
		v.String = e.value(s)
	case TypeHash:
		v.Hash = hashAt(t.m, s, e)
	}
	return v
}

func (k *Keyspace) find(db int, key []byte) (p spot, ok bool) {
	p.t = k.dbs[db]
	p.hash = k.m.hashOf(key)
	p.s, p.i, ok = p.t.find(p.hash, key)
	if ok {
		p.e = p.t.decode(p.s.at(p.i))
	}
	return p, ok
}

// open finds a key for a mutator: one whose deadline has passed is freed first.
func (k *Keyspace) open(db int, key []byte, nowMs int64) (p spot, ok bool) {
	p, ok = k.find(db, key)
	if ok && p.e.expired(nowMs) {
		k.expire(db, key, &p)
		return p, false
	}
	return p, ok
}

func (k *Keyspace) expire(db int, key []byte, p *spot) {
	if k.hooks.Expired != nil {
		key = bytes.Clone(key) // it may lie in the entry that goes
	}
	k.remove(p)
	k.expired++
	if k.hooks.Expired != nil {
		k.hooks.Expired(db, key)
	}
}

// remove takes the key out of its database.
func (k *Keyspace) remove(p *spot) {
	p.t.weight -= p.t.weightOf(p.s, &p.e)
	p.t.setDue(p.hash, p.e.due(), 0)
	p.t.remove(p.hash, p.s, p.i)
}

// setDue keeps the deadlines in step with an entry.
func (t *table) setDue(hash uint64, old, ms int64) {
	if old == ms {
		return
	}
	if old != 0 {
		t.due.remove(old, hash)
		t.weight -= deadlineWeight
	}
	if ms != 0 {
		t.due.add(ms, hash)
		t.weight += deadlineWeight
	}
}

// weightOf is what an entry counts besides its deadline.
func (t *table) weightOf(s *segment, e *entry) int64 {
	n := keyWeight + int64(len(e.key(s)))
	if e.typ() == TypeHash {
		h := hashAt(t.m, s, e)
		return n + h.weight()
	}
	return n + int64(len(e.value(s)))
}

// Scribble has mappings overwritten when they are free, so that tests see who still looks at them.
func (k *Keyspace) Scribble() { k.m.blobs.scribble = true }

// Get returns the value of a key that exists at nowMs and refreshes its access time.
func (k *Keyspace) Get(db int, key []byte, nowMs int64) (Value, bool) {
	p, ok := k.find(db, key)
	if !ok || p.e.expired(nowMs) {
		return Value{}, false
	}
	p.e.touch(k.m, nowMs)
	return p.value(), true
}

// Peek is Get without refreshing the access time.
func (k *Keyspace) Peek(db int, key []byte, nowMs int64) (Value, bool) {
	p, ok := k.find(db, key)
	if !ok || p.e.expired(nowMs) {
		return Value{}, false
	}
	return p.value(), true
}

// Delete removes the key and tells whether it existed at nowMs.
func (k *Keyspace) Delete(db int, key []byte, nowMs int64) bool {
	p, ok := k.open(db, key, nowMs)
	if !ok {
		return false
	}
	k.remove(&p)
	k.changed(changeDelete, db, key, p.hash, 0)
	return true
}

// SetDeadline gives the key a deadline, or none (0), and tells whether the key exists.
func (k *Keyspace) SetDeadline(db int, key []byte, deadlineMs, nowMs int64) bool {
	p, ok := k.open(db, key, nowMs)
	if !ok {
		return false
	}
	mt := p.e.meta()
	p.t.setDue(p.hash, mt.due, deadlineMs)
	mt.due = deadlineMs
	p.t.setMeta(p.hash, p.s, p.i, mt)
	k.changed(changeDeadline, db, key, p.hash, uint64(deadlineMs))
	return true
}

// Rename moves src with its deadline to dst, replacing what was there, and tells whether src exists.
// Nothing happens when both are the same key.
func (k *Keyspace) Rename(srcDB int, src []byte, dstDB int, dst []byte, nowMs int64) bool {
	p, ok := k.open(srcDB, src, nowMs)
	if !ok || srcDB == dstDB && bytes.Equal(src, dst) {
		return ok
	}
	if q, taken := k.open(dstDB, dst, nowMs); taken {
		k.remove(&q)
	}
	p, _ = k.find(srcDB, src) // making room may have moved it
	mt, v := p.e.meta(), k.lift(&p, false)
	k.remove(&p)
	k.changed(changeDelete, srcDB, src, p.hash, 0)
	k.settle(dstDB, dst, mt, v)
	k.changed(changeMove, dstDB, dst, k.m.hashOf(dst), p.hash)
	return true
}

// Copy copies src with its deadline to dst, replacing what was there, and tells whether src exists.
func (k *Keyspace) Copy(srcDB int, src []byte, dstDB int, dst []byte, nowMs int64) bool {
	p, ok := k.open(srcDB, src, nowMs)
	if !ok || srcDB == dstDB && bytes.Equal(src, dst) {
		return ok
	}
	if q, taken := k.open(dstDB, dst, nowMs); taken {
		k.remove(&q)
	}
	p, _ = k.find(srcDB, src)
	mt, v := p.e.meta(), k.lift(&p, true)
	mt.access = fresh(nowMs)
	k.settle(dstDB, dst, mt, v)
	k.changed(changeMove, dstDB, dst, k.m.hashOf(dst), p.hash)
	return true
}

// lifted is a value on its way from one key to another.
type lifted struct {
	weight int64 // without the key
	inline []byte
	o      object // instead of inline; the lifted value is one of its holders
}

func (k *Keyspace) lift(p *spot, copied bool) lifted {
	v := lifted{weight: p.t.weightOf(p.s, &p.e) - int64(len(p.e.key(p.s)))}
	v.o = p.e.object(p.s)
	switch o := v.o.(type) {
	case nil:
		k.scratch = append(k.scratch[:0], p.e.value(p.s)...)
		v.inline = k.scratch
	case *table:
		if copied {
			v.o = o.copy()
		} else {
			o.retain()
		}
	default:
		o.retain()
	}
	return v
}

func (k *Keyspace) settle(db int, key []byte, mt meta, v lifted) {
	t, hash := k.dbs[db], k.m.hashOf(key)
	t.weight += v.weight + int64(len(key))
	t.setDue(hash, 0, mt.due)
	copy(t.insert(hash, key, mt, len(v.inline), v.o), v.inline)
}

// Swap lets two databases change places.
func (k *Keyspace) Swap(a, b int) {
	k.dbs[a], k.dbs[b] = k.dbs[b], k.dbs[a]
	k.note(changeSwap, uint64(a), uint64(b), 0)
	if k.hooks.Swapped != nil {
		k.hooks.Swapped(a, b)
	}
}

// Flush empties a database at once; its memory is freed piece by piece, by Reclaim and as it is needed.
func (k *Keyspace) Flush(db int) {
	old := k.dbs[db]
	k.dbs[db] = newTable(k.m, true)
	old.drop(k.m)
	k.note(changeFlush, uint64(db), 0, 0)
	if k.hooks.Flushed != nil {
		k.hooks.Flushed(db)
	}
}

// FlushAll empties every database.
func (k *Keyspace) FlushAll() {
	for db := range k.dbs {
		k.Flush(db)
	}
}

// Len is how many keys of the database exist at nowMs.
func (k *Keyspace) Len(db int, nowMs int64) int {
	t := k.dbs[db]
	return t.n - t.due.until(nowMs)
}

// TotalKeys is how many keys all databases hold, those included that have expired and are not reclaimed.
func (k *Keyspace) TotalKeys() int {
	n := 0
	for _, t := range k.dbs {
		n += t.n
	}
	return n
}

// ExpiredKeys is how many keys were freed because their deadline had passed.
func (k *Keyspace) ExpiredKeys() uint64 { return k.expired }

// NextDeadlineMs is the earliest deadline of any key, 0 when there is none.
func (k *Keyspace) NextDeadlineMs() int64 {
	next := int64(0)
	for _, t := range k.dbs {
		if d, ok := t.due.min(); ok && (next == 0 || d.ms < next) {
			next = d.ms
		}
	}
	return next
}

// Expires is how many keys that exist at nowMs have a deadline, and about how far off it is on average.
func (k *Keyspace) Expires(db int, nowMs int64) (keys int, avgTTLMs int64) {
	d := &k.dbs[db].due
	return d.n - d.until(nowMs), d.averageAfter(nowMs)
}

// UsedBytes is the logical size of the data, the same on every copy.
func (k *Keyspace) UsedBytes() int64 {
	var n int64
	for _, t := range k.dbs {
		n += t.weight
	}
	return n
}

// reclaimPieces is how much of dropped databases one Reclaim frees: about 4 MiB.
const reclaimPieces = 64

// Reclaim frees at most max keys whose deadline is at or before nowMs, in the order of (deadline,
// database, key hash), and returns how many. It also frees some of what flushes left behind, and moves some of what deletions left scattered.
func (k *Keyspace) Reclaim(nowMs int64, max int) int {
	k.m.sweep(reclaimPieces)
	k.m.blobs.compact()
	for n := 0; n < max; n++ {
		db := -1
		var first due
		for i, t := range k.dbs {
			if d, ok := t.due.min(); ok && d.ms <= nowMs && (db < 0 || d.ms < first.ms) {
				db, first = i, d
			}
		}
		if db < 0 {
			return n
		}
		p := k.dbs[db].findDue(first)
		k.expire(db, p.e.key(p.s), &p)
		k.note(changeExpire, uint64(db), first.hash, uint64(first.ms))
	}
	return max
}

// findDue returns the key that a deadline belongs to: of several, the least.
func (t *table) findDue(d due) (p spot) {
	p.t, p.hash = t, d.hash
	for s := t.head(d.hash); s != nil; s = s.next {
		tag := s.tag(d.hash)
		for i := s.lowerBound(tag); i < int(s.n) && s.slots[i]>>16 == tag; i++ {
			e := t.decode(s.at(i))
			key := e.key(s)
			if e.due() == d.ms && t.m.hashOf(key) == d.hash && (p.s == nil || bytes.Compare(key, p.e.key(p.s)) < 0) {
				p.s, p.i, p.e = s, i, e
			}
		}
	}
	if p.s == nil {
		panic("keyspace: a deadline without its key")
	}
	return p
}

// The kinds of change that ChangeHash tells apart.
const (
	changeSet = iota + 1
	changeAppend
	changeRange
	changeDelete
	changeDeadline
	changeMove
	changeSwap
	changeFlush
	changeExpire
	changeField
	changeFieldGone
)

// ChangeHash accumulates everything that was changed since ResetChangeHash, in its order.
func (k *Keyspace) ChangeHash() uint64 { return k.change }

// ResetChangeHash starts a new accumulation.
func (k *Keyspace) ResetChangeHash() { k.change = 0 }

func (k *Keyspace) note(kind, a, b, c uint64) {
	k.change = mix(mix(mix(k.change^kind, a), b), c)
}

func mix(h, x uint64) uint64 {
	h = (h ^ x) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

func (k *Keyspace) changed(kind uint64, db int, key []byte, keyHash, what uint64) {
	k.note(kind, keyHash, uint64(db), what)
	if k.hooks.Changed != nil {
		k.hooks.Changed(db, key)
	}
}
