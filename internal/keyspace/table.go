package keyspace

import "bytes"

const (
	// The directory grows to this many segments' worth whatever the hashes are, and beyond only as there are
	// segments: keys made to collide cannot blow it up. They end in overflow segments.
	directoryFreeKeyed  = 1 << 14
	directoryFree       = 1 << 10
	directoryPerSegment = 16

	// A segment is rewritten when so much of it is garbage, and a page at least.
	garbageShare = 8
)

// table is an extendible hash: a directory of segments by the leading bits of the hash. It is a
// database (keyed: its entries have access times and deadlines) or the fields of one big hash.
// Walking the directory is walking in hash order.
type table struct {
	m      *memory
	keyed  bool
	global uint8 // bits that the directory resolves
	refs   int32
	dir    []*segment
	n      int   // entries
	segs   int   // segments
	room   int   // directory entries that were reserved
	weight int64 // logical bytes of all entries
	due    deadlines
	walks  []*walk // of snapshots that have not emitted all of it
}

func newTable(m *memory, keyed bool) *table {
	t := &table{m: m, keyed: keyed, refs: 1, segs: 1}
	t.dir = []*segment{{}}
	if keyed {
		t.due.m = m
	}
	return t
}

// reserve lets the directory grow for n entries that will come in hash order.
func (t *table) reserve(n int) { t.room = max(t.room, n/(segmentSlots/8)) }

func (t *table) head(hash uint64) *segment { return t.dir[hash>>(64-t.global)] }

// span is how many directory entries point at the segment.
func (t *table) span(s *segment) int { return 1 << (t.global - s.depth) }

// find returns where the key is; without it, ok is false and the rest is undefined.
func (t *table) find(hash uint64, key []byte) (s *segment, i int, ok bool) {
	for s = t.head(hash); s != nil; s = s.next {
		tag := s.tag(hash)
		n := int(s.n)
		for i = s.lowerBound(tag); i < n; i++ {
			place := s.slots[i]
			if place>>16 != tag {
				break
			}
			e := t.decode(s.pages[place>>12&15][place&0xfff:])
			if bytes.Equal(e.key(s), key) {
				return s, i, true
			}
		}
	}
	return nil, 0, false
}

// beforeChange lets snapshots and views take what they have not emitted yet. Every change of the entries with a
// hash begins here.
func (t *table) beforeChange(s *segment, hash uint64) {
	if s.pending != 0 {
		t.takePending(s, hash)
	}
}

// insert adds a key that is not there and returns the value's bytes to be filled in.
// With an object, valLen is ignored and nil returned.
func (t *table) insert(hash uint64, key []byte, mt meta, valLen int, o object) []byte {
	sh := t.shapeOf(len(key), valLen, o != nil, mt)
	s := t.place(hash, sh.size)
	t.beforeChange(s, hash)
	b, pageNo, off := s.alloc(t.m, sh.size)
	keyLen := len(key)
	if sh.flags&flagKeyOut != 0 {
		k := t.m.blobs.new(len(key), 0)
		copy(k.b, key)
		keyLen = s.addSide(k)
	}
	var val []byte
	if sh.flags&flagOut != 0 {
		if o == nil {
			v := t.m.blobs.new(valLen, 0)
			val, o = v.b, v
		}
		valLen = s.addSide(o)
	}
	t.encodeHead(b, sh.flags, mt, keyLen, valLen)
	at := sh.head
	if sh.flags&flagKeyOut == 0 {
		at += copy(b[at:], key)
	}
	if sh.flags&flagOut == 0 {
		val = b[at : at+valLen : at+valLen]
	}
	tag := s.tag(hash)
	s.insertSlot(t.m, s.lowerBound(tag), tag, pageNo, off)
	t.n++
	return val
}

// place finds the segment that takes a new entry of size bytes, and makes room there.
func (t *table) place(hash uint64, size int) *segment {
	for {
		head := t.head(hash)
		if head.next != nil && head.depth < t.global {
			t.maybeSplit(hash, head)
			continue
		}
		last := head
		for s := head; s != nil; s = s.next {
			last = s
			if s.n < segmentSlots && s.npages > 0 && s.fill+int32(size) <= pageBytes {
				return s
			}
			if garbage := s.garbage(); s.n < segmentSlots && garbage >= pageBytes && garbage >= s.used()/garbageShare {
				s.maybeRepack(t)
			}
			if s.hasRoom(size) {
				return s
			}
		}
		if t.maybeSplit(hash, head) {
			continue
		}
		s := &segment{depth: head.depth}
		t.savePending(last) // a view walks a range of one segment otherwise
		last.next = s
		t.segs++
		return s
	}
}

// maybeSplit divides the segments of a range into two ranges, unless the directory may not grow.
func (t *table) maybeSplit(hash uint64, head *segment) bool {
	if head.depth == t.global && !t.maybeDouble() {
		return false
	}
	var chain [4]*segment
	from := chain[:0]
	for s := head; s != nil; s = s.next {
		from = append(from, s)
	}
	depth, pending := head.depth+1, t.beforeMove(from...)
	halves := [2]*segment{{depth: depth, pending: pending}, {depth: depth, pending: pending}}
	tails := halves
	t.segs += 2
	for _, s := range from {
		for i := range int(s.n) {
			e := t.decode(s.at(i))
			h := t.m.hashOf(e.key(s))
			side := h >> (64 - depth) & 1
			to := tails[side]
			if !to.hasRoom(e.size()) {
				to.next = &segment{depth: depth, pending: pending}
				to = to.next
				tails[side] = to
				t.segs++
			}
			to.take(t, s, &e, to.tag(h))
		}
		t.releaseSegment(s)
		t.segs--
	}
	t.install(hash, halves[0], halves[1])
	return true
}

// install points the directory's range of hash at two segments, each at half of it.
func (t *table) install(hash uint64, left, right *segment) {
	span := t.span(left)
	first := int(hash>>(64-t.global)) &^ (2*span - 1)
	for i := range span {
		t.dir[first+i] = left
		t.dir[first+span+i] = right
	}
}

func (t *table) maybeDouble() bool {
	free := directoryFree
	if t.keyed {
		free = directoryFreeKeyed
	}
	if 2*len(t.dir) > max(free, t.room, directoryPerSegment*t.segs) || t.global >= 40 {
		return false
	}
	dir := make([]*segment, 2*len(t.dir))
	for i, s := range t.dir {
		dir[2*i], dir[2*i+1] = s, s
	}
	t.dir = dir
	t.global++
	return true
}

// releaseSegment frees the memory of a segment whose entries have moved elsewhere.
func (t *table) releaseSegment(s *segment) {
	if s.slots != nil {
		t.m.put(pageOf(s.slots))
		s.slots = nil
	}
	s.freePages(t.m)
	s.n, s.side, s.sideFree = 0, nil, 0
}

// freeSegment frees a segment with its entries.
func (t *table) freeSegment(s *segment) {
	for _, o := range s.side {
		if o != nil {
			o.drop(t.m)
		}
	}
	t.releaseSegment(s)
}

func (t *table) retain() { t.refs++ }

func (t *table) drop(m *memory) {
	if t.refs--; t.refs > 0 {
		return
	}
	m.bury(t)
	if t.segs <= sweepPieces {
		m.sweep(sweepPieces)
	}
}

// setPlaces rewrites where an entry's objects are.
func (t *table) setPlaces(b []byte, e *entry, key, val int) {
	t.encodeHead(b, e.flags, t.metaOf(e), key, val)
}

func (t *table) metaOf(e *entry) meta {
	if t.keyed {
		return e.meta()
	}
	return meta{typ: e.typ(), form: e.form()}
}

// detach removes slot i. The value's object stays alive if keep is set; it is returned then.
func (t *table) detach(s *segment, i int, keep bool) (o object) {
	e := t.decode(s.at(i))
	if e.flags&flagKeyOut != 0 {
		s.takeSide(e.keyLen).drop(t.m)
	}
	if e.flags&flagOut != 0 {
		o = s.takeSide(e.valLen)
		if !keep {
			o.drop(t.m)
			o = nil
		}
	}
	t.free(s, i, e.size())
	t.n--
	return o
}

// free takes slot i away, and the bytes of its entry.
func (t *table) free(s *segment, i, size int) {
	place := s.slots[i]
	s.live -= int32(size)
	if int(place>>12&15) == int(s.npages)-1 && int32(place&0xfff)+int32(size) == s.fill {
		s.fill -= int32(size)
	}
	s.removeSlot(t.m, i)
}

// remove deletes slot i and gives memory back when much of it has become garbage.
func (t *table) remove(hash uint64, s *segment, i int) {
	t.beforeChange(s, hash)
	t.detach(s, i, false)
	t.shrink(hash, s)
}

func (t *table) shrink(hash uint64, s *segment) {
	head := t.head(hash)
	if s.n == 0 && head.next != nil {
		t.unlink(head, s)
		return
	}
	if s.npages > 1 && s.garbage() >= max(pageBytes, s.used()/garbageShare) {
		s.maybeRepack(t)
	}
	if s.live < mergeBytes/2 && s.depth > 0 && head.next == nil {
		t.maybeMerge(hash, s)
	}
}

// unlink takes an empty segment out of a range of several.
func (t *table) unlink(head, s *segment) {
	t.releaseSegment(s)
	t.segs--
	if s == head {
		t.setRange(head, head.next)
		return
	}
	for p := head; ; p = p.next {
		if p.next == s {
			p.next = s.next
			return
		}
	}
}

func (t *table) setRange(old, s *segment) {
	for i := range t.dir {
		if t.dir[i] == old {
			t.dir[i] = s
		}
	}
}

// maybeMerge joins a segment with its neighbour when little is left of both.
func (t *table) maybeMerge(hash uint64, s *segment) {
	bit := uint64(1) << (64 - s.depth)
	other := t.head(hash ^ bit)
	if other.depth != s.depth || other.next != nil || s.live+other.live > mergeBytes || s.n+other.n > segmentSlots/4 {
		return
	}
	left, right := s, other
	if hash&bit != 0 {
		left, right = other, s
	}
	whole := &segment{depth: s.depth - 1, pending: t.beforeMove(left, right)}
	for half, from := range [2]*segment{left, right} {
		for i := range int(from.n) {
			e := t.decode(from.at(i))
			whole.take(t, from, &e, uint32(half)<<15|from.slots[i]>>17)
		}
	}
	t.releaseSegment(left)
	t.releaseSegment(right)
	t.segs--
	span := t.span(whole)
	first := int(hash>>(64-t.global)) &^ (span - 1)
	for i := range span {
		t.dir[first+i] = whole
	}
}

// rewrite gives slot i a value of valLen bytes, or the object o, and new meta. The value's bytes are
// returned to be filled in; with keep they begin with the old ones, and what is beyond is zero.
// The slot may have moved afterwards.
func (t *table) rewrite(hash uint64, s *segment, i int, mt meta, valLen int, o object, keep bool) []byte {
	t.beforeChange(s, hash)
	e := t.decode(s.at(i))
	if o == nil && e.flags&flagOut == 0 && e.flags&flagDue != 0 == (mt.due != 0) && valLen == e.valLen {
		t.encodeHead(e.b, e.flags&^0x1f|byte(mt.typ)|byte(mt.form)<<3, mt, e.keyLen, valLen)
		return e.value(s)
	}
	if o == nil && e.flags&flagOut != 0 {
		// A large value stays large while it grows, and its memory is used again where it fits.
		if v, ok := s.side[e.valLen].(*blob); ok && (keep || v.refs == 1 && valLen <= cap(v.b) && valLen >= cap(v.b)/2) {
			v = t.m.blobs.grown(v, valLen)
			s.side[e.valLen] = v
			t.rehead(hash, s, i, mt, v)
			return v.b
		}
	}
	if o != nil && e.flags&flagOut != 0 {
		if have := s.side[e.valLen]; have != o {
			have.drop(t.m)
			s.side[e.valLen] = o
		}
		t.rehead(hash, s, i, mt, o)
		return nil
	}
	return t.replace(hash, s, i, &e, mt, valLen, o, keep)
}

// rehead changes the meta of an entry whose value lies outside.
func (t *table) rehead(hash uint64, s *segment, i int, mt meta, o object) {
	e := t.decode(s.at(i))
	if e.flags&flagDue != 0 == (mt.due != 0) {
		t.encodeHead(e.b, e.flags&^0x1f|byte(mt.typ)|byte(mt.form)<<3, mt, e.keyLen, e.valLen)
		return
	}
	o.retain()
	t.replace(hash, s, i, &e, mt, 0, o, false)
}

// replace writes an entry anew, where it is if the new one is not larger or is the last of the segment.
func (t *table) replace(hash uint64, s *segment, i int, e *entry, mt meta, valLen int, o object, keep bool) []byte {
	key := e.key(s)
	sh := t.shapeOf(len(key), valLen, o != nil, mt)
	size := e.size()
	kept := 0
	if keep {
		kept = min(e.valLen, valLen)
	}
	var scratch [2 * entryBytesMax]byte
	if (e.flags|sh.flags)&(flagOut|flagKeyOut) == 0 {
		place := s.slots[i]
		off := int32(place & 0xfff)
		last := int(place>>12&15) == int(s.npages)-1 && off+int32(size) == s.fill
		if sh.size <= size || last && off+int32(sh.size) <= pageBytes {
			// Key and old value move within the entry, so they are taken aside first.
			n := copy(scratch[:], key)
			copy(scratch[n:], e.b[e.valAt:e.valAt+kept])
			t.encodeHead(e.b, sh.flags, mt, n, valLen)
			at := sh.head + copy(e.b[sh.head:], scratch[:n])
			val := e.b[at : at+valLen : at+valLen]
			copy(val, scratch[n:n+kept])
			if keep {
				clear(val[kept:])
			}
			s.live += int32(sh.size - size)
			if last {
				s.fill += int32(sh.size - size)
			}
			return val
		}
	}
	aside := scratch[:0]
	aside = append(aside, key...)
	keyLen := len(aside)
	if keep {
		aside = append(aside, e.value(s)[:kept]...)
	}
	t.detach(s, i, false)
	val := t.insert(hash, aside[:keyLen], mt, valLen, o)
	if keep {
		clear(val[copy(val, aside[keyLen:]):])
	}
	return val
}

// setMeta changes the meta of slot i, which may move.
func (t *table) setMeta(hash uint64, s *segment, i int, mt meta) {
	t.beforeChange(s, hash)
	e := t.decode(s.at(i))
	if e.flags&flagOut != 0 {
		t.rehead(hash, s, i, mt, s.side[e.valLen])
		return
	}
	t.rewrite(hash, s, i, mt, e.valLen, nil, true)
}
