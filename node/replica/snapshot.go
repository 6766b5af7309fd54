package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"

	"brainer/internal/command"
	"brainer/internal/keyspace"
	"brainer/internal/wire"
	"brainer/resp"
)

// firstCredit is how many chunks go out before the joiner has taken one: then it is known that it does, and
// the broker how large they are.
const firstCredit = 2

// donation is a snapshot that this replica gives.
type donation struct {
	id      uint64
	snap    *keyspace.Snapshot
	digest  uint64
	keys    bool       // all keys have been sent
	ids     []*outcome // still to be sent, after the keys
	private [][]byte   // records, as of the snapshot's position
	number  uint32     // of the next chunk
	upTo    uint32     // credit
	total   uint64
	bytes   uint64
}

// beginDonation marks the state as it is now.
func (r *Replica) beginDonation(id uint64, parts bool) {
	partBytes := 0
	if parts {
		partBytes = r.cfg.PartBytes
	}
	r.donations = append(r.donations, r.newDonation(id, partBytes))
}

func (r *Replica) newDonation(id uint64, partBytes int) *donation {
	d := &donation{id: id, snap: r.ks.BeginSnapshot(partBytes), digest: r.digest, upTo: min(r.cfg.ChunkCredit, firstCredit)}
	d.total, d.bytes = uint64(d.snap.TotalKeys()), uint64(d.snap.BytesEstimate())
	for _, t := range r.watches.list() {
		for i, k := range t.keys {
			d.private = append(d.private, appendWatch(nil, t, k, t.lived[i]))
		}
	}
	d.private = append(d.private, appendTime(r.lastMs))
	if !r.cfg.Fault.SnapNoIDs {
		d.ids = r.ids.list() // outcomes are not changed, only replaced
	}
	return d
}

// Pump does a piece of what waits for a pause: a slice of a long read and, in turn, a chunk for a
// joiner that has credit. It reports whether there was any.
func (r *Replica) Pump() bool {
	r.begin()
	if r.sliced = !r.sliced; r.sliced {
		return r.maybeSlice() || r.maybeChunk()
	}
	return r.maybeChunk() || r.maybeSlice()
}

func (r *Replica) maybeChunk() bool {
	for _, d := range r.donations {
		if d.number < d.upTo {
			r.putChunk(d)
			return true
		}
	}
	return false
}

func (r *Replica) putChunk(d *donation) {
	m, full, bytes := r.nextChunk(d, make([]byte, 0, r.cfg.ChunkBytes+r.cfg.ChunkBytes/8), r.cfg.ChunkBytes)
	b := m.Records
	if len(full) == 0 {
		r.put(m.Append(make([]byte, 0, len(b)+128), r.header()))
	} else {
		h := r.header()
		h.Type = wire.TChunk
		f := Frame{Bytes: wire.Finish(m.AppendHead(wire.Begin(nil), bytes+len(b)), h), More: append(full, b)}
		r.Out = append(r.Out, f)
	}
	if m.Last {
		r.endDonation(d)
	}
}

// nextChunk takes the next records, about so many bytes, with the memory of b. m.Records are the last of them; before these come the
// pieces in full, so many bytes.
func (r *Replica) nextChunk(d *donation, b []byte, size int) (m wire.Chunk, full [][]byte, bytes int) {
	d.keys = d.keys || d.snap.Next(size, func(rec keyspace.Record) {
		if r.cfg.Fault.ForgetTTL {
			rec.DeadlineMs = 0
		}
		if len(rec.Value) < r.cfg.TailBytes || rec.Whole > 0 {
			b = appendRecord(b, &rec)
			return
		}
		head, value, end := recordPieces(b, &rec)
		full = append(full, head, value)
		bytes += len(head) + len(value)
		b = end
	})
	if d.keys {
		for len(d.ids) > 0 && bytes+len(b) < size {
			b = appendOutcome(b, d.ids[0])
			d.ids = d.ids[1:]
		}
	}
	done := d.keys && len(d.ids) == 0
	if done {
		for _, p := range d.private {
			b = append(b, p...)
		}
	}
	m = wire.Chunk{SnapID: d.id, Number: d.number, Last: done, Digest: d.digest, KeysDone: uint64(d.snap.KeysDone()),
		KeysTotal: d.total, BytesTotal: d.bytes, Records: b}
	d.number++
	return m, full, bytes
}

func (r *Replica) endDonation(d *donation) {
	d.snap.Close()
	r.donations = slices.DeleteFunc(r.donations, func(x *donation) bool { return x == d })
}

func (r *Replica) closeDonations() {
	for _, d := range r.donations {
		d.snap.Close()
	}
	r.donations = nil
}

func (r *Replica) addCredit(m wire.Credit) {
	for _, d := range r.donations {
		if d.id == m.SnapID {
			d.upTo = max(d.upTo, m.UpTo)
		}
	}
}

func (r *Replica) abort(m wire.Abort) {
	for _, d := range r.donations {
		if d.id == m.SnapID {
			r.endDonation(d)
			break
		}
	}
	if r.load != nil && r.load.id == m.SnapID {
		r.load = nil
		r.clear()
	}
}

// load is a snapshot that this replica takes.
type load struct {
	id        uint64
	cluster   uint64
	position  wire.Position
	number    uint32
	part      keyspace.Record // the string of which more is to come: Offset is where that begins
	keys      uint64
	keysTotal uint64
	bytes     uint64
}

// beginLoad drops what is held, for a snapshot or (SnapID 0) for a history that begins here.
func (r *Replica) beginLoad(m wire.Load) {
	if m.SnapID == 0 {
		if r.pos.Index > 0 {
			r.clear()
			r.report(0)
		}
		r.clusterID = m.ClusterID
		r.ks.SetSeed(m.ClusterID) // a secret of the cluster, and the same on every copy
		r.keepBeginning()
		return
	}
	r.closeLaters()
	r.closeDonations()
	r.clear()
	r.ks.SetSeed(m.ClusterID)
	r.load = &load{id: m.SnapID, cluster: m.ClusterID, position: m.Position}
	r.keepLoad(r.load)
}

// loadChunk takes the next chunk; with the last one the replica stands at the snapshot's position.
func (r *Replica) loadChunk(m wire.Chunk) {
	l := r.load
	if l == nil || m.SnapID != l.id || m.Number < l.number {
		return
	}
	if m.Number > l.number {
		r.giveUpLoad()
		return
	}
	l.number++
	if !(r.cfg.Fault.SkipChunk && m.Number == 1) {
		if err := r.loadRecords(m.Records); err != nil {
			r.giveUpLoad()
			return
		}
	}
	if m.Last && l.part.Whole > 0 {
		r.giveUpLoad()
		return
	}
	l.bytes += uint64(len(m.Records))
	l.keys, l.keysTotal = m.KeysDone, m.KeysTotal
	r.keepChunk(m.Records)
	if !m.Last {
		r.put(wire.Credit{SnapID: l.id, UpTo: l.number + r.cfg.ChunkCredit}.Append(nil, r.header()))
		return
	}
	r.load = nil
	r.pos, r.clusterID, r.digest = l.position, l.cluster, m.Digest
	r.keepSnapshotEnd(m.Digest)
	r.report(l.id)
}

func (r *Replica) giveUpLoad() {
	r.put(wire.Abort{SnapID: r.load.id}.Append(nil, r.header()))
	r.load = nil
	r.clear()
}

func appendHead(b []byte, kind byte, rec *keyspace.Record) []byte {
	b = append(b, kind, byte(rec.DB), byte(rec.Form), byte(rec.Encoding))
	b = binary.LittleEndian.AppendUint32(b, rec.Recency)
	return binary.LittleEndian.AppendUint64(b, 0)
}

func endRecord(b []byte, start int) []byte {
	binary.LittleEndian.PutUint32(b[start+8:], uint32(len(b)-start-wire.RecordHead))
	return b
}

func appendRecord(b []byte, rec *keyspace.Record) []byte {
	start := len(b)
	var ms [20]byte
	switch rec.Type {
	case keyspace.TypeString:
		if rec.Whole > 0 {
			return appendPart(b, rec)
		}
		b = appendHead(b, wire.RecordString, rec)
		if rec.DeadlineMs == 0 {
			b = resp.AppendCommand(b, []byte("SET"), rec.Key, rec.Value)
		} else {
			b = resp.AppendCommand(b, []byte("SET"), rec.Key, rec.Value, []byte("PXAT"), strconv.AppendInt(ms[:0], rec.DeadlineMs, 10))
		}
		return endRecord(b, start)
	case keyspace.TypeHash:
		b = appendHead(b, wire.RecordHash, rec)
		b = append(b, '*')
		b = strconv.AppendInt(b, int64(2+len(rec.Fields)), 10)
		b = append(b, "\r\n$4\r\nHSET\r\n"...)
		b = appendBulk(b, rec.Key)
		for _, f := range rec.Fields {
			b = appendBulk(b, f)
		}
		return appendExpire(endRecord(b, start), rec)
	}
	panic("replica: a record of a type that snapshots do not know")
}

// appendPart appends a part of a long string.
func appendPart(b []byte, rec *keyspace.Record) []byte {
	start := len(b)
	kind, name := byte(wire.RecordString), "SET"
	if rec.Offset > 0 {
		kind, name = wire.RecordPart, "APPEND"
	}
	b = appendHead(b, kind, rec)
	binary.LittleEndian.PutUint32(b[start+12:], uint32(rec.Whole))
	b = endRecord(resp.AppendCommand(b, []byte(name), rec.Key, rec.Value), start)
	if rec.Offset+len(rec.Value) < rec.Whole {
		return b
	}
	return appendExpire(b, rec)
}

// appendExpire appends the deadline of what came before, if it has one.
func appendExpire(b []byte, rec *keyspace.Record) []byte {
	if rec.DeadlineMs == 0 {
		return b
	}
	start := len(b)
	b = appendHead(b, wire.RecordExpire, rec)
	b = resp.AppendCommand(b, []byte("PEXPIREAT"), rec.Key, strconv.AppendInt(nil, rec.DeadlineMs, 10))
	return endRecord(b, start)
}

// recordPieces appends the record of a long string to b, in pieces: b up to the value, the value, and
// what follows it.
func recordPieces(b []byte, rec *keyspace.Record) (head, value, end []byte) {
	var w resp.Writer
	w.Bulk(rec.Value) // a copy: the keyspace may change before it is sent
	start := len(b)
	b = appendHead(b, wire.RecordString, rec)
	n := int64(3)
	if rec.DeadlineMs != 0 {
		n = 5
	}
	b = append(b, '*')
	b = strconv.AppendInt(b, n, 10)
	b = append(b, "\r\n$3\r\nSET\r\n"...)
	b = appendBulk(b, rec.Key)
	if rec.DeadlineMs != 0 {
		end = appendBulk(appendBulk(nil, []byte("PXAT")), strconv.AppendInt(nil, rec.DeadlineMs, 10))
	}
	binary.LittleEndian.PutUint32(b[start+8:], uint32(len(b)-start-wire.RecordHead+len(w.B)+len(end)))
	return b, w.B, end
}

func appendBulk(b, s []byte) []byte {
	b = append(b, '$')
	b = strconv.AppendInt(b, int64(len(s)), 10)
	b = append(b, '\r', '\n')
	b = append(b, s...)
	return append(b, '\r', '\n')
}

func appendWatch(b []byte, t *watcher, k watchedKey, lived bool) []byte {
	flags := byte('0')
	if lived {
		flags |= 1
	}
	if t.dirty {
		flags |= 2
	}
	b = appendHead(b, wire.RecordWatch, &keyspace.Record{DB: k.db})
	b = resp.AppendCommand(b, []byte("WATCH"), []byte{flags}, strconv.AppendUint(nil, t.token, 10), []byte(k.key))
	return endRecord(b, 0)
}

func appendTime(ms int64) []byte {
	b := appendHead(nil, wire.RecordTime, &keyspace.Record{})
	b = resp.AppendCommand(b, []byte("TIME"), []byte("last"), strconv.AppendInt(nil, ms, 10))
	return endRecord(b, 0)
}

func appendOutcome(b []byte, o *outcome) []byte {
	start := len(b)
	number := func(n uint64) []byte { return strconv.AppendUint(nil, n, 10) }
	b = appendHead(b, wire.RecordID, &keyspace.Record{})
	b = resp.AppendCommand(b, []byte("ID"), []byte(o.client), number(o.number), strconv.AppendInt(nil, o.deadlineMs, 10),
		number(uint64(o.proto)), number(uint64(o.size)), o.reply)
	return endRecord(b, start)
}

// restoreOutcome is appendOutcome's reverse.
func (r *Replica) restoreOutcome(args [][]byte) error {
	if len(args) != 7 || len(args[1]) == 0 || len(args[1]) > wire.ClientBytesMax {
		return wire.ErrRecord
	}
	number, err1 := strconv.ParseUint(string(args[2]), 10, 64)
	deadline, err2 := strconv.ParseInt(string(args[3]), 10, 64)
	proto, err3 := strconv.ParseUint(string(args[4]), 10, 8)
	size, err4 := strconv.ParseInt(string(args[5]), 10, 64)
	reply := args[6]
	if err := errors.Join(err1, err2, err3, err4); err != nil || int64(len(reply)) != size && (len(reply) > 0 || size <= idReplyMax) {
		return wire.ErrRecord
	}
	if len(reply) > 0 {
		if _, n, err := resp.ParseReply(reply); err != nil || n != len(reply) {
			return wire.ErrRecord
		}
	}
	r.ids.put(&outcome{client: string(args[1]), number: number, deadlineMs: deadline, proto: uint8(proto), size: int(size),
		reply: bytes.Clone(reply)})
	return nil
}

// loadPart goes on with the string that comes in parts.
func (r *Replica) loadPart(args [][]byte) error {
	rec := r.load.part
	if len(args) != 3 || len(args[2]) == 0 || !bytes.Equal(args[1], rec.Key) {
		return wire.ErrRecord
	}
	rec.Value = args[2]
	if r.load.part.Offset += len(rec.Value); r.load.part.Offset >= rec.Whole {
		r.load.part = keyspace.Record{}
	}
	return r.ks.Load(rec)
}

// loadRecords puts the records of a chunk into the keyspace.
func (r *Replica) loadRecords(b []byte) error {
	for len(b) > 0 {
		head, command, rest, err := wire.NextRecord(b)
		if err != nil {
			return err
		}
		if err := r.loadRecord(head, command); err != nil {
			return err
		}
		b = rest
	}
	return nil
}

func (r *Replica) loadRecord(head, body []byte) error {
	args, rest, err := command.SplitCommand(body, r.args[:0])
	r.args = args
	if err != nil || len(rest) > 0 || len(args) < 3 || int(head[1]) >= keyspace.Databases {
		return wire.ErrRecord
	}
	rec := keyspace.Record{DB: int(head[1]), Key: args[1], Form: keyspace.Form(head[2]), Encoding: keyspace.Encoding(head[3]),
		Recency: binary.LittleEndian.Uint32(head[4:])}
	if (head[0] == wire.RecordPart) != (r.load != nil && r.load.part.Whole > 0) {
		return wire.ErrRecord
	}
	switch head[0] {
	case wire.RecordPart:
		return r.loadPart(args)
	case wire.RecordString:
		rec.Type, rec.Value = keyspace.TypeString, args[2]
		if whole := int(binary.LittleEndian.Uint32(head[12:])); whole > 0 {
			if r.load == nil || len(args) != 3 || len(rec.Value) == 0 || whole <= len(rec.Value) || r.version == wire.VersionBefore {
				return wire.ErrRecord
			}
			rec.Whole = whole
			r.load.part = rec
			r.load.part.Key = bytes.Clone(rec.Key)
			r.load.part.Offset = len(rec.Value)
			return r.ks.Load(rec)
		}
		if len(args) == 5 {
			if rec.DeadlineMs, err = strconv.ParseInt(string(args[4]), 10, 64); err != nil {
				return wire.ErrRecord
			}
		} else if len(args) != 3 {
			return wire.ErrRecord
		}
		return r.ks.Load(rec)
	case wire.RecordHash:
		if len(args)%2 != 0 {
			return wire.ErrRecord
		}
		rec.Type, rec.Fields = keyspace.TypeHash, args[2:]
		return r.ks.Load(rec)
	case wire.RecordExpire:
		ms, err := strconv.ParseInt(string(args[2]), 10, 64)
		if err != nil {
			return wire.ErrRecord
		}
		r.ks.SetDeadline(rec.DB, rec.Key, ms, 0)
	case wire.RecordTime:
		ms, err := strconv.ParseInt(string(args[2]), 10, 64)
		if err != nil {
			return wire.ErrRecord
		}
		r.lastMs = max(r.lastMs, ms)
	case wire.RecordID:
		return r.restoreOutcome(args)
	case wire.RecordWatch:
		token, err := strconv.ParseUint(string(args[2]), 10, 64)
		if err != nil || len(args) != 4 || len(args[1]) != 1 {
			return wire.ErrRecord
		}
		r.watches.restore(token, rec.DB, string(args[3]), args[1][0]&1 != 0, args[1][0]&2 != 0)
	default:
		return wire.ErrRecord
	}
	return nil
}
