package replication

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"brainer/internal/wire"
)

// nodeState is where a node stands with this broker. Transitions are the verbs below.
type nodeState uint8

const (
	stateDown    nodeState = iota // no session
	stateHello                    // asked to promise the epoch
	stateWaiting                  // promised; waits for a donor, or for the broker to be active
	stateLoading                  // takes a snapshot
	stateReplay                   // is sent what it missed
	stateAdding                   // level; its acknowledgements are required; the view is being stored
	stateLive                     // in the durable view, serves reads
)

var stateNames = [...]string{"down", "hello", "waiting", "loading", "replay", "adding", "live"}

// node is what the broker knows of one node, by its id.
type node struct {
	id       string
	number   uint16 // in this run of the broker, not 0
	version  uint8  // of the protocol, in its session
	software string
	salt     uint64
	endpoint string
	embedded bool

	incarnation   uint64
	dataID        uint64   // while it is a member, that of the view
	helloDataID   uint64   // of the present session
	disk          bool     // its copy is kept
	keep          uint64   // the snapshot of it that is wanted on its disk (wire.Beat.Keep), 0: none
	was           []uint64 // data ids that this copy had before, and of which it is what was left on a disk; with renamed it is all of the last
	renamed       bool
	clusterID     uint64
	state         nodeState
	member        bool // (id, dataID) is in the durable view
	inSyncSinceUs int64
	entering      bool   // (id, dataID) is in the view that is being stored, and not in the durable one
	leave         string // why it is to leave the view; "" stays
	lastReason    string // why it left last, or why it is not in
	flaps         int    // how often it has left in one go, without having stayed in between
	heldUntilUs   int64  // it does not enter the set before
	goodbye       bool   // it asked to leave

	peer, beatPeer string
	toldInSync     bool // by the last heartbeat on the session's own socket
	toldUs         int64
	toldCounts     wire.Counts
	toldKeep       uint64
	session        uint64
	assembler      wire.Assembler

	heardUs    int64      // last frame of any kind
	beatUs     int64      // last heartbeat
	tally      wire.Tally // in its session
	progressUs int64      // last Done, or when the oldest turn in flight went out first
	busyMs     uint32
	suspect    bool
	keys       int64
	usedBytes  int64
	ids        int64  // outcomes that it keeps for retries
	idsUsed    uint64 // and has answered with

	pos         wire.Position // as reported after the promise
	ringFirst   uint64
	reported    bool
	sent        uint64 // match <= sent <= tail
	sentMax     uint64 // the furthest that this session has sent; it may have applied up to here
	match       uint64 // applied up to here, in this session
	need        uint64 // adding: enters the set once match >= need
	diverged    bool   // its state differs from the others': only a snapshot helps
	lostReplies uint64 // keeps no replies up to here (it loaded a snapshot)

	turn     uint64
	flight   []flight // turns that it has not answered, the oldest first
	rttUs    int64    // the shortest time in this session between a turn and its answer; 0: not known
	probedUs int64
	parts    uint32 // of the answer to the oldest, that have arrived
	resends  uint8
	reads    readQueue
	buf      []byte
	long     []*long // messages in fragments, in order; the first is being sent
	ahead    nodeAhead

	allowance int64 // bytes that it may be sent now of what it lacks
	leash     leash

	memory nodeMemory

	join  *join // it is a joiner taking a snapshot
	gives int   // snapshots it gives as a donor
	read  int   // snapshots of it that are read in the broker
}

func (n *node) connected() bool { return n.state != stateDown }

// streaming: it is sent turns.
func (n *node) streaming() bool { return n.state >= stateReplay }

// inSync: a member of the durable view that is being served from.
func (n *node) inSync() bool { return n.member && n.state == stateLive }

// required: its acknowledgement is needed for the safe index. One that is entering counts whatever
// becomes of its session: the record that names it may already be durable.
func (n *node) required() bool { return n.member || n.entering || n.state == stateAdding }

// transferUs is the time that the turns in flight may take on their way beyond the usual: 50 MB a second.
func (n *node) transferUs() int64 { return int64(n.flightBytes()) / 50 }

// needFrom is the first entry that it still has to be sent, or may have to be sent again.
func (n *node) needFrom() uint64 {
	if n.state == stateLoading && n.join != nil {
		return n.join.position.Index + 1
	}
	return n.match + 1
}

func (c *Core) nodeByID(id string) *node {
	for _, n := range c.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

const (
	nodesMax   = 1000
	strangerUs = 60_000_000 // a node that is not in the record may be dropped when it has been gone for so long
)

// addNode makes room for a node; nil when there is none.
func (c *Core) addNode(id string) *node {
	if len(c.nodes) >= nodesMax && !c.maybeDropStranger() {
		return nil
	}
	number := c.freeNumber()
	if number == 0 {
		return nil
	}
	n := &node{id: id, number: number, salt: xxhash.Sum64String(id)}
	at, _ := slices.BinarySearchFunc(c.nodes, number, func(n *node, x uint16) int { return cmp.Compare(n.number, x) })
	c.nodes = slices.Insert(c.nodes, at, n)
	return n
}

// usedNumber is the number of a node that was dropped: entries up to an index may name it as the one that
// sends their reply unasked.
type usedNumber struct {
	number uint16
	upTo   uint64
}

// freeNumber is the number for another node, 0 when there is none: one that no entry names any more,
// or one that was never used.
func (c *Core) freeNumber() uint16 {
	for i, u := range c.usedNumbers {
		if u.upTo < c.window.first {
			c.usedNumbers = slices.Delete(c.usedNumbers, i, i+1)
			return u.number
		}
	}
	if c.lastNumber == 1<<16-1 {
		return 0
	}
	c.lastNumber++
	return c.lastNumber
}

// dropNode takes a node off the list that has no session and is not in the record's set.
func (c *Core) dropNode(n *node) {
	c.nodes = slices.DeleteFunc(c.nodes, func(x *node) bool { return x == n })
	c.usedNumbers = append(c.usedNumbers, usedNumber{n.number, c.tail})
}

// maybeDropStranger drops the node that has been gone for longest, of those that nothing is known of
// but that they were here. One that the record names may come back with data, and stays.
func (c *Core) maybeDropStranger() bool {
	var gone *node
	for _, n := range c.nodes {
		if n.connected() || n.required() || c.view.names(n.id) || c.storing != nil && c.storing.names(n.id) {
			continue
		}
		if c.nowUs-n.heardUs >= strangerUs && (gone == nil || n.heardUs < gone.heardUs) {
			gone = n
		}
	}
	if gone != nil {
		c.event(0, "node dropped from the list", gone, "there are too many")
		c.dropNode(gone)
	}
	return gone != nil
}

// inSyncCount is how many copies a write can be acknowledged by.
func (c *Core) inSyncCount() int {
	k := 0
	for _, n := range c.nodes {
		if n.inSync() && n.leave == "" {
			k++
		}
	}
	return k
}

func (c *Core) anyInSync() bool {
	for _, n := range c.nodes {
		if n.inSync() {
			return true
		}
	}
	return false
}

// listUsable recomputes the candidates for primary.
func (c *Core) listUsable() {
	c.usable = c.usable[:0]
	for _, n := range c.nodes {
		if n.inSync() && !n.suspect && n.leave == "" {
			c.usable = append(c.usable, n)
		}
	}
}

// validID: ids are shown in logs and are labels of metrics.
func validID(id string) bool {
	if id == "" || len(id) > 200 || !utf8.ValidString(id) {
		return false
	}
	return !strings.ContainsFunc(id, func(r rune) bool { return !unicode.IsPrint(r) })
}

// receiveHello opens a session for a node, in place of an earlier one of the same life.
func (c *Core) receiveHello(peer string, h wire.Header, m wire.Hello) {
	if !validID(m.NodeID) {
		c.reject(peer, h, false, "a node needs an id of 1 to 200 printable characters: give run_node --id")
		return
	}
	if m.Promised > c.epoch+1<<32 {
		c.reject(peer, h, false, "the epoch that it has promised cannot be")
		return
	}
	n := c.nodeByID(m.NodeID)
	if n != nil && n.connected() && n.incarnation != m.Incarnation && c.nowUs-n.heardUs < c.cfg.SuspectMs*1000 {
		c.event(1, "node refused", n, "another node with this id is alive")
		c.reject(peer, h, false, "another node with id "+m.NodeID+" is alive: give each run_node its own --id")
		return
	}
	if n == nil {
		if n = c.addNode(m.NodeID); n == nil {
			c.reject(peer, h, false, "too many nodes: forget some (brainer-cli, BRAINER FORGET)")
			return
		}
	}
	if n.connected() {
		c.reopens = true
		c.sessionOver(n, reasonNewSession)
		c.reopens = false
	}
	delete(c.loading, m.NodeID)
	c.nodeIsBack(n, m)
	n.peer, n.session, n.tally = peer, h.Session, wire.Tally{}
	n.version, n.software = h.Version, m.Software
	n.endpoint, n.embedded = m.Endpoint, m.Embedded
	n.incarnation, n.clusterID = m.Incarnation, m.ClusterID
	n.assembler, n.long = wire.Assembler{}, nil
	n.heardUs, n.beatUs, n.progressUs = c.nowUs, c.nowUs, c.nowUs
	n.suspect, n.busyMs, n.goodbye = false, 0, false
	n.reported, n.flight, n.rttUs, n.resends = false, n.flight[:0], 0, 0
	n.toldInSync, n.toldUs, n.toldCounts, n.toldKeep = false, 0, wire.Counts{}, 0
	n.memory.at, n.memory.asked, n.memory.empty = 0, false, false
	n.state = stateHello
	c.byPeer[peer] = n
	c.bySession[h.Session] = n
	how := ""
	if h.Version != wire.Version {
		how = fmt.Sprintf(" protocol=%d", h.Version)
	}
	c.event(0, "node hello", n, "endpoint=%s embedded=%v%s", m.Endpoint, m.Embedded, how)
	if m.Promised > c.epoch {
		c.raiseEpoch(m.Promised)
		return
	}
	c.prepare(n)
}

// nodeIsBack sees to it that a node which lost its memory is not taken for the member it was.
func (c *Core) nodeIsBack(n *node, m wire.Hello) {
	n.helloDataID, n.disk = m.DataID, m.Disk
	n.was, n.renamed = m.Was, m.Renamed
	switch {
	case c.waitsForItsName(n):
		n.leave = ""
		c.maybeChangeView()
	case !n.member && !n.entering:
		n.dataID, n.leave = m.DataID, ""
	case n.dataID == m.DataID || c.cfg.Fault.IgnoreDataID:
		if c.storing == nil || c.storing.has(n.id, n.dataID) {
			n.leave = "" // it is back before it was put out
		}
	default:
		c.lostItsData(n)
	}
}

// lostItsData: the copy that the view names is gone for good; what came back under its name is new.
func (c *Core) lostItsData(n *node) {
	if n.leave != reasonEmpty {
		n.leave = reasonEmpty
		c.event(1, "node restarted empty", n, "its copy is lost")
	}
	c.maybeChangeView()
}

// prepare asks a node to promise the epoch, once that is durable.
func (c *Core) prepare(n *node) {
	if !c.epochOK || n.state != stateHello || c.waitsForItsName(n) {
		return
	}
	n.ahead = nodeAhead{} // a promise has it forget
	m := wire.Prepare{BrokerRun: c.cfg.BrokerRun, Number: n.number, ClusterID: c.view.ClusterID}
	c.send(n.peer, m.Append(nil, c.header(n)))
}

// receivePosition learns what a node holds, after its promise: only this counts.
func (c *Core) receivePosition(n *node, m wire.PositionReport) {
	if c.waitsForItsName(n) {
		return // an earlier promise of the session
	}
	n.helloDataID = m.DataID
	if (n.member || n.entering) && m.DataID != n.dataID && !c.cfg.Fault.IgnoreDataID {
		c.lostItsData(n)
	} else if !n.member && !n.entering {
		n.dataID = m.DataID
	}
	if ms := m.LastMs; ms > c.lastMs {
		c.lastMs = ms
	}
	n.pos, n.ringFirst, n.clusterID, n.reported = m.Position, m.RingFirst, m.ClusterID, true
	if n.state == stateLoading && m.SnapID != 0 {
		c.snapshotLoaded(n, m)
		return
	}
	if n.state != stateHello {
		return
	}
	n.state = stateWaiting
	c.decide(n)
}

// decide says how a node that waits can come level: resume, snapshot, or not now.
func (c *Core) decide(n *node) {
	if n.state != stateWaiting {
		return
	}
	switch c.state {
	case forming:
		c.maybeForm()
		return
	case recovering:
		c.maybeRecover()
		return
	}
	if c.maybeReturn(n) {
		return
	}
	if n.goodbye || n.leave == reasonEmpty && n.member {
		return // viewChanged comes back to it
	}
	if c.foreign(n) {
		n.lastReason = "holds data of another history"
		c.event(2, "node refused", n, "it holds data of another history (cluster %016x, this is %016x)", n.clusterID, c.view.ClusterID)
		m := wire.Reject{Reason: "this node holds data of another history: stop it if that data is not needed (it joins empty), or point it at its own broker"}
		c.send(n.peer, m.Append(nil, c.header(n)))
		c.sessionOver(n, "foreign history")
		return
	}
	if c.canResume(n) {
		c.resume(n)
		return
	}
	if n.member {
		// It is in the durable set, but the window does not reach back to it.
		n.leave = reasonBehind
		c.maybeChangeView()
		return
	}
	c.wantSnapshot(n)
}

// foreign reports whether n holds data that no one said may be dropped.
func (c *Core) foreign(n *node) bool {
	return n.pos.Index > 0 && n.clusterID != c.view.ClusterID && !c.forced
}

func (c *Core) canResume(n *node) bool {
	if n.diverged || n.pos.Index+1 < c.window.first || n.pos.Index > c.tail {
		return false
	}
	if c.cfg.Fault.ResumeByIndex {
		return true
	}
	if n.pos.Index == 0 {
		return true // the window reaches back to the first entry
	}
	return n.clusterID == c.view.ClusterID && c.view.contains(n.pos, c.tail)
}

// resume sends n what it missed.
func (c *Core) resume(n *node) {
	n.sent, n.match, n.sentMax = n.pos.Index, n.pos.Index, n.pos.Index
	n.flight = n.flight[:0]
	n.progressUs = c.nowUs
	c.counters.resumes++
	if n.pos.Index == 0 {
		m := wire.Load{ClusterID: c.view.ClusterID} // nothing to load: it begins with the first entry
		c.send(n.peer, m.Append(nil, c.header(n)))
	}
	if n.member && n.leave == "" {
		c.becomeLive(n)
		c.advance()
		return
	}
	n.state, n.leash = stateReplay, leash{}
	if c.joins(n) {
		c.beginPace()
	}
	c.event(0, "node resumes", n, "at=%d behind=%d", n.pos.Index, c.tail-n.pos.Index)
	c.maybeAdd(n)
}

// maybeAdd moves a joiner on: near the end its acknowledgements become required, and when it has
// all that was ordered before that, the view is stored with it.
func (c *Core) maybeAdd(n *node) bool {
	if n.state == stateReplay && !n.member && !c.heldOff(n) && n.leave == "" && !n.goodbye && !n.suspect && c.state == active &&
		(c.tail-n.match <= c.cfg.JoinLagEntries || c.pulledIn(n)) {
		n.state = stateAdding
		c.unleash(n) // it is required now
		n.need = c.tail
		c.event(-1, "node adding", n, "need=%d", n.need)
	}
	if n.state == stateAdding && (n.match >= n.need || c.cfg.Fault.AddEarly) {
		return c.maybeChangeView()
	}
	return false
}

// becomeLive lets a member serve.
func (c *Core) becomeLive(n *node) {
	n.state = stateLive
	n.lastReason = ""
	n.heldUntilUs = 0
	n.join = nil
	c.listUsable()
	c.askKept(n, c.tail)
	c.event(0, "node live", n, "applied=%d", n.match)
	c.askParked()
}

// sessionOver ends n's session; what it was asked is asked elsewhere.
func (c *Core) sessionOver(n *node, why string) {
	if !n.connected() {
		return
	}
	was := n.state
	c.endJoins(n, why)
	delete(c.byPeer, n.peer)
	delete(c.bySession, n.session)
	n.state, n.peer, n.beatPeer = stateDown, "", ""
	n.assembler, n.long, n.ahead = wire.Assembler{}, nil, nodeAhead{}
	n.flight, n.suspect = n.flight[:0], false
	if !n.member {
		n.lastReason = why
	}
	c.event(1, "node session over", n, "%s", why)
	if c.base == n {
		c.base = nil
	}
	if n.member && n.leave == "" && why != reasonNewSession && (c.state == active || c.state == activating) {
		n.leave = why
	}
	c.listUsable()
	if was >= stateReplay {
		c.rerouteReads(n, why == reasonUnreachable)
		c.repliesFrom(n)
	}
	c.maybeChangeView()
	if was == stateAdding && !n.required() {
		c.advance()
	}
	c.unleash(n)
}

// judge looks at the time since a node was heard.
func (c *Core) judge(n *node) {
	if !n.connected() {
		return
	}
	silent := c.nowUs - n.beatUs
	stuck := len(n.flight) > 0 && c.nowUs-n.progressUs > c.cfg.DeadMs*1000+n.transferUs() &&
		(n.busyMs == 0 || int64(n.busyMs) > c.cfg.BusyLimitMs)
	switch {
	case silent > c.cfg.DeadMs*1000 || stuck:
		why := reasonSilent
		if stuck {
			why = reasonStalled
		}
		if c.mustKeep(n) {
			c.becomeSuspect(n)
			break
		}
		c.reject(n.peer, wire.Header{Session: n.session}, true, why)
		c.sessionOver(n, why)
		return
	case silent > c.cfg.SuspectMs*1000:
		c.becomeSuspect(n)
	case n.suspect && !stuck:
		n.suspect = false
		c.listUsable()
		c.event(0, "node answers again", n, "")
		if n.inSync() {
			c.askKept(n, c.tail)
		}
		c.maybeAdd(n)
	}
	if len(n.flight) > 0 && n.busyMs == 0 && !(n.suspect && silent > c.cfg.SuspectMs*1000) &&
		c.nowUs-max(n.flight[0].sentUs, n.progressUs) > c.cfg.ResendMs*1000*int64(1+n.resends)+n.transferUs() {
		c.resend(n, n.match, "no answer")
	}
}

// mustKeep: the last copy that answers is never put out, whatever it does.
func (c *Core) mustKeep(n *node) bool {
	if !n.inSync() {
		return false
	}
	for _, x := range c.nodes {
		if x != n && x.inSync() && !x.suspect && x.leave == "" {
			return false
		}
	}
	return true
}

// becomeSuspect sends n's reads elsewhere; its acknowledgements are still waited for.
func (c *Core) becomeSuspect(n *node) {
	if n.suspect {
		return
	}
	n.suspect = true
	c.listUsable()
	c.event(1, "node suspect", n, "silent_ms=%d", (c.nowUs-n.beatUs)/1000)
	if n.state == stateLive && len(c.usable) > 0 {
		c.rerouteReads(n, false)
		c.repliesFrom(n)
	}
}

// receiveBeat takes a node's heartbeat, which comes on a socket of its own.
func (c *Core) receiveBeat(peer string, h wire.Header, body []byte) {
	m, err := wire.DecodeBeat(body, h.Version)
	if err != nil {
		return
	}
	n := c.bySession[h.Session]
	if n == nil {
		c.reject(peer, h, true, "session is over")
		return
	}
	n.beatPeer = peer
	n.heardUs, n.beatUs = c.nowUs, c.nowUs
	n.busyMs, n.keys, n.usedBytes = m.BusyMs, m.Keys, m.UsedBytes
	n.ids, n.idsUsed = m.IDs, m.IDsAnswered
	c.snapshotKept(n, m.Kept)
	if m.MemoryBytes == 0 { // of the version before
		m.MemoryBytes = m.UsedBytes
	}
	n.memory.limit = m.LimitBytes
	c.reportsMemory(n, m.MemoryBytes, m.Applied)
	c.reclaims(n, &m)
	if n.state == stateHello && c.epochOK {
		c.prepare(n) // the first one may have been lost
	}
}

// sendBeats tells every node that the broker lives, and probes the connection. The session's own
// socket hears it rarely once there is one for heartbeats, but at once when what it says has changed.
func (c *Core) sendBeats() {
	for _, n := range c.nodes {
		if !n.connected() {
			continue
		}
		m := c.beatFor(n)
		frame := m.Append(nil, c.header(n))
		if n.beatPeer != "" {
			c.send(n.beatPeer, frame)
		}
		if n.beatPeer == "" || n.toldInSync != m.InSync || n.toldCounts != m.Counts || n.toldKeep != m.Keep || c.nowUs-n.toldUs >= 10*c.cfg.HeartbeatMs*1000 {
			n.toldInSync, n.toldUs, n.toldCounts, n.toldKeep = m.InSync, c.nowUs, m.Counts, m.Keep
			c.send(n.peer, frame)
		}
	}
}

// beatFor is what a node is told of the broker, and of itself.
func (c *Core) beatFor(n *node) wire.Beat {
	limit, counts := c.terms()
	return wire.Beat{Tail: c.tail, Safe: c.safe, InSync: n.inSync(), State: stateNames[n.state], LimitBytes: limit, Counts: counts, Keep: n.keep}
}

// tellTerms tells a node at once, before whatever is ordered next.
func (c *Core) tellTerms(n *node) {
	m := c.beatFor(n)
	n.toldCounts, n.toldKeep = m.Counts, m.Keep
	c.send(n.peer, m.Append(nil, c.header(n)))
}

// receiveGoodbye lets a node go: out of the set first, then it is told.
func (c *Core) receiveGoodbye(n *node) {
	if n.goodbye {
		return
	}
	n.goodbye = true
	c.event(0, "node says goodbye", n, "")
	c.endJoins(n, reasonGoodbye)
	if n.member {
		n.leave = reasonGoodbye
		c.listUsable()
		c.maybeChangeView()
		return
	}
	c.dismiss(n)
}

// dismiss tells a node that it is out and may go.
func (c *Core) dismiss(n *node) {
	c.send(n.peer, wire.Goodbye{}.Append(nil, c.header(n)))
	c.sessionOver(n, reasonGoodbye)
}
