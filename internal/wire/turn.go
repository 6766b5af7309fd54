package wire

import (
	"bytes"
	"encoding/binary"
	"math"
)

// Entry is one ordered write. Its index is its place in the run that carries it.
type Entry struct {
	Kind    EntryKind
	DB      uint8
	Proto   uint8  // RESP version of the reply
	NoTouch bool   // do not refresh access times
	Primary uint16 // number of the node that sends the reply unasked
	Seed    uint64
	TimeMs  int64
	Token   uint64 // the client connection, for Watch, Unwatch and Txn
	ID      RequestID
	Body    []byte
}

// RequestID is the name that a client has given to a write, so that it may send it again.
type RequestID struct {
	Client []byte // at most ClientBytesMax; empty: the write has none
	Number uint64
	KeepMs int64 // how long its outcome is kept
}

// ClientBytesMax bounds RequestID.Client.
const ClientBytesMax = 64

// EntryKind says how a node executes an entry.
type EntryKind uint8

const (
	EntryCommand EntryKind = iota + 1
	EntryTxn               // the commands of a transaction, one after the other
	EntryWatch             // start tracking the keys named in Body for Token
	EntryUnwatch           // forget what Token tracks
	EntryTick              // nothing but time: expired keys give their memory back
	EntryNoop              // marks the beginning of an era
	entryKindEnd
)

const entryHead = 4 + 1 + 1 + 1 + 1 + 2 + 2 + 8 + 8 + 8

// AppendEntry appends e as it stands in the log window, in turns and in Entries.
func AppendEntry(b []byte, e *Entry) []byte {
	return append(AppendEntryHead(b, e), e.Body...)
}

// AppendEntryHead is AppendEntry without the body.
func AppendEntryHead(b []byte, e *Entry) []byte {
	id := e.ID.size()
	b = putU32(b, uint32(id+len(e.Body)))
	b = append(b, byte(e.Kind), e.DB, e.Proto)
	b = putBool(b, e.NoTouch)
	b = putU16(b, e.Primary)
	b = putU16(b, uint16(id))
	b = putU64(b, e.Seed)
	b = putU64(b, uint64(e.TimeMs))
	b = putU64(b, e.Token)
	if id > 0 {
		b = putU64(b, e.ID.Number)
		b = putU64(b, uint64(e.ID.KeepMs))
		b = append(b, e.ID.Client...)
	}
	return b
}

const requestIDHead = 8 + 8

// RequestIDBytesMax is the most that an id adds to an entry.
const RequestIDBytesMax = requestIDHead + ClientBytesMax

// size is what the id takes between an entry's head and its body.
func (id *RequestID) size() int {
	if len(id.Client) == 0 {
		return 0
	}
	return requestIDHead + len(id.Client)
}

// NextEntry takes the first entry off b. Body aliases b.
func NextEntry(b []byte, e *Entry) (rest []byte, err error) {
	if len(b) < entryHead {
		return nil, ErrCorrupt
	}
	le := binary.LittleEndian
	n := int(le.Uint32(b))
	if n > len(b)-entryHead || n < 0 {
		return nil, ErrCorrupt
	}
	*e = Entry{Kind: EntryKind(b[4]), DB: b[5], Proto: b[6], NoTouch: b[7] != 0, Primary: le.Uint16(b[8:]), Seed: le.Uint64(b[12:]),
		TimeMs: int64(le.Uint64(b[20:])), Token: le.Uint64(b[28:])}
	if e.Kind == 0 || e.Kind >= entryKindEnd {
		return nil, ErrCorrupt
	}
	body := b[entryHead : entryHead+n : entryHead+n]
	if id := int(le.Uint16(b[10:])); id > 0 {
		if id <= requestIDHead || id > RequestIDBytesMax || id > n {
			return nil, ErrCorrupt
		}
		e.ID = RequestID{Number: le.Uint64(body), KeepMs: int64(le.Uint64(body[8:])), Client: body[requestIDHead:id:id]}
		if e.ID.KeepMs < 0 {
			return nil, ErrCorrupt
		}
		body = body[id:]
	}
	e.Body = body
	return b[entryHead+n:], nil
}

// EntryHeadSize is how long AppendEntryHead makes an entry's head.
func EntryHeadSize(id *RequestID) int { return entryHead + id.size() }

// CheckEntryHead looks at a head whose body is elsewhere.
func CheckEntryHead(head []byte, databases int) error {
	if len(head) < entryHead || EntrySize(head) < len(head) {
		return ErrCorrupt
	}
	var e Entry
	if _, err := NextEntry(HeadAlone(head), &e); err != nil {
		return err
	}
	if len(e.Body) > 0 || int(e.DB) >= databases {
		return ErrCorrupt
	}
	return nil
}

// HeadAlone returns a copy of an entry's head, as of one without a body.
func HeadAlone(head []byte) []byte {
	alone := bytes.Clone(head)
	binary.LittleEndian.PutUint32(alone, uint32(len(head)-entryHead))
	return alone
}

// EntrySize is the encoded size of the entry at the start of b.
func EntrySize(b []byte) int { return entryHead + int(binary.LittleEndian.Uint32(b)) }

// Read is a read as a node gets it.
type Read struct {
	ID      uint64
	TimeMs  int64
	DB      uint8
	Proto   uint8
	Txn     bool
	NoTouch bool
	Due     bool // tell the deadline of its key, the first argument, too (ReplyDue); from version 5 on
	// Accesses to that key that a cache has answered since it was asked for last; with Due only.
	Accesses uint32
	Body     []byte
}

// TurnHead begins a turn. What follows is a sequence of items, in order.
type TurnHead struct {
	Prev    Position // the position that the first entry follows
	Era     uint64   // of the entries in this turn
	Confirm uint64   // replies up to here have arrived, the node may drop them
	Safe    uint64   // applied by the whole in-sync set
	InSync  bool     // the receiver is in it
}

const turnHeadBytes = 5*8 + 1

// ItemKind tells the items of a turn.
type ItemKind uint8

const (
	ItemEntries  ItemKind = iota + 1 // a run of entries
	ItemRead                         // a read, executed behind what precedes it
	ItemQuery                        // send the kept reply of entry ID
	ItemSnapshot                     // you are the donor: snapshot ID is the state here

	// On the wire, from version 5 on:
	itemSnapshotParts // ItemSnapshot with Parts
	itemReadDue       // ItemRead with Due
	ItemMemory        // tell what the data takes, and name keys that may be evicted
	ItemAhead         // an entry that was sent ahead, and its head
)

// BeginTurn starts a turn in b (a frame whose first item follows).
func BeginTurn(b []byte, m TurnHead) []byte {
	b = Begin(b)
	b = putU64(b, m.Prev.Era)
	b = putU64(b, m.Prev.Index)
	b = putU64(b, m.Era)
	b = putU64(b, m.Confirm)
	b = putU64(b, m.Safe)
	return putBool(b, m.InSync)
}

// FinishTurn completes the frame.
func FinishTurn(b []byte, h Header) []byte {
	h.Type = TTurn
	return Finish(b, h)
}

// AppendEntriesItem adds count consecutive entries, already encoded.
func AppendEntriesItem(b []byte, count int, encoded []byte) []byte {
	return append(AppendEntriesHead(b, count, len(encoded)), encoded...)
}

// AppendEntriesHead is AppendEntriesItem for entries of so many bytes that follow.
func AppendEntriesHead(b []byte, count, bytes int) []byte {
	b = putU8(b, uint8(ItemEntries))
	b = putU32(b, uint32(count))
	return putU32(b, uint32(bytes))
}

func AppendReadItem(b []byte, r *Read) []byte {
	kind := ItemRead
	if r.Due {
		kind = itemReadDue
	}
	b = putU8(b, uint8(kind))
	b = putU64(b, r.ID)
	b = putU64(b, uint64(r.TimeMs))
	b = append(b, r.DB, r.Proto)
	b = putBool(b, r.Txn)
	b = putBool(b, r.NoTouch)
	if r.Due {
		b = putU32(b, r.Accesses)
	}
	return putBytes(b, r.Body)
}

// AppendAheadItem adds the entry that was sent ahead under a number. Its head is encoded.
func AppendAheadItem(b []byte, number uint64, head []byte) []byte {
	b = putU8(b, uint8(ItemAhead))
	b = putU64(b, number)
	return putBytes(b, head)
}

func AppendQueryItem(b []byte, index uint64) []byte {
	return putU64(putU8(b, uint8(ItemQuery)), index)
}

// AppendSnapshotItem marks the state of a snapshot; with parts, which takes a donor and a joiner that know of it, long
// strings come in parts.
func AppendSnapshotItem(b []byte, snapID uint64, parts bool) []byte {
	kind := ItemSnapshot
	if parts {
		kind = itemSnapshotParts
	}
	return putU64(putU8(b, uint8(kind)), snapID)
}

// Item is one item of a turn.
type Item struct {
	Kind    ItemKind
	ID      uint64 // ItemQuery: the index; ItemSnapshot: the snapshot; ItemAhead: the number
	Parts   bool   // ItemSnapshot
	Count   int    // ItemEntries
	Entries []byte // ItemAhead: the entry's head
	Read    Read
	Memory  AskMemory // ItemMemory
}

// Turn iterates over a received turn.
type Turn struct {
	TurnHead
	r reader
}

// DecodeTurn reads the head; Next the items.
func DecodeTurn(body []byte) (t Turn, err error) {
	if len(body) < turnHeadBytes {
		return t, ErrCorrupt
	}
	t.r.b = body
	t.TurnHead = TurnHead{Prev: Position{Era: t.r.u64(), Index: t.r.u64()}, Era: t.r.u64(), Confirm: t.r.u64(),
		Safe: t.r.u64(), InSync: t.r.bool()}
	return t, nil
}

// Next fills in the next item; false at the end or at damage (see Err).
func (t *Turn) Next(it *Item) bool {
	r := &t.r
	if r.bad || len(r.b) == 0 {
		return false
	}
	it.Kind = ItemKind(r.u8())
	switch it.Kind {
	case ItemEntries:
		it.Count = int(r.u32())
		it.Entries = r.bytes()
	case ItemRead, itemReadDue:
		due := it.Kind == itemReadDue
		it.Kind = ItemRead
		it.Read = Read{Due: due, ID: r.u64(), TimeMs: r.i64(), DB: r.u8(), Proto: r.u8(), Txn: r.bool(), NoTouch: r.bool()}
		if due {
			it.Read.Accesses = r.u32()
		}
		it.Read.Body = r.bytes()
	case ItemQuery:
		it.ID = r.u64()
	case ItemAhead:
		it.ID = r.u64()
		it.Entries = r.bytes()
	case ItemMemory:
		it.Memory = r.askMemory()
	case ItemSnapshot, itemSnapshotParts:
		it.Parts, it.Kind = it.Kind == itemSnapshotParts, ItemSnapshot
		it.ID = r.u64()
	default:
		r.bad = true
	}
	return !r.bad
}

// Err is ErrCorrupt when the items did not end where the body does.
func (t *Turn) Err() error { return t.r.done() }

// Check looks through all items and entries, so that nothing of a damaged turn is executed. databases
// is how many there are.
func (t Turn) Check(databases int) error {
	var it Item
	var e Entry
	for t.Next(&it) {
		if it.Kind == ItemRead && int(it.Read.DB) >= databases {
			return ErrCorrupt
		}
		if m := &it.Memory; it.Kind == ItemMemory && m.WantBytes > 0 && int(m.Own) >= len(m.Salts) {
			return ErrCorrupt
		}
		if it.Kind == ItemAhead {
			if err := CheckEntryHead(it.Entries, databases); err != nil {
				return err
			}
		}
		if it.Kind != ItemEntries {
			continue
		}
		rest := it.Entries
		for range it.Count {
			var err error
			if rest, err = NextEntry(rest, &e); err != nil {
				return err
			}
			if int(e.DB) >= databases {
				return ErrCorrupt
			}
		}
		if len(rest) > 0 {
			return ErrCorrupt
		}
	}
	return t.Err()
}

// DoneHead begins a Done: how far the node has come. Replies follow.
type DoneHead struct {
	Applied     Position
	DigestIndex uint64 // the last checkpoint index (a multiple of DigestEvery), 0 when there is none
	Digest      uint64 // the rolling digest there
	Part        bool   // the turn goes on; more Dones with its number follow
}

// DigestEvery is the distance of the indexes at which nodes' rolling digests are compared.
const DigestEvery = 128

const doneHeadBytes = 4*8 + 1

// ReplyKind tells what a reply answers.
type ReplyKind uint8

const (
	ReplyEntry  ReplyKind = iota + 1 // ID is the entry's index
	ReplyRead                        // ID is the read's id
	ReplyGone                        // the kept reply of entry ID is not there any more
	ReplyLater                       // read ID goes on in slices; its ReplyRead follows in a Done with number 0
	ReplyDue                         // ID is a read's that asked for it: the key's deadline (ms, 0: none) and the reply
	ReplyMemory                      // ID is the bytes that the data takes; nominations follow (AppendNomination)
	ReplyCounts                      // ID is 0: a Tally follows; from version 5 on
)

// Tally is what a node has counted in a session so far.
type Tally struct {
	Hits, Misses           uint64 // keys that reads have looked up
	EntryHits, EntryMisses uint64 // keys that entries have, for what they answer; of equal copies they are equal
	Expired                uint64 // keys that entries have freed as their deadline had passed
}

func (t Tally) Append(b []byte) []byte {
	for _, n := range [...]uint64{t.Hits, t.Misses, t.EntryHits, t.EntryMisses, t.Expired} {
		b = putU64(b, n)
	}
	return b
}

func DecodeTally(b []byte) (t Tally, err error) {
	r := reader{b: b}
	t = Tally{Hits: r.u64(), Misses: r.u64(), EntryHits: r.u64(), EntryMisses: r.u64(), Expired: r.u64()}
	return t, r.done()
}

// DueMissing is the deadline of a key that does not exist.
const DueMissing = math.MaxInt64

// AppendDue appends what a ReplyDue begins with.
func AppendDue(b []byte, dueMs int64) []byte { return putU64(b, uint64(dueMs)) }

// TakeDue parts a ReplyDue.
func TakeDue(b []byte) (dueMs int64, reply []byte, ok bool) {
	if len(b) < 8 {
		return 0, nil, false
	}
	dueMs = int64(binary.LittleEndian.Uint64(b))
	return dueMs, b[8:], dueMs >= 0
}

// BeginDone starts a Done; FinishDone fills its head in.
func BeginDone(b []byte) []byte {
	b = Begin(b)
	var head [doneHeadBytes]byte
	return append(b, head[:]...)
}

// FinishDone completes the frame that begins at b[0].
func FinishDone(b []byte, m DoneHead, h Header) []byte {
	h.Type = TDone
	le := binary.LittleEndian
	p := b[HeaderBytes:]
	le.PutUint64(p[0:], m.Applied.Era)
	le.PutUint64(p[8:], m.Applied.Index)
	le.PutUint64(p[16:], m.DigestIndex)
	le.PutUint64(p[24:], m.Digest)
	p[32] = 0
	if m.Part {
		p[32] = 1
	}
	return Finish(b, h)
}

// BeginReply starts a reply whose bytes are appended after it; EndReply fills in their length.
func BeginReply(b []byte, kind ReplyKind, id uint64) []byte {
	b = putU8(b, uint8(kind))
	b = putU64(b, id)
	return putU32(b, 0)
}

// EndReply fills in the length of the reply whose BeginReply returned a slice of length start.
func EndReply(b []byte, start int) {
	binary.LittleEndian.PutUint32(b[start-4:], uint32(len(b)-start))
}

// EndReplyTail is EndReply for a reply of so many bytes that are not in b: they follow behind the frame.
func EndReplyTail(b []byte, start, bytes int) {
	binary.LittleEndian.PutUint32(b[start-4:], uint32(bytes))
}

// Done iterates over a received Done.
type Done struct {
	DoneHead
	r reader
}

func DecodeDone(body []byte) (d Done, err error) {
	if len(body) < doneHeadBytes {
		return d, ErrCorrupt
	}
	d.r.b = body
	d.DoneHead = DoneHead{Applied: Position{Era: d.r.u64(), Index: d.r.u64()}, DigestIndex: d.r.u64(),
		Digest: d.r.u64(), Part: d.r.bool()}
	return d, nil
}

// Next returns the next reply; its bytes alias the body.
func (d *Done) Next() (kind ReplyKind, id uint64, reply []byte, ok bool) {
	r := &d.r
	if r.bad || len(r.b) == 0 {
		return 0, 0, nil, false
	}
	kind, id, reply = ReplyKind(r.u8()), r.u64(), r.bytes()
	if kind == 0 || kind > ReplyCounts {
		r.bad = true
	}
	return kind, id, reply, !r.bad
}

func (d *Done) Err() error { return d.r.done() }
