package keyspace

import "unsafe"

// What Go's heap has of the data: measured, as a share of what lies outside it.
const (
	headBytes    = int64(unsafe.Sizeof(blob{})) // of each blob, outside it
	pageOverhead = 24                           // of each page: its part of the segment, or leaf, that it belongs to
	blobOverhead = 40                           // of each blob: its place in the segment's side
	slotBytes    = 4
	dueBytes     = 16
	// Pages and leaves are filled to about this share of 1024.
	fillShare = 860
)

// MemoryBytes is what the data takes of the process's memory. Copies that are equal may differ in it, as it depends on
// their history; UsedBytes does not. What is free and will be used again is not in it, what was dropped and is swept up
// before anything is asked of the system neither.
func (k *Keyspace) MemoryBytes() int64 { return k.m.bytes() - k.m.inGraves() }

// FreeBytes is what is resident, free, and used before anything is asked of the system.
func (k *Keyspace) FreeBytes() int64 { return int64(len(k.m.dirty))*pageBytes + k.m.inGraves() }

// Dropped says whether there are databases or values whose memory Reclaim has still to free.
func (k *Keyspace) Dropped() bool {
	b := &k.m.blobs
	return len(k.m.graves) > 0 || b.heads.idle() || b.sparse != 0 || b.emptied != nil
}

// MemoryOf is about what a key takes of the process's memory, its share of what keeps it included.
func (k *Keyspace) MemoryOf(db int, key []byte, nowMs int64) (int64, bool) {
	p, ok := k.find(db, key)
	if !ok || p.e.expired(nowMs) {
		return 0, false
	}
	return p.t.memoryOf(p.s, &p.e), true
}

func (t *table) memoryOf(s *segment, e *entry) int64 {
	paged := int64(e.size() + slotBytes)
	if e.flags&flagDue != 0 {
		paged += dueBytes
	}
	n := paged << 10 / fillShare
	if e.flags&flagKeyOut != 0 {
		n += s.side[e.keyLen].(*blob).memory()
	}
	switch o := e.object(s).(type) {
	case *blob:
		n += o.memory()
	case *table:
		n += o.memory()
	}
	return n
}

func (o *blob) memory() int64 { return int64(cap(o.b)) + headBytes + blobOverhead }

// memory is of the keys, or of the fields of a big hash; long ones lie in blobs, about as long as they are.
func (t *table) memory() int64 {
	const segmentOverhead = pageBytes + pageBytes/2 // slots, and half of the last page
	n := t.weight + int64(t.segs)*segmentOverhead
	if !t.keyed {
		const head = 3 // flags and two lengths
		n -= int64(t.n) * (fieldWeight - head)
	}
	return n
}
