package replication

import (
	"fmt"
	"math"

	"brainer/internal/eviction"
	"brainer/internal/op"
	"brainer/internal/wire"
)

// brokerState is what the broker as a whole is doing.
type brokerState uint8

const (
	forming    brokerState = iota // no record: the first empty node begins a history
	recovering                    // a record names members: one of them has the truth
	activating                    // the era's first entry is on its way
	active
)

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

// NodesAfar reports whether there are nodes in other processes, which have to be woken for a turn.
func (c *Core) NodesAfar() bool {
	for _, n := range c.nodes {
		if n.connected() && !n.embedded {
			return true
		}
	}
	return false
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
