package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"brainer/internal/keyspace"
	"brainer/internal/wire"
)

// What a replica keeps for its next life are records. Each begins with its kind. In the log:
//
//	L node, data id, durable, earlier data ids   a life begins, with the copy of that name; durable: nothing is acknowledged that is not kept
//	P epoch, broker's run      this was promised
//	N data id, cluster         an empty copy, of a history that begins
//	E era, index, count, entries as they were sent
//	G                          the life has ended and kept everything
//
// and in a snapshot, in this order:
//
//	S node, data id, cluster, position, promise, durable, earlier data ids
//	C records, as a joiner gets them
//	T rolling digest
//
// Times in them are absolute, and entries carry their own: however long nothing ran, a deadline is where it was.
const (
	keptLife    = 'L'
	keptPromise = 'P'
	keptEmpty   = 'N'
	keptEntries = 'E'
	keptEnd     = 'G'

	keptSnapshot = 'S'
	keptChunk    = 'C'
	keptTail     = 'T'
)

// ChangeKind says what a Change is.
type ChangeKind uint8

const (
	ChangeEntry         ChangeKind = iota + 1 // Bytes is the entry at Position
	ChangeRecord                              // Bytes is a record for the log
	ChangeSnapshot                            // a snapshot begins: it replaces all that came before; Bytes is its first record
	ChangeChunk                               // Bytes is its next record
	ChangeSnapshotEnd                         // Bytes is its last record
	ChangeSnapshotAbort                       // there will be no more of it
)

// Change is something to be kept, in order. Bytes are not changed afterwards.
type Change struct {
	Kind     ChangeKind
	Position wire.Position
	Bytes    []byte
}

// keeping is what is being kept.
type keeping struct {
	changes  []Change
	began    bool      // a snapshot is being kept
	donation *donation // of the own state; nil while it is one that comes from the broker
	record   []byte    // of it, that is not full yet
	slice    []byte    // memory for the next piece
	durable  bool      // this life acknowledges nothing before it is kept
	wanted   uint64    // the broker's last word on a snapshot (wire.Beat.Keep)
}

// TakeChanges returns what there is to keep since the last call, and uses buf for what comes.
func (r *Replica) TakeChanges(buf []Change) []Change {
	clear(buf)
	c := r.keeping.changes
	r.keeping.changes = buf[:0]
	return c
}

func (r *Replica) keep(kind ChangeKind, b []byte) {
	if r.cfg.Keep && r.restore == nil {
		r.keeping.changes = append(r.keeping.changes, Change{Kind: kind, Bytes: b})
	}
}

func (r *Replica) keepEntry(encoded []byte) {
	if r.cfg.Keep && r.restore == nil {
		r.keeping.changes = append(r.keeping.changes, Change{ChangeEntry, r.pos, encoded})
	}
}

// AppendEntries appends the record of consecutive entries of one era, the first at p.
func AppendEntries(b []byte, p wire.Position, entries [][]byte) []byte {
	b = append(b, keptEntries)
	b = putU64s(b, p.Era, p.Index, uint64(len(entries)))
	for _, e := range entries {
		b = append(b, e...)
	}
	return b
}

// EndRecord is the last record of a life that has kept everything.
func EndRecord() []byte { return []byte{keptEnd} }

func (r *Replica) keepPromise() {
	if !r.cfg.Fault.ForgetPromise {
		r.keep(ChangeRecord, putU64s([]byte{keptPromise}, r.promised, r.brokerRun))
	}
}

func (r *Replica) keepBeginning() {
	r.keep(ChangeRecord, putU64s([]byte{keptEmpty}, r.dataID, r.clusterID))
}

func (r *Replica) keepLife() {
	b := putString([]byte{keptLife}, r.cfg.NodeID)
	r.keep(ChangeRecord, putU64s(putU64s(b, r.dataID, bit(r.keeping.durable)), r.was...))
}

func bit(set bool) uint64 {
	if set {
		return 1
	}
	return 0
}

func (r *Replica) snapshotHead(cluster uint64, p wire.Position) []byte {
	b := putString([]byte{keptSnapshot}, r.cfg.NodeID)
	promised := r.promised
	if r.cfg.Fault.ForgetPromise {
		promised = 0
	}
	b = putU64s(b, r.dataID, cluster, p.Era, p.Index, promised, r.brokerRun, bit(r.keeping.durable))
	return putU64s(b, r.was...)
}

// keepLoad begins to keep the snapshot that comes from the broker.
func (r *Replica) keepLoad(l *load) {
	if r.cfg.Keep {
		r.keep(ChangeSnapshot, r.snapshotHead(l.cluster, l.position))
		r.keeping.began = true
	}
}

func (r *Replica) keepChunk(records []byte) {
	if r.cfg.Keep {
		r.keep(ChangeChunk, append([]byte{keptChunk}, records...))
	}
}

func (r *Replica) keepSnapshotEnd(digest uint64) {
	r.keep(ChangeSnapshotEnd, putU64s([]byte{keptTail}, digest))
	r.keeping.began = false
}

// abandonSnapshot: what was being kept is not the state any more.
func (r *Replica) abandonSnapshot() {
	if r.keeping.began {
		r.keep(ChangeSnapshotAbort, nil)
	}
	r.keeping.began, r.keeping.donation, r.keeping.record = false, nil, nil
}

// KeepSnapshot begins to keep the state as it is now, in place of the log. It says whether it could.
func (r *Replica) KeepSnapshot() bool {
	if r.keeping.began || r.load != nil || r.pos.Index == 0 {
		return false
	}
	r.keeping.began = true
	r.keeping.donation = r.newDonation(0, r.cfg.PartBytes)
	r.keep(ChangeSnapshot, r.snapshotHead(r.clusterID, r.pos))
	return true
}

// Empty: nothing was ever applied, and nothing is being loaded.
func (r *Replica) Empty() bool { return r.pos.Index == 0 && r.load == nil }

// WantedSnapshot is the number of the snapshot that the broker wants to be kept, 0: none.
func (r *Replica) WantedSnapshot() uint64 { return r.keeping.wanted }

// StopKeeping: there is nothing any more that would keep the copy. It gets another data id, so that what was kept is not
// taken for it in the next life. The session has to end: the broker must know before it is told anything else.
func (r *Replica) StopKeeping() {
	r.abandonSnapshot()
	r.cfg.Keep, r.keeping.changes = false, nil
	if r.cfg.Fault.SameName || r.version == wire.VersionBefore { // that broker would take it for a node that is empty
		return
	}
	r.rename()
	r.renamed = true
}

// rename gives the copy another data id.
func (r *Replica) rename() {
	r.was = append(r.was, r.dataID)
	r.was = r.was[max(0, len(r.was)-wire.WasMax):]
	r.dataID = r.cfg.Rand() | 1
}

// Before is the data id that the copy had before, 0 for none; renamed says that nothing but its name has changed since.
func (r *Replica) Before() (was uint64, renamed bool) {
	if n := len(r.was); n > 0 {
		was = r.was[n-1]
	}
	return was, r.renamed
}

// KeepsSnapshot says whether PumpKept has something to do.
func (r *Replica) KeepsSnapshot() bool { return r.keeping.donation != nil }

// keptSlice is how much of the state PumpKept takes at once, in bytes: a fraction of a millisecond.
const keptSlice = 64 << 10

// PumpKept takes the next piece of the state that is being kept; several make a record.
func (r *Replica) PumpKept() {
	k := &r.keeping
	d := k.donation
	m, full, _ := r.nextChunk(d, k.slice[:0], min(keptSlice, r.cfg.ChunkBytes))
	if k.record == nil {
		k.record = append(make([]byte, 0, r.cfg.ChunkBytes+r.cfg.ChunkBytes/4), keptChunk)
	}
	for _, p := range full {
		k.record = append(k.record, p...)
	}
	k.record = append(k.record, m.Records...)
	k.slice = m.Records
	if m.Last || len(k.record) > r.cfg.ChunkBytes {
		r.keep(ChangeChunk, k.record)
		k.record = nil
	}
	if m.Last {
		k.slice = nil
		d.snap.Close()
		r.keeping.donation = nil
		r.keepSnapshotEnd(m.Digest)
	}
}

// restoring is what has been taken of what was kept.
type restoring struct {
	any      bool // there was something
	clean    bool // the last life kept everything
	durable  bool // it acknowledged nothing that it had not kept
	snapshot bool // the snapshot has begun
	tail     bool // and ended
	entries  int
}

// BeginRestore makes the replica take what was kept, record by record. Nothing else may be asked of it until EndRestore.
func (r *Replica) BeginRestore() {
	r.restore = &restoring{}
	r.version = wire.Version
}

// Restoring says whether that goes on.
func (r *Replica) Restoring() bool { return r.restore != nil }

var errKept = errors.New("a record that was kept is damaged, although its checksum is right")

// Restore takes the next record, which is the replica's from then on.
func (r *Replica) Restore(record []byte) error {
	if len(record) == 0 {
		return errKept
	}
	x := r.restore
	x.any, x.clean = true, record[0] == keptEnd
	b := kept{b: record[1:]}
	if x.snapshot && !x.tail && record[0] != keptChunk && record[0] != keptTail {
		return errKept
	}
	switch record[0] {
	case keptEnd:
	case keptLife:
		if err := r.checkName(b.string()); err != nil {
			return err
		}
		r.dataID, x.durable = b.u64(), b.u64() == 1
		r.was = b.rest()
	case keptPromise:
		r.promised, r.brokerRun = b.u64(), b.u64()
	case keptEmpty:
		r.clear()
		r.dataID, r.clusterID = b.u64(), b.u64()
		r.ks.SetSeed(r.clusterID)
	case keptEntries:
		return r.restoreEntries(b)
	case keptSnapshot:
		if err := r.checkName(b.string()); err != nil {
			return err
		}
		r.clear()
		r.dataID, r.clusterID = b.u64(), b.u64()
		r.pos = wire.Position{Era: b.u64(), Index: b.u64()}
		r.promised, r.brokerRun, x.durable = b.u64(), b.u64(), b.u64() == 1
		r.was = b.rest()
		r.ks.SetSeed(r.clusterID)
		x.snapshot, x.tail = true, false
		r.load = &load{}
	case keptChunk:
		if r.load == nil {
			return errKept
		}
		return r.loadRecords(b.b)
	case keptTail:
		if r.load == nil || r.load.part.Whole > 0 {
			return errKept
		}
		r.digest = b.u64()
		r.load, x.tail = nil, true
	default:
		return errKept
	}
	return b.done()
}

func (r *Replica) checkName(id string) error {
	if id != r.cfg.NodeID {
		return fmt.Errorf("it is the copy of node %q, and this is %q: give it that --id, or a directory of its own", id, r.cfg.NodeID)
	}
	return nil
}

// restoreEntries applies entries again.
func (r *Replica) restoreEntries(b kept) error {
	era, first, count := b.u64(), b.u64(), b.u64()
	rest := b.b
	if b.bad || r.load != nil || r.clusterID == 0 || first != r.pos.Index+1 || era < r.pos.Era {
		return fmt.Errorf("%w: entries of index %d follow %d", errKept, first, r.pos.Index)
	}
	for i := range count {
		var e wire.Entry
		next, err := wire.NextEntry(rest, &e)
		if err != nil || int(e.DB) >= keyspace.Databases {
			return errKept
		}
		encoded := rest[:len(rest)-len(next)]
		rest = next
		if r.restore.entries++; r.cfg.Fault.SkipEntry && r.restore.entries == 3 {
			r.pos = wire.Position{Era: era, Index: first + i}
			continue
		}
		r.apply(era, first+i, &e, encoded, nil)
		r.ring.trim(r.pos.Index, r.cfg.RingBytesMax)
	}
	if len(rest) > 0 {
		return errKept
	}
	return nil
}

// EndRestore begins a life with what was kept. durable says that this one acknowledges nothing before it is kept, whole
// that all was taken that was kept. A copy that may lack what it had acknowledged is another copy; same says that it is not.
func (r *Replica) EndRestore(durable, whole bool) (same bool, err error) {
	x := r.restore
	if r.load != nil {
		return false, errKept
	}
	same = !x.any || whole && (x.clean || x.durable) || r.cfg.Fault.TrustUnclean
	if !same {
		r.rename()
	}
	r.restore, r.keeping.durable = nil, durable
	r.keepLife()
	return same, nil
}

func putU64s(b []byte, ns ...uint64) []byte {
	for _, n := range ns {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return b
}

func putString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
}

// kept reads a record; bad says that it was too short.
type kept struct {
	b   []byte
	bad bool
}

func (k *kept) take(n int) []byte {
	if k.bad || n < 0 || n > len(k.b) {
		k.bad = true
		return make([]byte, 8)
	}
	b := k.b[:n]
	k.b = k.b[n:]
	return b
}

func (k *kept) u64() uint64 { return binary.LittleEndian.Uint64(k.take(8)) }

// rest are the numbers that are left.
func (k *kept) rest() (ns []uint64) {
	for len(k.b) > 0 && !k.bad {
		ns = append(ns, k.u64())
	}
	return ns
}

func (k *kept) string() string {
	n := binary.LittleEndian.Uint32(append(bytes.Clone(k.take(4)), 0, 0, 0, 0))
	if n > 1<<16 {
		k.bad = true
		return ""
	}
	return string(k.take(int(n)))
}

func (k *kept) done() error {
	if k.bad || len(k.b) > 0 {
		return errKept
	}
	return nil
}
