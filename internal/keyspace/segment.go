package keyspace

import (
	"slices"
	"unsafe"
)

const (
	segmentPages = 16
	segmentSlots = pageBytes / 4

	mergeBytes = segmentPages * pageBytes / 4 // two neighbours that together have less become one
)

// segment holds the entries whose hash begins with the same depth bits. Its slots are sorted by tag,
// the 16 bits of the hash that follow those, so that a walk over them is a walk in hash order and a
// place can be guessed from the tag. An entry never crosses a page; what a deletion or a larger value
// leaves behind is garbage until the segment is rewritten.
type segment struct {
	depth    uint8
	npages   uint8
	n        int32                 // slots in use
	fill     int32                 // bytes used of the last page
	live     int32                 // bytes of all entries
	ends     int32                 // bytes that were left at the end of pages, as the next entry was too long
	pending  uint32                // the snapshots, and above them the views, that have not emitted this segment yet
	slots    *[segmentSlots]uint32 // tag<<16 | page<<12 | offset; nil while empty
	pages    [segmentPages]*page
	side     []object // large values, long keys and containers; nil where free
	sideFree int
	next     *segment // same range: an overflow that splitting cannot help
}

func slotsOf(p *page) *[segmentSlots]uint32 { return (*[segmentSlots]uint32)(unsafe.Pointer(p)) }
func pageOf(s *[segmentSlots]uint32) *page  { return (*page)(unsafe.Pointer(s)) }

func (s *segment) tag(hash uint64) uint32 { return uint32(hash << s.depth >> 48) }

func (s *segment) at(i int) []byte {
	place := s.slots[i]
	return s.pages[place>>12&15][place&0xfff:]
}

// lowerBound is the first slot with a tag of at least tag.
func (s *segment) lowerBound(tag uint32) int {
	n := int(s.n)
	if n == 0 {
		return 0
	}
	slots := s.slots[:n]
	i := int(tag) * n >> 16
	key := tag << 16
	if slots[i] >= key {
		for i >= 8 && slots[i-8] >= key {
			i -= 8
		}
		for i > 0 && slots[i-1] >= key {
			i--
		}
		return i
	}
	for i+8 < n && slots[i+8] < key {
		i += 8
	}
	for i < n && slots[i] < key {
		i++
	}
	return i
}

// used is the bytes that the pages have given away.
func (s *segment) used() int32 {
	if s.npages == 0 {
		return 0
	}
	return int32(s.npages-1)*pageBytes + s.fill
}

// garbage is what deletions and larger values have left behind.
func (s *segment) garbage() int32 { return s.used() - s.live - s.ends }

// insertSlot makes slot i point at the given place.
func (s *segment) insertSlot(m *memory, i int, tag uint32, pageNo, off int) {
	if s.slots == nil {
		s.slots = slotsOf(m.get())
	}
	copy(s.slots[i+1:s.n+1], s.slots[i:s.n])
	s.slots[i] = tag<<16 | uint32(pageNo)<<12 | uint32(off)
	s.n++
}

func (s *segment) removeSlot(m *memory, i int) {
	copy(s.slots[i:], s.slots[i+1:s.n])
	s.n--
	if s.n == 0 {
		m.put(pageOf(s.slots))
		s.slots = nil
		s.freePages(m)
	}
}

func (s *segment) freePages(m *memory) {
	for i := range s.npages {
		m.put(s.pages[i])
		s.pages[i] = nil
	}
	s.npages, s.fill, s.live, s.ends = 0, 0, 0, 0
}

// hasRoom tells whether an entry of size bytes can be added, perhaps with a new page.
func (s *segment) hasRoom(size int) bool {
	return s.n < segmentSlots && (s.npages < segmentPages || s.fill+int32(size) <= pageBytes)
}

// alloc finds a place for an entry; hasRoom must hold.
func (s *segment) alloc(m *memory, size int) (b []byte, pageNo, off int) {
	if s.npages == 0 || s.fill+int32(size) > pageBytes {
		if s.npages > 0 {
			s.ends += pageBytes - s.fill
		}
		s.pages[s.npages] = m.get()
		s.npages++
		s.fill = 0
	}
	pageNo, off = int(s.npages)-1, int(s.fill)
	s.fill += int32(size)
	s.live += int32(size)
	return s.pages[pageNo][off:], pageNo, off
}

// addSide keeps o and returns its place.
func (s *segment) addSide(o object) int {
	if s.sideFree > 0 {
		for i, have := range s.side {
			if have == nil {
				s.side[i] = o
				s.sideFree--
				return i
			}
		}
	}
	s.side = append(s.side, o)
	return len(s.side) - 1
}

// takeSide frees a place and returns what was kept there.
func (s *segment) takeSide(i int) object {
	o := s.side[i]
	s.side[i] = nil
	s.sideFree++
	return o
}

// maybeRepack rewrites the entries in the order of their hash, without the garbage, if they fit in that order: as none
// crosses a page, they may need more of them than they did in that of their arrival. What and where the slots are stays,
// so that a snapshot does not mind.
func (s *segment) maybeRepack(t *table) {
	if s.npages == segmentPages && !s.fitsInOrder(t) {
		return
	}
	old, n := s.pages, s.npages
	s.pages, s.npages, s.fill, s.live, s.ends = [segmentPages]*page{}, 0, 0, 0, 0
	for i := range int(s.n) {
		place := s.slots[i]
		b := old[place>>12&15][place&0xfff:]
		e := t.decode(b)
		size := e.size()
		to, pageNo, off := s.alloc(t.m, size)
		copy(to, b[:size])
		s.slots[i] = place&0xffff0000 | uint32(pageNo)<<12 | uint32(off)
	}
	for i := range n {
		t.m.put(old[i])
	}
}

// fitsInOrder tells whether the entries fit into a segment's pages in the order of their hash.
func (s *segment) fitsInOrder(t *table) bool {
	pages, fill := 1, 0
	for i := range int(s.n) {
		e := t.decode(s.at(i))
		if fill += e.size(); fill > pageBytes {
			pages, fill = pages+1, e.size()
		}
	}
	return pages <= segmentPages
}

// take appends an entry of another segment, its objects with it; tags must come in nearly ascending order.
func (s *segment) take(t *table, from *segment, e *entry, tag uint32) {
	size := e.size()
	to, pageNo, off := s.alloc(t.m, size)
	copy(to, e.b[:size])
	if e.flags&(flagOut|flagKeyOut) != 0 {
		var key, val int
		key, val = e.keyLen, e.valLen
		if e.flags&flagKeyOut != 0 {
			key = s.addSide(from.takeSide(e.keyLen))
		}
		if e.flags&flagOut != 0 {
			val = s.addSide(from.takeSide(e.valLen))
		}
		t.setPlaces(to, e, key, val)
	}
	i := int(s.n)
	for i > 0 && s.slots[i-1]>>16 > tag {
		i--
	}
	s.insertSlot(t.m, i, tag, pageNo, off)
}

// clone copies the segment, page by page; the objects get another holder.
func (s *segment) clone(m *memory) *segment {
	c := *s
	c.pending, c.next = 0, nil
	if s.slots != nil {
		c.slots = slotsOf(m.get())
		copy(c.slots[:s.n], s.slots[:s.n])
	}
	for i := range s.npages {
		c.pages[i] = m.get()
		if i == s.npages-1 {
			copy(c.pages[i][:s.fill], s.pages[i][:s.fill])
		} else {
			*c.pages[i] = *s.pages[i]
		}
	}
	c.side = slices.Clone(s.side)
	for _, o := range c.side {
		if o != nil {
			o.retain()
		}
	}
	return &c
}

// copyFrom appends a copy of an entry of another segment, in no order; its objects get another holder.
func (s *segment) copyFrom(t *table, from *segment, e *entry) {
	size := e.size()
	to, pageNo, off := s.alloc(t.m, size)
	copy(to, e.b[:size])
	if e.flags&(flagOut|flagKeyOut) != 0 {
		key, val := e.keyLen, e.valLen
		if e.flags&flagKeyOut != 0 {
			key = s.shareSide(from.side[e.keyLen])
		}
		if e.flags&flagOut != 0 {
			val = s.shareSide(from.side[e.valLen])
		}
		t.setPlaces(to, e, key, val)
	}
	s.insertSlot(t.m, int(s.n), 0, pageNo, off)
}

func (s *segment) shareSide(o object) int {
	o.retain()
	return s.addSide(o)
}
