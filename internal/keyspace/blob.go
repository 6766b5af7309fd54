package keyspace

import (
	"runtime"
	"sort"
	"unsafe"
)

// object is a value, or a long key, that lies outside its segment. Lists, sets and the like will be
// further ones; a snapshot must know how to emit each.
type object interface {
	// retain adds a holder. An object with several holders is not changed in place.
	retain()
	// drop takes a holder away, and frees the object with the last.
	drop(m *memory)
}

// blob is bytes outside a segment: a large string, a large packed hash, a long key. Those with a block of a span lie
// outside Go's heap themselves (see heads): a collector that had to mark each of them would do little else.
type blob struct {
	b    []byte
	refs int32
	span uint32 // its number; 0: a mapping of its own, or Go's heap
	head uint32 // the blob's number in heads
	at   uint16 // which block of the span
}

// loner is a blob that has no block of a span.
type loner struct {
	blob
	mem     []byte // a mapping of its own; nil: it is in Go's heap
	own     runtime.Cleanup
	counted bool // in what the data takes; a region is when a string has taken it
}

func (o *blob) retain() { o.refs++ }

func (o *blob) drop(m *memory) {
	if o.refs--; o.refs == 0 {
		m.blobs.release(o)
	}
}

const (
	smallSpan = 64 << 10 // blocks of up to a quarter
	largeSpan = 1 << 20

	// Larger ones get a mapping each, until there are so many that the system's limit (65,530) could be near.
	blobMappingsMax = 16 << 10

	residentSpans = 16 // free small spans that are kept as they are

	// Free mappings are kept up to here, and no more than some times what is in use.
	spareBytesMax = 32 << 20
	hugeMin       = 2 << 20 // of a mapping, for huge pages
)

// blobs hands out blocks in sizes that waste at most an eighth or so. A span is blocks of one size; when
// all of them are free it can become one of another.
type blobs struct {
	m        *memory
	heads    heads
	classes  []blobClass // by block size
	spans    []*span     // by number; none has 0
	numbers  []uint32    // of spans that are no more
	free     [2][][]byte // spans, small and large
	mappings int
	spares   *spares
	scribble bool   // tests: mappings that are free are overwritten
	live     int    // blobs in use
	bytes    int64  // of their blocks
	sparse   uint64 // the classes that compact has to look at
	emptied  *span  // by compact
}

type blobClass struct {
	number  int
	block   int
	span    int
	live    int     // blocks in use
	vacant  int     // free blocks of partial
	partial []*span // with free blocks; the last is used first
	look    int     // where in partial compact looks next
}

type span struct {
	number uint32
	mem    []byte
	class  *blobClass
	free   []uint16 // blocks
	heads  []uint32 // by block, 0 of those that are free; nil of a large span
	live   int
	place  int // in class.partial; -1 while it is full, or emptied
}

func newBlobs(m *memory) blobs {
	a := blobs{m: m, spans: []*span{nil}, spares: &spares{max: spareBytesMax}}
	runtime.AddCleanup(m, func(s *spares) { s.trim(0) }, a.spares)
	for _, n := range []int{128, 96, 80, 64, 56, 51, 45, 40, 36, 32, 28, 25, 22, 20, 18, 16, 14, 12, 11, 10, 9, 8, 7, 6, 5, 4} {
		a.classes = append(a.classes, blobClass{number: len(a.classes), block: smallSpan / n &^ 7, span: smallSpan})
	}
	for _, n := range []int{56, 48, 40, 36, 32, 28, 24, 20, 18, 16, 14, 12, 11, 10, 9, 8, 7, 6, 5, 4} {
		a.classes = append(a.classes, blobClass{number: len(a.classes), block: largeSpan / n &^ (pageBytes - 1), span: largeSpan})
	}
	return a
}

// copyStep is what is copied in one go: a goroutine that copies cannot be interrupted, and half a
// gigabyte takes longer than a node may be silent.
const copyStep = 4 << 20

// copyLong is copy, with pauses for other goroutines.
func copyLong(to, from []byte) (n int) {
	for ; len(from)-n > copyStep; n += copyStep {
		copy(to[n:], from[n:n+copyStep])
		runtime.Gosched()
	}
	return n + copy(to[n:], from[n:])
}

// new returns a blob of n bytes, not zeroed, with room for at least capacity.
func (a *blobs) new(n, capacity int) *blob {
	o := a.take(n, capacity)
	a.count(o, 1)
	return o
}

// count adds a blob to what the data takes, or with -1 takes it off.
func (a *blobs) count(o *blob, sign int) {
	a.live += sign
	a.bytes += int64(sign * cap(o.b))
}

func (a *blobs) take(n, capacity int) *blob {
	capacity = max(n, capacity)
	i := sort.Search(len(a.classes), func(i int) bool { return a.classes[i].block >= capacity })
	if i < len(a.classes) {
		return a.block(&a.classes[i], n)
	}
	o := a.mapped(capacity)
	if o == nil {
		o = &loner{blob: blob{b: make([]byte, n, capacity), refs: 1}}
	}
	o.b, o.counted = o.b[:n], true
	return &o.blob
}

// mapped returns a loner with room for so many bytes in a mapping of its own, nil if there is none to be had.
func (a *blobs) mapped(bytes int) *loner {
	bytes = (bytes + pageBytes - 1) &^ (pageBytes - 1)
	mem := a.spares.take(bytes)
	if mem == nil {
		var ours bool
		if a.mappings == blobMappingsMax {
			return nil
		}
		if mem, ours = mapBytes(bytes); !ours {
			return nil
		}
		if bytes >= hugeMin {
			wantHuge(mem)
		}
	}
	a.mappings++
	o := &loner{blob: blob{b: mem[:bytes:bytes], refs: 1}, mem: mem}
	o.own = runtime.AddCleanup(o, unmapBytes, mem)
	return o
}

// giveSpare lets a mapping be used again, or gives it back.
func (a *blobs) giveSpare(mem []byte) {
	if a.scribble {
		for i := range mem {
			mem[i] = 0xa5
		}
	}
	a.spares.give(mem)
	a.trimSpares()
}

// trimSpares keeps no more free mappings than what is in use is worth.
func (a *blobs) trimSpares() { a.spares.trim(min(a.spares.max, 4*a.bytes)) }

func (a *blobs) block(c *blobClass, n int) *blob {
	o := a.heads.take(a.m) // first: it may free blocks
	if len(c.partial) == 0 {
		a.addSpan(c)
	}
	c.live++
	o.refs = 1
	c.put(o, n)
	return o
}

// put gives o a free block of a span that has one.
func (c *blobClass) put(o *blob, n int) {
	last := len(c.partial) - 1
	s := c.partial[last]
	i := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	s.live++
	c.vacant--
	if len(s.free) == 0 {
		c.partial = c.partial[:last]
		s.place = -1
	}
	if s.heads != nil {
		s.heads[i] = o.head
	}
	at := int(i) * c.block
	o.b, o.span, o.at = s.mem[at:at+n:at+c.block], s.number, i
}

func (a *blobs) addSpan(c *blobClass) {
	free := a.freeSpans(c.span)
	if len(*free) == 0 {
		chunk := a.m.mapChunk(min(max(8*c.span, chunkBytesMin), chunkBytesMax))
		for ; len(chunk) > 0; chunk = chunk[c.span:] {
			*free = append(*free, chunk[:c.span:c.span])
		}
	}
	last := len(*free) - 1
	s := &span{mem: (*free)[last], class: c}
	*free = (*free)[:last]
	if n := len(a.numbers); n > 0 {
		s.number, a.numbers = a.numbers[n-1], a.numbers[:n-1]
		a.spans[s.number] = s
	} else {
		s.number = uint32(len(a.spans))
		a.spans = append(a.spans, s)
	}
	n := c.span / c.block
	for i := n - 1; i >= 0; i-- {
		s.free = append(s.free, uint16(i))
	}
	if c.span == smallSpan {
		s.heads = make([]uint32, n)
	}
	s.join()
}

func (a *blobs) freeSpans(bytes int) *[][]byte {
	if bytes == smallSpan {
		return &a.free[0]
	}
	return &a.free[1]
}

// release gives a blob's block back. A free block of a page or more loses its memory to the system, and
// so does a free span but for a few.
func (a *blobs) release(o *blob) {
	if o.span == 0 {
		l := (*loner)(unsafe.Pointer(o))
		if l.counted {
			a.count(o, -1)
		}
		if l.mem != nil {
			l.own.Stop()
			a.mappings--
			a.giveSpare(l.mem)
		}
		l.b, l.mem = nil, nil
		return
	}
	a.count(o, -1)
	if a.spares.bytes > 4*a.bytes {
		a.trimSpares()
	}
	s := a.spans[o.span]
	c := s.class
	c.live--
	s.leave(o.at)
	if s != a.emptied {
		if s.place < 0 {
			s.join()
		} else {
			c.vacant++
		}
		a.noticeSparse(c)
	}
	if c.span == largeSpan {
		giveBack(o.b[:c.block])
	}
	a.heads.give(o)
	if s.live == 0 {
		a.freeSpan(s)
	}
}

// leave marks a block as free.
func (s *span) leave(at uint16) {
	s.free = append(s.free, at)
	s.live--
	if s.heads != nil {
		s.heads[at] = 0
	}
}

// join has the class use the span's free blocks.
func (s *span) join() {
	c := s.class
	s.place = len(c.partial)
	c.partial = append(c.partial, s)
	c.vacant += len(s.free)
}

// part has the class use them no more.
func (s *span) part() {
	c := s.class
	last := len(c.partial) - 1
	c.partial[s.place] = c.partial[last]
	c.partial[s.place].place = s.place
	c.partial = c.partial[:last]
	s.place = -1
	c.vacant -= len(s.free)
}

func (a *blobs) freeSpan(s *span) {
	if s == a.emptied {
		a.emptied = nil
	} else {
		s.part()
	}
	a.spans[s.number] = nil
	a.numbers = append(a.numbers, s.number)
	free := a.freeSpans(s.class.span)
	if len(*free) >= residentSpans && s.class.span == smallSpan {
		giveBack(s.mem)
	}
	*free = append(*free, s.mem)
}

// grown returns o, or a copy that may be changed, with a length of n. What is beyond the old length is zero.
func (a *blobs) grown(o *blob, n int) *blob {
	old := len(o.b)
	if o.refs == 1 && n <= cap(o.b) {
		o.b = o.b[:n]
		if n > old {
			clear(o.b[old:])
		}
		return o
	}
	capacity := n
	if n > old {
		capacity += n / 4 // what grew once grows again
	}
	c := a.new(n, capacity)
	clear(c.b[copyLong(c.b, o.b[:min(old, n)]):])
	o.drop(a.m)
	return c
}
