// Package op is the vocabulary between the front end and the broker: one Op is one thing a client
// wants done, a Batch is the pipeline that arrived together. It holds data only; package server
// fills it in, package broker answers it, and broker/replication orders it without knowing Redis.
package op

import "sync/atomic"

// Kind says how an Op is ordered and executed.
type Kind uint8

const (
	Read    Kind = iota // one command that changes nothing
	Write               // one command that may change the keyspace
	Txn                 // Body is the commands of a MULTI/EXEC, one after the other; one entry
	Watch               // ordered: the nodes start tracking (Token, DB, keys of Body)
	Unwatch             // ordered: the nodes forget what Token watches
	Barrier             // WAIT: answered when Copies nodes hold everything up to Index, or at the deadline
)

// Ack is the rule by which a write is acknowledged: AckAll, AckPrimary, or a number of nodes (>0).
type Ack int16

const (
	AckDefault Ack = 0  // what the server was started with
	AckAll     Ack = -1 // every in-sync node has applied it
	AckPrimary Ack = -2 // the primary of its first key has applied it
)

// ClientBytesMax bounds Op.Client.
const ClientBytesMax = 64

// Op is one operation. The submitter fills the upper half and does not touch it again until the
// batch is done; the backend fills the lower half.
type Op struct {
	Kind    Kind
	DB      uint8
	Proto   uint8    // RESP version of the reply, 2 or 3
	Keyless bool     // touches no named key: KEYS, DBSIZE (a read), FLUSHALL (a write)
	Ack     Ack      // of a Write or Txn
	Keys    []uint64 // command.KeyHash of each key; the first decides the primary
	Key     []byte   // the first key itself, for people; nil: it is not known
	Body    []byte   // canonical RESP of the command (of all commands, for a Txn)
	Lasting bool     // Body is not changed or used again, ever: it may be kept as it is
	Token   uint64   // the connection, for Watch, Unwatch and Txn; 0 when it watches nothing
	Client  []byte   // of a Write or Txn: with Number the name under which it may be sent again; as lasting as Body; empty: none
	Number  uint64   // "
	NoTouch bool     // do not refresh access times
	DenyOOM bool     // a Write or Txn that may take memory: it is not ordered beyond the limit
	Near    bool     // a Read of one key whose reply follows from that key's value alone: it may be answered by an earlier one's
	Txn     bool     // a Read whose Body is the commands of a transaction that only reads

	// Again: a Read that the submitter asks again if it was Dropped, as nothing that it orders follows in the batch.
	Again bool

	// Ahead: a Write that nothing follows in its pipeline until it is answered. It may be ordered later than what is
	// submitted after it.
	Ahead bool

	// A Barrier waits until Copies in-sync nodes hold entry Index, at most TimeoutMs (0: for ever).
	// Its Reply is RESP: the number of copies besides the first.
	Copies    int
	TimeoutMs int64

	// OnSafe, when set on a Write or Txn, is called once by the backend's owner goroutine when the
	// entry is safe and its reply is known, just before it is answered (so its Ack is AckAll,
	// whatever it says). It must not block. It is not called for an Op that was refused, nor when
	// the outcome stays unknown.
	OnSafe func(o *Op)

	Index uint64 // a Barrier's target; for a Write or Txn its place in the order, 0 if it was refused
	Reply []byte // RESP; immutable, may alias a received message
	// Dropped: the replies of the batch have become too large to be kept; this one is gone.
	Dropped bool

	batch *Batch
	Hold  Hold
}

// Batch is what o was submitted with, nil when it is on its own.
func (o *Op) Batch() *Batch { return o.batch }

// Hold is the ordering core's own bookkeeping on an Op.
type Hold struct {
	SinceUs   int64  // when it was submitted, microseconds
	OrderedUs int64  // when it was taken: later, if it waited for memory or was sent ahead
	Resent    uint8  // how often a read's node died with it
	Notified  bool   // it has its answer, or nobody waits for one
	Asked     uint64 // a read: the number of the question that was answered
	Twice     bool   // a read: it is asked of two nodes
	Tail      uint64 // a write that waits for memory: the last that was ordered before it
	Ahead     uint64 // a write: the number under which it was sent ahead of its order; 0: it was not
	Accesses  uint32 // a read: so many others of its key were answered without a node before
}

// Batch is a pipeline of operations of one connection, answered together.
type Batch struct {
	Ops     []Op
	Bytes   int // request bytes, for back-pressure
	replied int // bytes of replies, as the backend counts them
	// Unsent, when set, is shared by batches: the bytes of replies that the submitters have not let go of yet.
	Unsent *atomic.Int64
	// OnDone is called instead of signalling Done, by the goroutine that answers the last Op.
	OnDone  func()
	pending atomic.Int32
	done    chan struct{}
}

// NewBatch returns an empty, reusable batch.
func NewBatch() *Batch { return &Batch{done: make(chan struct{}, 1)} }

// Reset empties the batch for reuse. The submitter calls it only when nothing is pending.
func (b *Batch) Reset() {
	clear(b.Ops)
	b.Ops = b.Ops[:0]
	b.Bytes = 0
	b.LetGo()
}

// LetGo says that the replies are not held any more. The submitter calls it, or Reset, when the batch is done.
func (b *Batch) LetGo() {
	if b.Unsent != nil {
		b.Unsent.Add(-int64(b.replied))
	}
	b.replied = 0
}

// Begin is called by the submitter once Ops is complete, before it is handed over.
func (b *Batch) Begin() {
	for i := range b.Ops {
		b.Ops[i].batch = b
	}
	b.LetGo()
	b.pending.Store(int32(len(b.Ops)))
}

// Done is signalled once after Begin, when every Op has its Reply.
func (b *Batch) Done() <-chan struct{} { return b.done }

// Replied counts n bytes of o's reply to its batch and returns what there was before, and what all batches that
// share Unsent have now. The backend's owner goroutine calls it.
func (o *Op) Replied(n int) (before int, unsent int64) {
	b := o.batch
	if b == nil {
		return 0, 0
	}
	before = b.replied
	b.replied += n
	if b.Unsent != nil {
		unsent = b.Unsent.Add(int64(n))
	}
	return before, unsent
}

// Answer gives o its reply and signals its batch when it was the last one.
func (o *Op) Answer(reply []byte) {
	o.Reply = reply
	o.Finish()
}

// Finish is Answer for an Op whose Reply is in place. It returns the bytes of the batch, when that
// is complete now. o must not be touched afterwards.
func (o *Op) Finish() (batchBytes int, complete bool) {
	b := o.batch
	if b == nil {
		return 0, false
	}
	batchBytes = b.Bytes // read before the submitter may reuse the batch
	if b.pending.Add(-1) == 0 {
		if b.OnDone != nil {
			b.OnDone()
		} else {
			b.done <- struct{}{}
		}
		return batchBytes, true
	}
	return 0, false
}
