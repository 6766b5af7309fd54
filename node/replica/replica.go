package replica

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"brainer/internal/command"
	"brainer/internal/eviction"
	"brainer/internal/keyspace"
	"brainer/internal/wire"
	"brainer/resp"
)

// Config is what a replica is told about itself.
type Config struct {
	NodeID      string
	Endpoint    string
	Incarnation uint64
	Embedded    bool
	Software    string        // what is running, for people
	Rand        func() uint64 // data ids
	Table       *command.Table

	RingBytesMax    int64 // entries kept for a broker that restarts, beyond those that are not safe yet
	ChunkBytes      int   // of a snapshot
	PartBytes       int   // of a string there; a longer one comes in parts
	ChunkCredit     uint32
	ReclaimPerEntry int   // expired keys freed with an entry
	ReclaimPerTick  int   // and with a TICK
	StepBytes       int   // a step of a turn ends when that many bytes of replies have gathered
	TailBytes       int   // or with a reply of that many, which is sent from where it lies
	LimitBytes      int64 // of memory, this node's own; 0: none
	IDsMax          int   // clients whose writes' outcomes are kept
	SliceElements   int   // a read that visits more is executed in slices of so many, with other work in between

	Keep bool // put what must be kept for the next life into Changes

	// Progress, if there is one, counts what is executed, for whoever watches from another goroutine.
	Progress *atomic.Uint64

	OnApply func(p wire.Position, digest uint64) // told of every entry; nil outside of tests
	OnRead  func(id uint64, p wire.Position)     // and of every read
	OnFault func(command.Fault)                  // told of every panic in a command, to log it; may be nil
	// Scribble overwrites what is used again, in tests.
	Scribble bool
	// CountLogical has UsedBytes compared with a limit, in tests of little data.
	CountLogical bool
	Wire         uint8 // the highest protocol version, in tests; 0: this one
	Fault        Fault // planted in tests only
}

func (c *Config) progressed() {
	if c.Progress != nil {
		c.Progress.Add(1)
	}
}

// DefaultConfig returns the settings that the binaries start from; identity and Rand are the caller's.
func DefaultConfig() Config {
	return Config{RingBytesMax: 8 << 20, ChunkBytes: 256 << 10, PartBytes: 256 << 10, ChunkCredit: 8,
		ReclaimPerEntry: 20, ReclaimPerTick: 1000, StepBytes: 1 << 20, TailBytes: 64 << 10, SliceElements: 2048,
		IDsMax: IDsMax}
}

// Fault plants mistakes, so that tests can show that they would be found.
type Fault struct {
	ApplyTwice    bool   // a repeated entry is applied again
	NoGapCheck    bool   // a turn that does not follow is applied all the same
	IgnoreEpoch   bool   // obey any epoch
	WallClock     bool   // execute at ClockMs instead of the entry's time
	ClockMs       int64  // "
	OwnSeed       uint64 // mixed into the entry's seed
	KeepDataID    bool   // do not draw a new data id with a snapshot
	SkipChunk     bool   // lose the second chunk of a snapshot
	LateSnap      bool   // take the snapshot one entry late
	ForgetIDs     bool   // apply a write again although its id was seen
	SnapNoIDs     bool   // leave the outcomes out of a snapshot
	FlipBit       bool   // change a value once, as no entry does
	StayOld       bool   // do not try the newer version again
	SkipEntry     bool   // do not apply the third entry of what was kept
	TrustUnclean  bool   // keep the data id although what was kept may lack what was acknowledged
	ForgetPromise bool   // do not keep what was promised
	SameName      bool   // keep the data id although the disk does not follow any more
	ForgetTTL     bool   // keep no deadlines in snapshots
	MapOrder      bool   // execute as if the fields of an HSET came out of a map
	IDSkewMs      int64  // added to the entry's time before an outcome's deadline is looked at
	OwnEviction   bool   // evict a key by itself, as no entry says
	EvictIdle     bool   // evict only what is idle here, whatever the entry says
}

// Replica is one copy. Not safe for concurrent use.
type Replica struct {
	cfg Config
	ks  *keyspace.Keyspace
	ctx command.Ctx

	dataID    uint64
	was       []uint64 // data ids of the copies of which this is what is left, the last one at the end
	renamed   bool     // it is all of it, and only its name is new
	clusterID uint64
	pos       wire.Position
	digest    uint64
	checkAt   uint64 // the last checkpoint index
	check     uint64 // the rolling digest there
	lastMs    int64
	entryMs   int64 // of the last entry that was applied

	session   uint64
	version   uint8 // of the protocol, in the session
	older     bool  // the next session is to be in the version before
	promised  uint64
	brokerRun uint64
	number    uint16
	safe      uint64
	inSync    bool
	assembler wire.Assembler
	aheads    aheads

	ring    ring
	replies arena
	watches watches
	ids     ids
	memory  memory
	turn    turnState
	done    []byte
	tail    [][]byte // the large reply that ends done, in pieces
	reply   resp.Writer
	args    [][]byte

	laters    []*later
	donations []*donation
	load      *load

	sliced    bool // Pump's last was for a long read
	laterFrom int  // Ctx.LaterFrom of what is being executed
	farFrom   int  // and its Ctx.FarFrom

	keeping keeping
	restore *restoring // while what was kept is being taken

	faults    uint64 // panics in commands
	lateSnap  uint64 // Fault.LateSnap: the snapshot that waits for an entry
	lateParts bool
	entries   uint64 // applied since the start
	reads     uint64 // answered since the start

	tally, told   wire.Tally // of the session, and as it was told
	expiredBefore uint64     // the keyspace's own, when it began

	idsAnswered uint64 // writes that had been applied before, since the start

	// Out is the frames to send, in order. They are valid until the next call.
	Out []Frame
}

// Frame is a message, and what its body goes on with: bytes that were not copied.
type Frame struct {
	Bytes []byte
	More  [][]byte
}

// Len is the message's bytes.
func (f Frame) Len() int {
	n := len(f.Bytes)
	for _, b := range f.More {
		n += len(b)
	}
	return n
}

// Joined returns the message in one piece.
func (f Frame) Joined() []byte {
	if len(f.More) == 0 {
		return f.Bytes
	}
	return wire.Join(f.Bytes, f.More...)
}

// New returns an empty replica.
func New(cfg Config) *Replica {
	r := &Replica{cfg: cfg, assembler: wire.Assembler{Spares: &wire.Spares{BytesMax: sparesBytes, Scribble: cfg.Scribble}}}
	r.clear()
	return r
}

// clear empties the copy: it is another replica from here on.
func (r *Replica) clear() {
	r.ks = keyspace.New()
	r.setLFU()
	r.watches = watches{}
	r.ids = ids{max: r.cfg.IDsMax}
	r.ks.SetHooks(keyspace.Hooks{
		Changed: r.watches.changed,
		Flushed: r.watches.flushed,
		Swapped: func(a, b int) { r.watches.swapped(r.ks, a, b, r.ctx.NowMs) },
	})
	r.expiredBefore = 0
	r.was, r.renamed = nil, false
	if !r.cfg.Fault.KeepDataID || r.dataID == 0 {
		r.dataID = r.cfg.Rand() | 1
	}
	r.clusterID = 0
	r.pos = wire.Position{}
	r.digest, r.checkAt, r.check = 0, 0, 0
	r.safe = 0
	r.ring = ring{}
	r.turn, r.aheads = turnState{}, aheads{}
	r.laters, r.donations = nil, nil
	r.abandonSnapshot()
}

// Open begins a session; the frame it puts out says hello.
func (r *Replica) Open(session uint64) {
	r.begin()
	r.session = session
	r.assembler.Reset()
	r.turn, r.aheads = turnState{}, aheads{}
	r.closeLaters()
	r.closeDonations()
	if r.load != nil {
		r.load = nil
		r.clear()
	}
	r.tally, r.told, r.expiredBefore = wire.Tally{}, wire.Tally{}, r.ks.ExpiredKeys()
	m := wire.Hello{NodeID: r.cfg.NodeID, Endpoint: r.cfg.Endpoint, Incarnation: r.cfg.Incarnation,
		DataID: r.dataID, ClusterID: r.clusterID, Promised: r.promised, Embedded: r.cfg.Embedded, Software: r.cfg.Software,
		Disk: r.cfg.Keep, Was: r.was, Renamed: r.renamed}
	r.version = wire.Version
	if r.older || r.cfg.Wire == wire.VersionBefore {
		r.version = wire.VersionBefore
	}
	r.older = r.older && r.cfg.Fault.StayOld
	r.put(m.Append(nil, wire.Header{Session: session, Version: r.version}))
}

// Version is the protocol version of the present session.
func (r *Replica) Version() uint8 { return r.version }

func (r *Replica) begin() {
	clear(r.Out)
	r.Out = r.Out[:0]
}

func (r *Replica) put(frame []byte) { r.Out = append(r.Out, Frame{Bytes: frame}) }

func (r *Replica) header() wire.Header {
	return wire.Header{Epoch: r.promised, Session: r.session, Version: r.version}
}

// Verdict is what a frame means for whoever runs the replica.
type Verdict uint8

const (
	Continue  Verdict = iota
	Reopen            // the session is over: open a new one at once
	Refused           // the broker does not want this node as it is: see Reason, try again later
	Dismissed         // the goodbye was taken
)

// Receive takes a frame of the broker, which is the caller's again afterwards. A turn is only begun: call Step while Busy.
func (r *Replica) Receive(frame []byte) (v Verdict, reason string) {
	r.begin()
	h, body, err := wire.Decode(frame)
	if err != nil || h.Session != r.session || h.Version != r.version && h.Type != wire.TReject {
		return Continue, ""
	}
	if h.Type == wire.TBeat { // passes between the parts of a long message
		if m, err := wire.DecodeBeat(body, h.Version); err == nil && h.Epoch == r.promised {
			r.takeTerms(&m)
			r.inSync = m.InSync
			r.safe = max(r.safe, m.Safe)
		}
		return Continue, ""
	}
	if h.Type == wire.TAhead {
		if h.Epoch == r.promised && r.load == nil {
			r.receiveAhead(h, body)
		}
		return Continue, ""
	}
	part, fragment := h.Fragment()
	h, body, whole, err := r.assembler.Add(h, body)
	if fragment && err == nil && (part+1)%wire.FragmentCredit == 0 {
		reply := r.header()
		reply.Seq = h.Seq
		r.put(wire.Credit{UpTo: uint32(part + 1)}.Append(nil, reply))
	}
	if err != nil || !whole {
		return Continue, ""
	}
	if h.Type == wire.TReject {
		m, err := wire.DecodeReject(body)
		switch {
		case err != nil:
			return Continue, ""
		case m.Retry:
			return Reopen, m.Reason
		case wire.IsOtherVersion(m.Reason) && r.version != wire.VersionBefore:
			r.older = true // for the next session; the one after that asks again
			return Reopen, m.Reason
		}
		return Refused, m.Reason
	}
	if h.Type == wire.TPrepare {
		if m, err := wire.DecodePrepare(body); err == nil {
			r.promise(h.Epoch, m)
		}
		return Continue, ""
	}
	if h.Epoch != r.promised && !r.cfg.Fault.IgnoreEpoch {
		if h.Epoch < r.promised {
			r.put(wire.Fenced{Promised: r.promised}.Append(nil, r.header()))
		}
		return Continue, ""
	}
	switch h.Type {
	case wire.TTurn:
		if !fragment {
			body = bytes.Clone(body) // the ring keeps entries
		}
		if why := r.receiveTurn(h, body, fragment); why != "" {
			return Reopen, why
		}
	case wire.TLoad:
		if m, err := wire.DecodeLoad(body); err == nil {
			r.beginLoad(m)
		}
	case wire.TChunk:
		if m, err := wire.DecodeChunk(body); err == nil {
			r.loadChunk(m)
		}
	case wire.TCredit:
		if m, err := wire.DecodeCredit(body); err == nil && m.SnapID == 0 {
			r.turn.credited = min(m.UpTo, r.turn.parts)
		} else if err == nil {
			r.addCredit(m)
		}
	case wire.TAbort:
		if m, err := wire.DecodeAbort(body); err == nil {
			r.abort(m)
		}
	case wire.TFetch:
		if m, err := wire.DecodeFetch(body); err == nil {
			r.put(r.ring.entries(m.From).Append(nil, r.header()))
		}
	case wire.TGoodbye:
		return Dismissed, ""
	}
	return Continue, ""
}

// promise obeys an epoch that is higher than all before, or the same broker's again.
func (r *Replica) promise(epoch uint64, m wire.Prepare) {
	if epoch < r.promised || epoch == r.promised && m.BrokerRun != r.brokerRun {
		r.put(wire.Fenced{Promised: r.promised}.Append(nil, r.header()))
		return
	}
	r.promised, r.brokerRun, r.number = epoch, m.BrokerRun, m.Number
	r.keepPromise()
	r.turn, r.aheads = turnState{}, aheads{}
	r.closeLaters()
	r.closeDonations()
	r.report(0)
}

func (r *Replica) report(snapID uint64) {
	m := wire.PositionReport{Position: r.pos, DataID: r.dataID, ClusterID: r.clusterID, RingFirst: r.ring.firstIndex(r.pos),
		LastMs: r.lastMs, Loading: r.load != nil, SnapID: snapID}
	r.put(m.Append(nil, r.header()))
}

// Goodbye asks to be let go.
func (r *Replica) Goodbye() {
	r.begin()
	r.put(wire.Goodbye{}.Append(nil, r.header()))
}

// Beat says where the copy stands, for a heartbeat.
func (r *Replica) Beat(nowMs int64) wire.Beat {
	next := r.NextDeadlineMs()
	behind := r.Behind()
	return wire.Beat{Applied: r.pos.Index, Turn: r.turn.finished, Reclaimable: behind || next > 0 && next <= nowMs, Behind: behind,
		Keys: int64(r.ks.TotalKeys()), UsedBytes: r.usedBytes(),
		IDs: int64(len(r.ids.byClient)), IDsAnswered: r.idsAnswered,
		MemoryBytes: r.MemoryBytes(), LimitBytes: r.cfg.LimitBytes}
}

func (r *Replica) usedBytes() int64 { return r.ks.UsedBytes() + r.ids.bytes }

// NextDeadlineMs is when the next key or outcome can be reclaimed, 0 when there is none.
func (r *Replica) NextDeadlineMs() int64 {
	key, id := r.ks.NextDeadlineMs(), r.ids.nextDeadlineMs()
	if key == 0 || id != 0 && id < key {
		return id
	}
	return key
}

// Behind says whether more could be reclaimed by the time of the last entry than an entry reclaims.
func (r *Replica) Behind() bool {
	next := r.NextDeadlineMs()
	return r.ks.Dropped() || next > 0 && next <= r.entryMs
}

// Session is the present session and the epoch that is promised.
func (r *Replica) Session() (session, promised uint64) { return r.session, r.promised }

// execute runs one command, or the commands of a transaction, and leaves the reply in r.reply.
func (r *Replica) execute(db, proto uint8, noTouch bool, timeMs int64, seed uint64, body []byte, txn bool) {
	r.lastMs = max(r.lastMs, timeMs)
	if r.cfg.Fault.WallClock {
		timeMs = r.cfg.Fault.ClockMs
	}
	r.reply.Reset(int(proto))
	c := &r.ctx
	*c = command.Ctx{KS: r.ks, DB: int(db), NowMs: timeMs, Seed: seed + r.cfg.Fault.OwnSeed, W: &r.reply, NoTouch: noTouch,
		LaterFrom: r.laterFrom, FarFrom: r.farFrom, LFU: r.memory.counts.LFU}
	if txn {
		if err := command.RunTxn(c, r.cfg.Table, body); err != nil {
			c.Faults = append(c.Faults, command.Fault{Command: "EXEC", Value: err})
			r.reply.Reset(int(proto))
			r.reply.Error(command.ErrInternal)
		}
	} else {
		clear(r.args) // or what a long one left behind would keep the turns that it came in
		args, rest, err := command.SplitCommand(body, r.args[:0])
		r.args = args
		if err != nil || len(rest) > 0 {
			r.countFaults([]command.Fault{{Command: "?", Value: fmt.Errorf("a command that cannot be read: %.60q (%v)", body, err)}})
			r.reply.Error(command.ErrInternal)
			return
		}
		if n := len(args); r.cfg.Fault.MapOrder && n > 4 && string(args[0]) == "HSET" {
			args[n-4], args[n-3], args[n-2], args[n-1] = args[n-2], args[n-1], args[n-4], args[n-3]
		}
		if r.cfg.Fault.EvictIdle && string(args[0]) == "UNLINK" {
			args = slices.DeleteFunc(args, func(key []byte) bool {
				idle, ok := r.ks.IdleSeconds(int(db), key, timeMs)
				return ok && idle == 0
			})
		}
		c.Args = args
		command.Execute(c, r.cfg.Table)
	}
	r.countFaults(c.Faults)
}

func (r *Replica) countFaults(faults []command.Fault) {
	r.faults += uint64(len(faults))
	if r.cfg.OnFault != nil {
		for _, f := range faults {
			r.cfg.OnFault(f)
		}
	}
}

// apply executes the entry that follows the present position.
func (r *Replica) apply(era, index uint64, e *wire.Entry, encoded []byte, from *carrier) []byte {
	r.entries++
	r.ks.ResetChangeHash()
	r.reply.Reset(int(e.Proto))
	ids := r.ids.sum
	r.ctx.OfThisCopy = false
	if r.maybeAnswer(e) {
		r.watches.release(e.Token) // as if it had run
	} else {
		r.ctx.Hits, r.ctx.Misses = 0, 0
		r.applyNew(e)
		r.tally.EntryHits += uint64(r.ctx.Hits)
		r.tally.EntryMisses += uint64(r.ctx.Misses)
		if len(e.ID.Client) > 0 {
			r.keepOutcome(e)
		}
	}
	r.lastMs, r.entryMs = max(r.lastMs, e.TimeMs), e.TimeMs
	limit := r.cfg.ReclaimPerEntry
	if e.Kind == wire.EntryTick {
		limit = r.cfg.ReclaimPerTick
	}
	r.ks.Reclaim(e.TimeMs, limit)
	r.ids.reclaim(e.TimeMs+r.cfg.Fault.IDSkewMs, limit)
	r.pos = wire.Position{Era: era, Index: index}
	r.digest = chain(r.digest, index, r.replyHash(), r.ks.ChangeHash()^(r.ids.sum-ids))
	if index%wire.DigestEvery == 0 {
		r.checkAt, r.check = index, r.digest
	}
	if limit := r.memory.limitBytes; r.cfg.Fault.OwnEviction && limit > 0 && r.MemoryBytes() > limit*9/10 {
		for _, n := range r.ks.Nominate(eviction.AllKeysLRU, 1, 5, e.TimeMs, func(int, []byte) bool { return true }) {
			r.ks.Delete(n.DB, n.Key, e.TimeMs)
		}
	}
	if r.cfg.Fault.FlipBit && index == 50 {
		r.ks.Damage(index*0x9e3779b97f4a7c15, e.TimeMs)
	}
	reply := r.replies.keep(r.reply.B)
	r.ring.append(era, index, encoded, reply, from)
	r.keepEntry(encoded)
	if r.lateSnap != 0 {
		r.beginDonation(r.lateSnap, r.lateParts)
		r.lateSnap = 0
	}
	if r.cfg.OnApply != nil && r.restore == nil {
		r.cfg.OnApply(r.pos, r.digest)
	}
	return reply
}

// applyNew executes an entry that is not a repetition.
func (r *Replica) applyNew(e *wire.Entry) {
	switch e.Kind {
	case wire.EntryCommand:
		r.execute(e.DB, e.Proto, e.NoTouch, e.TimeMs, e.Seed, e.Body, false)
	case wire.EntryTxn:
		if r.watches.take(r.ks, e.Token, e.TimeMs) {
			r.execute(e.DB, e.Proto, e.NoTouch, e.TimeMs, e.Seed, e.Body, true)
		} else {
			r.reply.NullArray()
		}
	case wire.EntryWatch:
		args, _, err := command.SplitCommand(e.Body, r.args[:0])
		r.args = args
		if err == nil {
			r.watches.add(r.ks, e.Token, int(e.DB), args[1:], e.TimeMs)
		}
		r.reply.OK()
	case wire.EntryUnwatch:
		r.watches.release(e.Token)
		r.reply.OK()
	case wire.EntryNoop:
		r.watches.releaseAll() // the connections of the broker before are gone
	}
}

// replyHash is what the rolling digest has of the reply: nothing, if another copy may answer something else.
func (r *Replica) replyHash() uint64 {
	if r.ctx.OfThisCopy {
		return 0
	}
	return xxhash.Sum64(r.reply.B)
}

// chain folds one entry into the rolling digest.
func chain(digest, index, reply, change uint64) uint64 {
	var b [32]byte
	le := binary.LittleEndian
	le.PutUint64(b[0:], digest)
	le.PutUint64(b[8:], index)
	le.PutUint64(b[16:], reply)
	le.PutUint64(b[24:], change)
	return xxhash.Sum64(b[:])
}

// ReadLocal answers a read of this copy, which may be behind the others.
func (r *Replica) ReadLocal(nowMs int64, db, proto uint8, body []byte) []byte {
	if nowMs < r.lastMs {
		nowMs = r.lastMs
	}
	last := r.lastMs
	r.execute(db, proto, true, nowMs, uint64(nowMs), body, false)
	r.lastMs = last
	return r.reply.B
}

// Copy names the data that is held and the history it belongs to.
func (r *Replica) Copy() (dataID, clusterID uint64, p wire.Position, digest uint64) {
	return r.dataID, r.clusterID, r.pos, r.digest
}

// Status says in short where this copy stands.
type Status struct {
	NodeID                string
	DataID                uint64
	ClusterID             uint64
	Position              wire.Position
	Digest                uint64
	Safe                  uint64
	Epoch                 uint64
	InSync                bool
	Loading               bool
	KeysDone              uint64
	KeysTotal             uint64
	Keys                  int64
	UsedBytes             int64
	BytesDone             uint64
	Faults                uint64 // panics in commands
	EntriesApplied, Reads uint64
	IDs                   int64  // outcomes that are kept
	IDsAnswered           uint64 // writes that were answered with one, since the start
}

// InSync is Status().InSync.
func (r *Replica) InSync() bool { return r.inSync }

// Status returns it.
func (r *Replica) Status() Status {
	s := Status{NodeID: r.cfg.NodeID, DataID: r.dataID, ClusterID: r.clusterID, Position: r.pos, Digest: r.digest,
		Safe: r.safe, Epoch: r.promised, InSync: r.inSync, Loading: r.load != nil || r.restore != nil,
		Keys: int64(r.ks.TotalKeys()), UsedBytes: r.usedBytes(), Faults: r.faults,
		EntriesApplied: r.entries, Reads: r.reads, IDs: int64(len(r.ids.byClient)), IDsAnswered: r.idsAnswered}
	if r.load != nil {
		s.KeysDone, s.KeysTotal, s.BytesDone = r.load.keys, r.load.keysTotal, r.load.bytes
	}
	return s
}

// StateDigest is the digest of all that exists at nowMs, for comparing copies.
func (r *Replica) StateDigest(nowMs int64) uint64 { return r.ks.StateDigest(nowMs) + r.ids.sum }
