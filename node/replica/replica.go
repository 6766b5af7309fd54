package replica

import (
	"brainer/internal/command"
	"brainer/internal/keyspace"
	"brainer/internal/wire"
	"brainer/resp"
)

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
	r.aheads.assembler.Alloc = r.regionFor
	r.clear()
	return r
}

// clear empties the copy: it is another replica from here on.
func (r *Replica) clear() {
	r.ks = keyspace.New()
	if r.cfg.Scribble {
		r.ks.Scribble()
	}
	r.setLFU()
	r.keepFree()
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
	r.turn = turnState{}
	r.aheads.end()
	r.laters, r.donations = nil, nil
	r.abandonSnapshot()
}

// Open begins a session; the frame it puts out says hello.
func (r *Replica) Open(session uint64) {
	r.begin()
	r.session = session
	r.assembler.Reset()
	r.turn = turnState{}
	r.aheads.end()
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

// Session is the present session and the epoch that is promised.
func (r *Replica) Session() (session, promised uint64) { return r.session, r.promised }

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
