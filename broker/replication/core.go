package replication

import (
	"bytes"
	"fmt"
	"math"

	"brainer/internal/eviction"
	"brainer/internal/op"
	"brainer/internal/wire"
)

// Config holds the core's settings. Times are milliseconds.
type Config struct {
	BrokerRun uint64        // this life of the broker
	Rand      func() uint64 // cluster and snapshot ids
	Embedded  bool          // a node runs in this process

	HeartbeatMs int64 // both ways
	SuspectMs   int64 // without a heartbeat: reads go elsewhere
	DeadMs      int64 // without a heartbeat, or with data and no progress: out of the set
	BusyLimitMs int64 // how long one entry may run before its node counts as stalled
	ResendMs    int64 // a turn unanswered by a node that is not busy is sent again

	FormWaitMs     int64 // a broker without a record waits that long for nodes that hold data
	RecoverWaitMs  int64 // how long recovery waits for the other members once one is here
	WriteTimeoutMs int64 // an ordered write without outcome is answered -UNCERTAIN after it
	ReadTimeoutMs  int64 // a read without an answer is answered with an error after it
	JoinStallMs    int64 // a snapshot that does not move for so long is given up
	// HedgePercentile: a read that takes longer than so many percent of them is asked of a second node, too; 0: none is.
	HedgePercentile float64
	HotEvery        int   // one operation in so many is counted to find the hottest keys; 0: none
	HotReads        int64 // reads a second from which on those of a key go to all nodes in turn; 0: never
	NearBytes       int64 // of replies that the near cache keeps; 0: none
	HoldOffMaxMs    int64 // a node that leaves the set again and again stays out no longer than this

	TurnBytesMax   int   // entries in one turn
	TurnReadsMax   int   // reads in one turn
	FrameBytesMax  int   // a longer turn travels in fragments
	FragmentBytes  int   // of so many
	AheadBytes     int   // a write whose body is so long is sent ahead of its order (op.Op.Ahead); 0: none is
	WindowBytesMax int64 // log window
	ChunkBytes     int   // what the window gives up at a time
	WindowMs       int64 // log window; 0: no limit in time
	JoinPinBytes   int64 // what the window may grow to for a joiner
	JoinLagEntries uint64
	JoinFloorBytes int64 // a second, of all joins together: what they get however long clients wait

	VerifyEveryMs   int64 // all copies are compared once in so long; 0: when somebody asks for it
	VerifyRangeKeys int   // about so many keys at a time

	MinInSync int
	Ack       op.Ack // for AckDefault
	IDKeepMs  int64  // how long the outcome of a write with an id is kept

	Memory eviction.Settings
	Unlink func(keys [][]byte) []byte // makes the command that removes keys

	Wire  uint8 // the highest protocol version, in tests; 0: this one
	Fault Fault // planted in tests only
}

// DefaultConfig returns the settings that the binaries start from.
func DefaultConfig() Config {
	return Config{
		HeartbeatMs: 100, SuspectMs: 300, DeadMs: 1000, BusyLimitMs: 5000, ResendMs: 250,
		FormWaitMs: 300, RecoverWaitMs: 2000, WriteTimeoutMs: 5000, ReadTimeoutMs: 5000, JoinStallMs: 15_000, HoldOffMaxMs: 30_000,
		TurnBytesMax: 1 << 20, TurnReadsMax: 4096, FrameBytesMax: wire.FrameBytesMax, FragmentBytes: wire.FragmentBytes, AheadBytes: 4 << 20,
		WindowBytesMax: 256 << 20, ChunkBytes: 1 << 20, WindowMs: 600_000, JoinPinBytes: 1 << 30, JoinLagEntries: 1000, JoinFloorBytes: 4 << 20,
		NearBytes: 64 << 20, HotEvery: 16, HotReads: 2000,
		VerifyEveryMs: 3_600_000, VerifyRangeKeys: 1000,
		MinInSync: 1, Ack: op.AckAll, IDKeepMs: 900_000,
		Memory: eviction.Default,
	}
}

// brokerState is what the broker as a whole is doing.
type brokerState uint8

const (
	forming    brokerState = iota // no record: the first empty node begins a history
	recovering                    // a record names members: one of them has the truth
	activating                    // the era's first entry is on its way
	active
)

// Outputs is what the core wants done since it was last emptied. The caller performs it in this
// order: frames, answers, store, events.
type Outputs struct {
	Frames   []Frame
	Answered []*op.Op // Reply is set; call Answer
	Store    *View    // make this durable, then call ViewStored(No)
	Events   []Event
	Acks     []NodeAck
	Parts    []Part // for those that read a snapshot
}

// Frame is a message for a peer; its bytes are valid until the core is called again.
type Frame struct {
	Peer  string
	Bytes []byte
	Body  []byte // what follows Bytes in the same message of the link
}

// Event is one transition, for the log.
type Event struct {
	Level int // -1 debug, 0 info, 1 warning, 2 error
	Text  string
	Node  string
	Index uint64
	Why   string
}

// NodeAck says how long a node took over a turn that carried entries.
type NodeAck struct {
	Node string
	Us   int64
}

// Core is the ordering core. Not safe for concurrent use; times are microseconds and never go back.
type Core struct {
	cfg      Config
	state    brokerState
	detail   string // why it is not active
	startUs  int64
	nowUs    int64
	tickUs   int64
	graceUs  int64 // when the broker last stood still
	fullAtUs int64 // since when writes are refused because too much is unsafe; 0: they are not
	beatUs   int64

	view    View // durable
	storing *View
	epoch   uint64
	epochOK bool // view.Epoch == epoch is durable: nodes may be asked to promise it

	tail   uint64 // last ordered
	safe   uint64 // applied by all that are required; never goes back
	lastMs int64  // entry and read times never go back
	window window

	pending  pending
	keyLast  map[uint64]uint64 // key -> last unsafe write to it
	floor    uint64            // last keyless write
	ackN     int               // pending writes that wait for a number of nodes
	heldBy   []uint64          // at n-1: up to where those that wait for n nodes have been looked at
	applied  []uint64          // scratch of settleHeld
	barriers []*op.Op

	nodes []*node // in order of their numbers
	// The numbers of nodes that were dropped, oldest first, and the highest that was given.
	usedNumbers []usedNumber
	lastNumber  uint16
	usable      []*node // in sync and answering: the candidates for primary
	byPeer      map[string]*node
	bySession   map[uint64]*node
	rid         uint64
	digests     digests
	hedge       hedge
	turnDueUs   int64 // when the next turn is due that waits only for its time; 0: none does
	near        *near
	hot         hot
	verify      verify
	readers     []*reader
	memory      memory
	ahead       ahead
	pace        pace
	heldTo      uint64 // writes beyond it wait for a joiner on a leash

	formAtUs     int64
	recoverAtUs  int64
	base         *node // recovery: whose entries are the truth
	fetchUs      int64 // when it was asked for them
	ending       bool  // the view that is being stored is that of copies which all said goodbye
	forced       bool  // an operator said that data of other histories may be dropped
	noop         uint64
	reclaim      reclaim
	lastOrderUs  int64
	pendingReads int
	loading      map[string]loading
	parked       []*op.Op // reads that wait until a node serves again
	reopens      bool     // a session is being replaced by one of the same node

	counters counters
	Out      Outputs
}

type counters struct {
	resends, rerouted, digestMismatches, resumes, snapshots uint64
	hedged, hedgesWon                                       uint64
	tally                                                   wire.Tally // of all nodes
	nearAbsent                                              uint64     // of the near cache's hits, those that say that there is no such key
	evicted                                                 map[string]uint64
}

// New returns a core that continues stored (zero when there is no record) and asks at once for its
// new epoch to be stored.
func New(cfg Config, stored View, nowUs int64) *Core {
	c := &Core{cfg: cfg, startUs: nowUs, nowUs: nowUs, tickUs: nowUs, keyLast: map[uint64]uint64{},
		loading: map[string]loading{}, byPeer: map[string]*node{}, bySession: map[uint64]*node{}, view: stored}
	c.counters.evicted = map[string]uint64{}
	c.lastMs = nowUs / 1000
	c.window.chunkBytes = cfg.ChunkBytes
	c.pace.learns, c.heldTo = true, math.MaxUint64
	c.near = newNear(cfg.NearBytes)
	c.memory = memory{settings: cfg.Memory, limit: cfg.Memory.LimitBytes, evicted: map[eviction.Policy]uint64{}}
	c.hot = hot{every: cfg.HotEvery, byKey: map[uint64]*hotCounter{}, spread: map[uint64]struct{}{}, sinceUs: nowUs}
	c.cfg.JoinPinBytes = max(cfg.JoinPinBytes, 2*cfg.WindowBytesMax)
	c.epoch = stored.Epoch + 1
	c.beginReign()
	return c
}

// Submit takes one operation. Its answer appears in Outputs, at once or later.
func (c *Core) Submit(nowUs int64, o *op.Op) {
	c.setNow(nowUs)
	o.Hold.SinceUs, o.Hold.OrderedUs = nowUs, nowUs
	if !c.holdForMemory(o) {
		c.take(o)
	}
}

// take refuses an operation, or does what it asks for.
func (c *Core) take(o *op.Op) {
	o.Hold.OrderedUs = c.nowUs
	if refusal := c.refuse(o); refusal != "" {
		c.answerError(o, refusal)
		return
	}
	if o.Hold.Ahead == 0 {
		c.hot.asksFor(o) // once
	}
	switch o.Kind {
	case op.Read:
		c.routeRead(o)
	case op.Barrier:
		c.addBarrier(o)
	default:
		if !c.sendAhead(o) {
			c.order(o)
		}
	}
}

// refuse says why o cannot be taken now; nothing has happened to it then.
func (c *Core) refuse(o *op.Op) string {
	if c.state != active {
		return c.notActive()
	}
	if o.Kind == op.Barrier {
		return ""
	}
	if len(c.usable) == 0 && !c.anyInSync() && !(o.Kind == op.Read && c.mayComeBack()) {
		return errClusterDown
	}
	if o.Kind == op.Read {
		return ""
	}
	switch n := c.inSyncCount(); {
	case o.Kind == op.Unwatch: // keeps nothing, and what it lets go would be kept without it
	case n < c.cfg.MinInSync || int(c.ackOf(o)) > n:
		return errNoReplicas
	case len(o.Body) > bodyBytesMax:
		return errTooLarge
	case c.pending.bytes > c.cfg.WindowBytesMax/2 && !c.cfg.Fault.Unbounded:
		c.maybePutOutLaggard()
		return errTryAgain
	}
	return ""
}

// NotServing is what requests are refused with, "" when they are taken.
func (c *Core) NotServing() string {
	if c.state == active {
		return ""
	}
	return c.notActive()
}

func (c *Core) notActive() string {
	if c.state == recovering && c.recoveryStuck() || c.state == activating && !c.anyInSync() {
		return errClusterDown
	}
	if percent, any := c.loadingPercent(); any {
		return fmt.Sprintf("%s (%d%% of the data on disk)", errLoading, percent)
	}
	if why := c.loadingDetail(); why != "" {
		return errLoading + " (" + why + ")"
	}
	return errLoading
}

func (c *Core) ackOf(o *op.Op) op.Ack {
	switch {
	case o.OnSafe != nil:
		return op.AckAll
	case o.Ack == op.AckDefault:
		return c.cfg.Ack
	}
	return o.Ack
}

// SetMinInSync and SetAck change the defaults at run time.
func (c *Core) SetMinInSync(n int) { c.cfg.MinInSync = n }
func (c *Core) SetAck(a op.Ack)    { c.cfg.Ack = a }

func (c *Core) setNow(nowUs int64) {
	if nowUs > c.nowUs {
		c.nowUs = nowUs
	}
}

// stampMs is the time for an entry or a read: the clock, but never before what was stamped already.
func (c *Core) stampMs() int64 {
	if ms := c.nowUs / 1000; ms > c.lastMs {
		c.lastMs = ms
	}
	return c.lastMs
}

// answer settles o with its reply.
func (c *Core) answer(o *op.Op, reply []byte) {
	if o.Kind != op.Barrier && !o.Keyless {
		c.pace.took(c.nowUs - o.Hold.OrderedUs)
	}
	c.finish(o, reply)
}

func (c *Core) finish(o *op.Op, reply []byte) {
	if o.Hold.Notified {
		return
	}
	o.Hold.Notified = true
	o.Reply = reply
	if o.Hold.Ahead > 0 && o.Index == 0 {
		c.forgetAhead(o.Hold.Ahead)
	}
	c.Out.Answered = append(c.Out.Answered, o)
}

func (c *Core) answerError(o *op.Op, text string) {
	c.finish(o, []byte("-"+text+"\r\n"))
}

func (c *Core) event(level int, text string, n *node, why string, args ...any) {
	e := Event{Level: level, Text: text, Index: c.tail, Why: fmt.Sprintf(why, args...)}
	if n != nil {
		e.Node = n.id
	}
	c.Out.Events = append(c.Out.Events, e)
}

// ViewStored says that the view given in Outputs.Store is durable.
func (c *Core) ViewStored(nowUs int64, no uint64) {
	c.setNow(nowUs)
	if c.storing == nil || c.storing.No != no {
		return
	}
	c.view, c.storing = *c.storing, nil
	c.viewChanged()
	c.maybeChangeView()
}

func (c *Core) store(v View) {
	v.No = c.view.No + 1
	c.storing = &v
	s := v.clone()
	c.Out.Store = &s
}

// Receive takes a frame from a peer, which is the caller's again afterwards. Frames of sessions that are over change nothing.
func (c *Core) Receive(nowUs int64, peer string, frame []byte) {
	c.setNow(nowUs)
	h, body, err := wire.Decode(frame)
	if err == nil && !c.speaks(h.Version) {
		err = wire.OtherVersion(h.Version)
	}
	if err != nil {
		c.receiveBad(peer, h, err)
		return
	}
	if h.Type == wire.TBeat {
		c.receiveBeat(peer, h, body)
		return
	}
	n := c.byPeer[peer]
	if h.Type == wire.THello {
		m, err := wire.DecodeHello(body, h.Version)
		switch {
		case err == nil && m.LoadTotal > 0:
			c.receiveLoading(m)
		case err == nil:
			c.receiveHello(peer, h, m)
		}
		return
	}
	if n == nil || n.session != h.Session && !c.cfg.Fault.OldSessions {
		c.reject(peer, h, true, "session is over")
		return
	}
	n.heardUs = c.nowUs
	_, fragment := h.Fragment()
	h, body, whole, err := n.assembler.Add(h, body)
	if err != nil {
		c.reject(peer, h, true, err.Error())
		c.sessionOver(n, reasonTooLarge)
		return
	}
	if !whole {
		n.progressUs = c.nowUs // a long answer is on its way
		return
	}
	if !fragment && (h.Type == wire.TDone || h.Type == wire.TEntries || h.Type == wire.TChunk) {
		body = bytes.Clone(body) // the replies, entries, records are kept
	}
	switch h.Type {
	case wire.TPosition:
		if m, err := wire.DecodePositionReport(body); err == nil && h.Epoch == c.epoch {
			c.receivePosition(n, m)
		}
	case wire.TFenced:
		if m, err := wire.DecodeFenced(body); err == nil {
			c.receiveFenced(n, m)
		}
	case wire.TDone:
		if d, err := wire.DecodeDone(body); err == nil && h.Epoch == c.epoch {
			c.receiveDone(n, h.Seq, &d)
		}
	case wire.TNack:
		if m, err := wire.DecodeNack(body); err == nil && h.Epoch == c.epoch {
			c.receiveNack(n, h.Seq, m)
		}
	case wire.TChunk:
		if m, err := wire.DecodeChunk(body); err == nil {
			c.relayChunk(n, m)
		}
	case wire.TCredit:
		if m, err := wire.DecodeCredit(body); err == nil && m.SnapID == 0 {
			c.fragmentsReceived(n, h.Seq, int(m.UpTo))
		} else if err == nil {
			c.relayCredit(n, m)
		}
	case wire.TAheadGot:
		if m, err := wire.DecodeAheadGot(body); err == nil && h.Epoch == c.epoch {
			c.aheadGot(n, h.Seq, m)
		}
	case wire.TAbort:
		if m, err := wire.DecodeAbort(body); err == nil {
			c.receiveAbort(n, m)
		}
	case wire.TEntries:
		if m, err := wire.DecodeEntries(body); err == nil && h.Epoch == c.epoch {
			c.receiveEntries(n, m)
		}
	case wire.TGoodbye:
		c.receiveGoodbye(n)
	}
}

func (c *Core) speaks(version uint8) bool {
	return wire.Speaks(version) && (c.cfg.Wire == 0 || version <= c.cfg.Wire)
}

func (c *Core) receiveBad(peer string, h wire.Header, err error) {
	if h.Type == wire.THello {
		c.event(1, "node refused", nil, "%v", err)
		c.reject(peer, h, false, err.Error()+": run_node and run_broker may be at most one protocol version apart")
	}
}

func (c *Core) reject(peer string, h wire.Header, retry bool, reason string) {
	m := wire.Reject{Retry: retry, Reason: reason}
	version := h.Version
	if n := c.bySession[h.Session]; n != nil {
		version = n.version
	} else if !c.speaks(version) {
		version = c.cfg.Wire
	}
	c.send(peer, m.Append(nil, wire.Header{Epoch: c.epoch, Session: h.Session, Version: version}))
}

func (c *Core) send(peer string, frame []byte) {
	c.Out.Frames = append(c.Out.Frames, Frame{Peer: peer, Bytes: frame})
}

func (c *Core) header(n *node) wire.Header {
	version := n.version
	if c.cfg.Fault.OwnVersion {
		version = 0
	}
	return wire.Header{Epoch: c.epoch, Session: n.session, TimeMs: c.nowUs / 1000, Version: version}
}

// Unreachable says that a frame for peer could not be sent: nobody is connected there.
func (c *Core) Unreachable(nowUs int64, peer string) {
	c.setNow(nowUs)
	if n := c.byPeer[peer]; n != nil {
		c.sessionOver(n, reasonUnreachable)
		return
	}
	for _, n := range c.nodes {
		if n.connected() && n.beatPeer == peer {
			c.sessionOver(n, reasonUnreachable) // both sockets are of one process
			return
		}
	}
}

// Idle reports whether nothing waits for an answer or for time to pass but the heartbeats.
func (c *Core) Idle() bool {
	if c.state != active || c.storing != nil || len(c.memory.held) > 0 || len(c.ahead.ops) > 0 || c.evicts() || c.pendingReads > 0 || len(c.verify.asks) > 0 || len(c.readers) > 0 || len(c.barriers) > 0 || c.tail != c.safe {
		return false
	}
	for _, n := range c.nodes {
		if len(n.flight) > 0 || n.suspect || n.connected() && n.state != stateLive {
			return false
		}
	}
	return true
}

// NodesAfar reports whether there are nodes in other processes, which have to be woken for a turn.
func (c *Core) NodesAfar() bool {
	for _, n := range c.nodes {
		if n.connected() && !n.embedded {
			return true
		}
	}
	return false
}

// Flush builds a turn for every node that is free for one. Call it when the inputs at hand are taken in.
func (c *Core) Flush(nowUs int64) {
	c.setNow(nowUs)
	c.hedgeReads()
	c.maybeOrderTick()
	if c.pace.joining {
		c.goOnJoining()
	}
	if len(c.readers) > 0 {
		c.goOnReading()
	}
	c.turnDueUs = 0
	for _, n := range c.nodes {
		c.maybeSendTurn(n)
	}
}

// FlushAt returns when the core wants Flush called at the latest, in microseconds; 0: nothing is due by itself.
func (c *Core) FlushAt() int64 {
	return sooner(sooner(c.hedgeAt(), c.turnDueUs), c.tickAt())
}

// sooner is the earlier of two times, of which 0 is none.
func sooner(a, b int64) int64 {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

const (
	stoodStillUs = 150_000   // between two ticks
	graceEveryUs = 1_000_000 // how often that excuses
	probeUs      = 25_000    // a node that owes an answer is probed so often
)

// Tick lets time pass: failure detection, heartbeats, deadlines. Call it every 10 to 50 ms, after
// what has arrived was taken in.
func (c *Core) Tick(nowUs int64) {
	c.setNow(nowUs)
	// A broker that itself stood still must not hold that against the nodes: it takes in what has
	// arrived meanwhile before it judges them. Not again at once, or one that is always late never would.
	if c.nowUs-c.tickUs > stoodStillUs && c.nowUs-c.graceUs > graceEveryUs {
		c.graceUs = c.nowUs
	}
	c.tickUs = c.nowUs
	if c.nowUs-c.graceUs >= c.cfg.HeartbeatMs*1000 {
		for _, n := range c.nodes {
			c.judge(n)
		}
	}
	if c.pending.bytes <= c.cfg.WindowBytesMax/2 {
		c.fullAtUs = 0
	}
	c.probe()
	c.tickHedge()
	if c.nowUs-c.beatUs >= c.cfg.HeartbeatMs*900 {
		c.beatUs = c.nowUs
		c.sendBeats()
	}
	c.tickRecovery()
	c.askParked()
	c.expireOps()
	c.maybeStartJoins()
	c.tickReaders()
	c.maybeVerify()
	c.tickPace()
	c.tickLeash()
	c.tickHot()
	c.tickNear()
	c.tickMemory()
	c.tickAhead()
	for _, n := range c.nodes {
		c.maybeAdd(n)
	}
	c.maybeChangeView()
	c.trimWindow()
}

// Beats returns the heartbeats that are due, for a caller that is busy sending something long.
func (c *Core) Beats(nowUs int64) []Frame {
	c.setNow(nowUs)
	if c.nowUs-c.beatUs < c.cfg.HeartbeatMs*900 {
		return nil
	}
	c.beatUs = c.nowUs
	out := c.Out.Frames
	c.Out.Frames = nil
	c.sendBeats()
	beats := c.Out.Frames
	c.Out.Frames = out
	return beats
}

// probe finds out soon that a node which owes an answer is gone: a frame for it cannot be sent.
func (c *Core) probe() {
	for _, n := range c.nodes {
		if len(n.flight) > 0 && c.nowUs-max(n.flight[0].sentUs, n.progressUs, n.probedUs) >= probeUs {
			n.probedUs = c.nowUs
			c.send(n.peer, c.beatFor(n).Append(nil, c.header(n)))
		}
	}
}

// maybePutOutLaggard puts out the member that keeps too much unsafe, when that has lasted for as long
// as a node may be silent and another member is well ahead: then it is this one that does not keep up.
func (c *Core) maybePutOutLaggard() {
	if c.fullAtUs == 0 {
		c.fullAtUs = c.nowUs
	}
	if c.nowUs-c.fullAtUs < c.cfg.DeadMs*1000 {
		return
	}
	ahead := uint64(0)
	for _, n := range c.nodes {
		if n.inSync() {
			ahead = max(ahead, n.match)
		}
	}
	for _, n := range c.nodes {
		if n.member && n.leave == "" && n.connected() && n.match == c.safe && !c.mustKeep(n) &&
			c.window.bytesBetween(n.match, ahead) > c.pending.bytes/2 {
			n.leave = reasonBehind
			c.reject(n.peer, wire.Header{Session: n.session}, true, reasonBehind)
			c.sessionOver(n, reasonBehind)
			return
		}
	}
}

// trimWindow keeps the window within its limits; what a member or a joiner still needs stays.
func (c *Core) trimWindow() {
	if c.window.bytes > c.cfg.JoinPinBytes {
		c.dropGreediestJoiner() // before what it pins is counted: it may be back at once
	}
	keep := c.tail + 1
	if len(c.pending.recs) > 0 {
		keep = min(keep, c.pending.first)
	}
	for _, n := range c.nodes {
		// A member that is away may be the last one: what it lacks is needed when it is back.
		if n.required() || n.connected() && n.state >= stateLoading {
			keep = min(keep, n.needFrom())
		}
	}
	minMs := int64(0)
	if c.cfg.WindowMs > 0 {
		minMs = c.nowUs/1000 - c.cfg.WindowMs
	}
	if c.cfg.Fault.TrimEarly {
		keep = c.tail + 1
	}
	c.window.trim(c.cfg.WindowBytesMax, minMs, keep)
}

// Stop answers everything that is still open, as nobody will order or read any more.
func (c *Core) Stop(nowUs int64) {
	c.setNow(nowUs)
	c.giveUpAll()
}

// giveUpAll answers what is open: writes that were ordered may have been applied, the rest was not done.
func (c *Core) giveUpAll() {
	c.refuseHeld(errLoading)
	c.refuseAhead(errLoading)
	for i, r := range c.pending.recs {
		c.abandonUncertain(c.pending.first+uint64(i), r)
		for _, o := range r.held {
			c.answerError(o, errLoading)
		}
		r.held = nil
	}
	for _, n := range c.nodes {
		items, _, _ := n.reads.take()
		for _, it := range items {
			if it.op != nil && !it.compares {
				c.answerError(it.op, errLoading)
			}
		}
	}
	for _, o := range c.parked {
		c.answerError(o, errLoading)
	}
	c.parked = nil
	c.pendingReads = 0
	for _, o := range c.barriers {
		c.answer(o, []byte(":0\r\n"))
	}
	c.barriers = nil
	for len(c.readers) > 0 {
		c.endReader(c.readers[0], errLoading)
	}
}
