package keyspace

import "bytes"

// SnapshotsMax is how many snapshots may run at once.
const SnapshotsMax = 16

// Record is one piece of a snapshot: a string, or a run of a hash's fields. Several runs of one key
// may come, in any order and with other keys between them. Its slices are valid during emit.
type Record struct {
	DB         int
	Key        []byte
	Type       Type
	Form       Form     // of a string
	Encoding   Encoding // of a hash: listpack or hashtable
	DeadlineMs int64
	AccessSec  uint32
	Value      []byte   // of a string
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
// emitted it. A segment that is about to change while it is marked is copied first, at most 68 KiB. A big
// hash is emitted segment by segment in the same way, its marks being set when its key is reached.
type Snapshot struct {
	m      *memory
	slot   int
	bit    uint32
	tables [Databases]*table // nil once emitted
	db     int
	pos    uint64  // hash up to which tables[db] has been emitted
	cur    *piece  // being emitted
	early  []piece // copied, to be emitted next
	walks  []*walk // big hashes being emitted

	keys, keysDone   int
	bytes, bytesDone int64
	earlyBytes       int64
	fields           [][]byte
	closed           bool
}

// piece is a segment to be emitted from slot i on.
type piece struct {
	t      *table
	s      *segment
	i      int
	copied bool  // s is the snapshot's own
	db     int   // of keys
	of     *walk // the hash that these fields belong to; nil for keys
}

// walk is the emission of one big hash, as its key was at BeginSnapshot.
type walk struct {
	by  *Snapshot
	t   *table
	pos uint64
	rec Record
}

// BeginSnapshot starts an iteration over the state as it is now. Close ends one early.
func (k *Keyspace) BeginSnapshot() *Snapshot {
	sn := &Snapshot{m: k.m, bytes: k.UsedBytes()}
	for k.m.snaps[sn.slot] != nil {
		sn.slot++
		if sn.slot == SnapshotsMax {
			panic("keyspace: more than SnapshotsMax snapshots")
		}
	}
	k.m.snaps[sn.slot] = sn
	sn.bit = 1 << sn.slot
	for db, t := range k.dbs {
		t.retain()
		t.mark(sn.bit)
		sn.tables[db] = t
		sn.keys += t.n
	}
	return sn
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
		if sn.cur.of != nil {
			sn.emitFields(sn.cur, until, emit)
		} else {
			sn.emitKeys(sn.cur, until, emit)
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
	for _, t := range sn.tables {
		if t != nil {
			t.drop(sn.m)
		}
	}
	sn.early, sn.walks, sn.tables = nil, nil, [Databases]*table{}
	sn.m.snaps[sn.slot] = nil
}

// nextPiece finds what to emit next: what was copied early, then the fields of big hashes that were
// begun, then the next segment of keys.
func (sn *Snapshot) nextPiece() bool {
	if n := len(sn.early); n > 0 {
		p := sn.early[n-1]
		sn.early[n-1] = piece{}
		sn.early = sn.early[:n-1]
		sn.cur = &p
		return true
	}
	for n := len(sn.walks); n > 0; n = len(sn.walks) {
		w := sn.walks[n-1]
		if s := w.t.nextMarked(&w.pos, sn.bit); s != nil {
			sn.cur = &piece{t: w.t, s: s, of: w}
			return true
		}
		sn.walks = sn.walks[:n-1]
		w.end()
	}
	for ; sn.db < Databases; sn.db++ {
		t := sn.tables[sn.db]
		if s := t.nextMarked(&sn.pos, sn.bit); s != nil {
			sn.cur = &piece{t: t, s: s, db: sn.db}
			return true
		}
		t.drop(sn.m)
		sn.tables[sn.db] = nil
		sn.pos = 0
	}
	return false
}

func (sn *Snapshot) finish(p *piece) {
	if p.copied {
		sn.earlyBytes -= p.s.memory()
		p.t.freeSegment(p.s)
		return
	}
	p.s.pending &^= sn.bit
}

func (sn *Snapshot) emitKeys(p *piece, until int64, emit func(Record)) {
	for ; p.i < int(p.s.n) && sn.bytesDone < until; p.i++ {
		e := p.t.decode(p.s.at(p.i))
		r := Record{DB: p.db, Key: e.key(p.s), Type: e.typ(), DeadlineMs: e.due(), AccessSec: e.access()}
		switch r.Type {
		case TypeString:
			r.Form = e.form()
			r.Value = e.value(p.s)
		case TypeHash:
			h := hashAt(p.t.m, p.s, &e)
			if h.fields != nil {
				if !p.copied {
					sn.beginWalk(p.db, p.s, &e, h.fields)
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

func (sn *Snapshot) emitFields(p *piece, until int64, emit func(Record)) {
	r := p.of.rec
	sn.fields = sn.fields[:0]
	n := int64(r.Bytes())
	for ; p.i < int(p.s.n) && sn.bytesDone+n < until; p.i++ {
		e := p.t.decode(p.s.at(p.i))
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

// beginWalk marks the fields of a big hash; from here on they are emitted before they change.
func (sn *Snapshot) beginWalk(db int, s *segment, e *entry, t *table) {
	w := &walk{by: sn, t: t, rec: Record{
		DB: db, Key: bytes.Clone(e.key(s)), Type: TypeHash, Encoding: EncodingHashtable,
		DeadlineMs: e.due(), AccessSec: e.access(), Total: t.n,
	}}
	t.retain()
	t.mark(sn.bit)
	t.walks = append(t.walks, w)
	sn.walks = append(sn.walks, w)
	sn.keysDone++
}

// end takes the marks away that are left, and lets go of the fields.
func (w *walk) end() {
	for i, x := range w.t.walks {
		if x == w {
			w.t.walks = append(w.t.walks[:i], w.t.walks[i+1:]...)
			break
		}
	}
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

// emitPending copies a marked segment for the snapshots and views that have not emitted it.
func (t *table) emitPending(s *segment) {
	pending := s.pending
	s.pending = 0
	for slot, sn := range t.m.snaps {
		if pending&(1<<slot) != 0 && sn != nil {
			sn.emitEarly(t, s)
		}
	}
	for slot, v := range t.m.views {
		if pending&(1<<(SnapshotsMax+slot)) != 0 && v != nil {
			v.save(t, s)
		}
	}
}

func (sn *Snapshot) emitEarly(t *table, s *segment) {
	p := piece{t: t, copied: true}
	if t.keyed {
		for p.db = 0; p.db < Databases && sn.tables[p.db] != t; p.db++ {
		}
		if p.db == Databases {
			return
		}
	} else if p.of = t.walkBy(sn); p.of == nil {
		return // a mark that a closed snapshot has left
	}
	current := sn.cur != nil && sn.cur.s == s
	if current {
		p.i = sn.cur.i
	}
	p.s = s.clone(t.m)
	sn.earlyBytes += p.s.memory()
	if t.keyed && len(s.side) > 0 {
		for i := p.i; i < int(s.n); i++ {
			e := t.decode(s.at(i))
			if fields, ok := e.object(s).(*table); ok {
				sn.beginWalk(p.db, s, &e, fields)
			}
		}
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
