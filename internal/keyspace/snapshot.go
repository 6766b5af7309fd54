package keyspace

import (
	"bytes"
	"math"
	"slices"
)

// SnapshotsMax is how many snapshots may run at once.
const SnapshotsMax = 16

// Record is one piece of a snapshot: a string or, of a long one, a part; or a run of a hash's fields. The
// parts of a string come one behind the other. Several runs of one hash may come, in any order and with other
// keys between them. Its slices are valid during emit.
type Record struct {
	DB         int
	Key        []byte
	Type       Type
	Form       Form     // of a string
	Encoding   Encoding // of a hash: listpack or hashtable
	DeadlineMs int64
	Recency    uint32   // opaque; a node of the protocol version before has the second of the last access here
	Value      []byte   // of a string
	Offset     int      // of Value in a string that comes in parts
	Whole      int      // its bytes, 0 for a string that comes in one piece
	Fields     [][]byte // of a hash: field, value, field, value ...
	Total      int      // of a hash: its fields in all runs
}

// Bytes is about what the record weighs.
func (r *Record) Bytes() int {
	n := len(r.Key) + len(r.Value) + keyWeight
	for _, f := range r.Fields {
		n += len(f) + fieldWeight/2
	}
	return n
}

// Snapshot is an iterator over the keyspace as it was at BeginSnapshot, while mutations go on. Nothing
// is copied at the beginning: every segment is marked, and loses its mark when the iterator has
// emitted it. An entry of a marked segment that is about to change is copied first, once; of what comes to be there
// meanwhile nothing is emitted. Marks pass on to the segments that entries move to. A big hash is emitted segment
// by segment in the same way, its marks being set when its key is reached.
type Snapshot struct {
	m         *memory
	slot      int
	bit       uint32
	cur       *piece  // being emitted
	early     []piece // copied, to be emitted next
	walks     []*walk // the last is being emitted, and ends before the others go on
	partBytes int

	keys, keysDone   int
	bytes, bytesDone int64
	earlyBytes       int64
	fields           [][]byte
	closed           bool
}

// piece is a segment to be emitted from slot i on.
type piece struct {
	of     *walk
	s      *segment
	i      int
	offset int  // in the string at i, of which a part has been emitted
	copied bool // s is the snapshot's own
	taken  bool // s consists of entries that were copied because they were about to change
}

// walk is the emission of one table as it was when its marks were set: a database, or the fields of one big hash.
type walk struct {
	by    *Snapshot
	t     *table
	pos   uint64 // hash up to which it has been emitted
	rec   Record // of fields: what their records begin with; of keys: the database
	taken map[uint64]struct{}
	early *segment // taken entries, with room for more
}

// BeginSnapshot starts an iteration over the state as it is now. Strings of more than partBytes bytes are emitted in
// parts of so many; 0 leaves them whole. Close ends one early.
func (k *Keyspace) BeginSnapshot(partBytes int) *Snapshot {
	sn := &Snapshot{m: k.m, bytes: k.UsedBytes(), partBytes: partBytes}
	if partBytes == 0 {
		sn.partBytes = math.MaxInt
	}
	for k.m.snaps[sn.slot] != nil {
		sn.slot++
		if sn.slot == SnapshotsMax {
			panic("keyspace: more than SnapshotsMax snapshots")
		}
	}
	k.m.snaps[sn.slot] = sn
	sn.bit = 1 << sn.slot
	for db := Databases - 1; db >= 0; db-- {
		sn.begin(k.dbs[db], Record{DB: db})
		sn.keys += k.dbs[db].n
	}
	return sn
}

// begin marks a table, to be emitted next.
func (sn *Snapshot) begin(t *table, rec Record) {
	w := &walk{by: sn, t: t, rec: rec, taken: map[uint64]struct{}{}}
	t.retain()
	t.mark(sn.bit)
	t.walks = append(t.walks, w)
	sn.walks = append(sn.walks, w)
}

// TotalKeys is how many keys the snapshot has, those that have expired and are not reclaimed included.
func (sn *Snapshot) TotalKeys() int { return sn.keys }

// KeysDone is how many keys have been emitted, or have begun to be.
func (sn *Snapshot) KeysDone() int { return sn.keysDone }

// BytesEstimate is about how many bytes all records together have (Record.Bytes).
func (sn *Snapshot) BytesEstimate() int64 { return sn.bytes }

// BytesDone is how many bytes have been emitted.
func (sn *Snapshot) BytesDone() int64 { return sn.bytesDone }

// EarlyBytes is how much memory is held by copies of what changed before it was emitted.
func (sn *Snapshot) EarlyBytes() int64 { return sn.earlyBytes }

// Next emits records of about maxBytes, at least one if any is left, and tells whether that was all.
// emit must not change the keyspace.
func (sn *Snapshot) Next(maxBytes int, emit func(Record)) (done bool) {
	until := sn.bytesDone + int64(max(maxBytes, 1))
	for sn.bytesDone < until {
		if sn.cur == nil && !sn.nextPiece() {
			sn.Close()
			return true
		}
		if sn.cur.of.t.keyed {
			sn.emitKeys(sn.cur, until, emit)
		} else {
			sn.emitFields(sn.cur, until, emit)
		}
		if sn.cur.i >= int(sn.cur.s.n) {
			sn.finish(sn.cur)
			sn.cur = nil
		}
	}
	return false
}

// Close ends the iteration; the keyspace keeps nothing for it any more.
func (sn *Snapshot) Close() {
	if sn.closed {
		return
	}
	sn.closed = true
	if sn.cur != nil {
		sn.finish(sn.cur)
		sn.cur = nil
	}
	for i := range sn.early {
		sn.finish(&sn.early[i])
	}
	for _, w := range sn.walks {
		w.end()
	}
	sn.early, sn.walks = nil, nil
	sn.m.snaps[sn.slot] = nil
}

// nextPiece finds what to emit next: what was copied early, then the fields of the big hash that was reached
// last, then the next segment of keys.
func (sn *Snapshot) nextPiece() bool {
	if n := len(sn.early); n > 0 {
		p := sn.early[n-1]
		sn.early[n-1] = piece{}
		sn.early = sn.early[:n-1]
		if p.of.early == p.s {
			p.of.early = nil
		}
		sn.cur = &p
		return true
	}
	for n := len(sn.walks); n > 0; n = len(sn.walks) {
		w := sn.walks[n-1]
		if s := w.t.nextMarked(&w.pos, sn.bit); s != nil {
			sn.cur = &piece{of: w, s: s}
			return true
		}
		sn.walks = sn.walks[:n-1]
		w.end()
	}
	return false
}

func (sn *Snapshot) finish(p *piece) {
	if p.copied {
		sn.earlyBytes -= p.s.memory()
		p.of.t.freeSegment(p.s)
		return
	}
	p.s.pending &^= sn.bit
}

// next decodes the entry at hand; ok is false for one that was taken, or has come since.
func (p *piece) next() (e entry, ok bool) {
	e = p.of.t.decode(p.s.at(p.i))
	if p.taken || len(p.of.taken) == 0 {
		return e, true
	}
	_, gone := p.of.taken[p.of.t.m.hashOf(e.key(p.s))]
	return e, !gone
}

func (sn *Snapshot) emitKeys(p *piece, until int64, emit func(Record)) {
	for ; p.i < int(p.s.n) && sn.bytesDone < until; p.i++ {
		e, ok := p.next()
		if !ok {
			continue
		}
		r := Record{DB: p.of.rec.DB, Key: e.key(p.s), Type: e.typ(), DeadlineMs: e.due(), Recency: uint32(e.recency())}
		switch r.Type {
		case TypeString:
			r.Form = e.form()
			r.Value = e.value(p.s)
			if len(r.Value) > sn.partBytes {
				sn.emitPart(p, r, emit)
				continue
			}
		case TypeHash:
			h := hashAt(sn.m, p.s, &e)
			if h.fields != nil {
				if !p.copied {
					sn.beginFields(p.of, p.s, &e, h.fields)
				}
				continue
			}
			r.Encoding, r.Total = h.Encoding(), h.Len()
			sn.fields = sn.fields[:0]
			h.packed.each(func(field, value []byte) bool {
				sn.fields = append(sn.fields, field, value)
				return true
			})
			r.Fields = sn.fields
		}
		sn.keysDone++
		sn.bytesDone += int64(r.Bytes())
		emit(r)
	}
}

// emitPart emits the next part of the long string at p, and has p stay there until the last.
func (sn *Snapshot) emitPart(p *piece, r Record, emit func(Record)) {
	r.Offset, r.Whole = p.offset, len(r.Value)
	p.offset = min(p.offset+sn.partBytes, r.Whole)
	r.Value = r.Value[r.Offset:p.offset]
	if p.offset == r.Whole {
		p.offset = 0
		sn.keysDone++
	} else {
		p.i--
	}
	sn.bytesDone += int64(r.Bytes())
	emit(r)
}

func (sn *Snapshot) emitFields(p *piece, until int64, emit func(Record)) {
	r := p.of.rec
	sn.fields = sn.fields[:0]
	n := int64(r.Bytes())
	for ; p.i < int(p.s.n) && sn.bytesDone+n < until; p.i++ {
		e, ok := p.next()
		if !ok {
			continue
		}
		field, value := e.key(p.s), e.value(p.s)
		sn.fields = append(sn.fields, field, value)
		n += fieldBytes(field, value)
	}
	sn.bytesDone += n
	r.Fields = sn.fields
	if len(r.Fields) > 0 {
		emit(r)
	}
}

// beginFields marks the fields of a big hash.
func (sn *Snapshot) beginFields(keys *walk, s *segment, e *entry, t *table) {
	sn.begin(t, Record{DB: keys.rec.DB, Key: bytes.Clone(e.key(s)), Type: TypeHash, Encoding: EncodingHashtable,
		DeadlineMs: e.due(), Recency: uint32(e.recency()), Total: t.n})
	sn.keysDone++
}

// end lets go of the table. All marks have been taken away, or mean nothing any more.
func (w *walk) end() {
	w.t.walks = slices.DeleteFunc(w.t.walks, func(x *walk) bool { return x == w })
	w.t.drop(w.by.m)
}

// mark sets a snapshot's mark on every segment.
func (t *table) mark(bit uint32) {
	for d := 0; d < len(t.dir); d += t.span(t.dir[d]) {
		for s := t.dir[d]; s != nil; s = s.next {
			s.pending |= bit
		}
	}
}

// nextMarked finds the next marked segment at or after pos. A position of all ones is the end.
func (t *table) nextMarked(pos *uint64, bit uint32) *segment {
	for *pos != ^uint64(0) {
		head := t.head(*pos)
		for s := head; s != nil; s = s.next {
			if s.pending&bit != 0 {
				return s
			}
		}
		width := uint64(1) << (64 - head.depth)
		*pos = *pos&^(width-1) + width
		if *pos == 0 {
			*pos = ^uint64(0)
		}
	}
	return nil
}

const viewBits = (1<<ViewsMax - 1) << SnapshotsMax

// takePending lets the snapshots and views that have not emitted a marked segment take what will change with a hash.
func (t *table) takePending(s *segment, hash uint64) {
	t.savePending(s)
	for slot, sn := range t.m.snaps {
		if s.pending&(1<<slot) == 0 || sn == nil {
			continue
		}
		w, head := t.walkBy(sn), t.head(hash)
		switch {
		case w == nil:
			s.pending &^= sn.bit // a mark that a closed snapshot has left
		case head.next != nil:
			for x := head; x != nil; x = x.next {
				if x.pending&sn.bit != 0 {
					w.takeWhole(x) // another may have entries with this hash, and be at hand
				}
			}
		case sn.cur != nil && sn.cur.s == s:
			w.takeWhole(s) // what is at its slots changes
		default:
			w.take(s, hash)
		}
	}
	for slot, sn := range t.m.snaps {
		if sn == nil {
			s.pending &^= 1 << slot
		}
	}
}

// savePending copies a marked segment for the views.
func (t *table) savePending(s *segment) {
	if s.pending&viewBits == 0 {
		return
	}
	for slot, v := range t.m.views {
		if s.pending&(1<<(SnapshotsMax+slot)) != 0 && v != nil {
			v.save(t, s)
		}
	}
	s.pending &^= viewBits
}

// beforeMove lets snapshots and views take what they must before the entries of some segments move to others,
// and returns the marks that these get: those that all of them have.
func (t *table) beforeMove(from ...*segment) (pending uint32) {
	pending = ^uint32(0)
	for _, s := range from {
		t.savePending(s)
		for slot, sn := range t.m.snaps {
			if sn == nil {
				s.pending &^= 1 << slot
			} else if s.pending&sn.bit != 0 && sn.cur != nil && sn.cur.s == s {
				t.walkBy(sn).takeWhole(s)
			}
		}
		pending &= s.pending
	}
	for _, s := range from {
		for _, sn := range t.m.snaps {
			if sn == nil || s.pending&^pending&sn.bit == 0 {
				continue
			}
			if w := t.walkBy(sn); w != nil {
				w.takeWhole(s)
			}
		}
	}
	return pending
}

// take copies the entries with a hash, as they are before one of them changes. None of them, nor one that comes
// to be there, is emitted where it is.
func (w *walk) take(s *segment, hash uint64) {
	if _, ok := w.taken[hash]; ok {
		return
	}
	w.taken[hash] = struct{}{}
	tag := s.tag(hash)
	for i := s.lowerBound(tag); i < int(s.n) && s.slots[i]>>16 == tag; i++ {
		if e := w.t.decode(s.at(i)); w.t.m.hashOf(e.key(s)) == hash {
			w.takeEntry(s, &e)
		}
	}
}

func (w *walk) takeEntry(s *segment, e *entry) {
	sn, size := w.by, e.size()
	if fields, ok := e.object(s).(*table); ok {
		sn.beginFields(w, s, e, fields)
		return
	}
	if w.early == nil || !w.early.hasRoom(size) {
		w.early = &segment{}
		sn.early = append(sn.early, piece{of: w, s: w.early, copied: true, taken: true})
	}
	to := w.early
	sn.earlyBytes -= to.memory()
	to.copyFrom(w.t, s, e)
	sn.earlyBytes += to.memory()
}

// takeWhole copies a segment with the mark, and takes the mark away.
func (w *walk) takeWhole(s *segment) {
	sn := w.by
	s.pending &^= sn.bit
	p := piece{of: w, s: s.clone(w.t.m), copied: true}
	sn.earlyBytes += p.s.memory()
	current := sn.cur != nil && sn.cur.s == s
	if current {
		p.i, p.offset = sn.cur.i, sn.cur.offset
	}
	if w.t.keyed && len(s.side) > 0 {
		from := p.i
		for ; p.i < int(s.n); p.i++ {
			e, ok := p.next()
			if fields, big := e.object(p.s).(*table); ok && big {
				sn.beginFields(w, p.s, &e, fields)
			}
		}
		p.i = from
	}
	if current {
		sn.cur = &p
		return
	}
	sn.early = append(sn.early, p)
}

func (t *table) walkBy(sn *Snapshot) *walk {
	for _, w := range t.walks {
		if w.by == sn {
			return w
		}
	}
	return nil
}

// memory is the bytes of the segment's pages.
func (s *segment) memory() int64 {
	n := int64(s.npages) * pageBytes
	if s.slots != nil {
		n += pageBytes
	}
	return n
}
