package replication

import (
	"brainer/internal/wire"
)

const (
	joinsMax     = 2
	joinsPerNode = 1
)

// join is a snapshot on its way from a donor, through the broker, to a joiner.
type join struct {
	snapID     uint64
	donor      *node
	started    bool          // the donor's stream has the mark
	turn       uint64        // the donor's turn that carried it
	loaded     bool          // the joiner has it all
	position   wire.Position // of the state it carries
	progressUs int64
	beganUs    int64

	wanted   uint32 // the credit that the joiner gives
	passed   uint32 // that the donor has
	reserved int64  // bytes that were charged for chunks to come

	chunks                int // that have come from the donor
	keysDone, keysTotal   int64
	bytesDone, bytesTotal int64
	behindAtLoad          uint64
	loadedUs              int64
}

// wantSnapshot: n cannot resume; it is given a donor when one is free.
func (c *Core) wantSnapshot(n *node) {
	c.event(0, "node needs a snapshot", n, "at=%d window_from=%d", n.pos.Index, c.window.first)
	c.maybeStartJoins()
}

// maybeStartJoins finds donors for those that wait, and ends joins that do not move.
func (c *Core) maybeStartJoins() {
	if c.state != active {
		return
	}
	running := 0
	for _, n := range c.nodes {
		if n.join == nil || n.join.loaded {
			continue
		}
		if c.nowUs-n.join.progressUs > c.cfg.JoinStallMs*1000 {
			c.event(1, "join stalled", n, "donor=%s", n.join.donor.id)
			c.endJoins(n, "stalled")
			continue
		}
		running++
	}
	for _, n := range c.nodes {
		if n.state != stateWaiting || n.join != nil || n.goodbye || n.required() || n.suspect || c.foreign(n) {
			continue
		}
		if c.canResume(n) {
			c.resume(n)
			continue
		}
		donor := c.leastBusyDonor()
		if donor == nil || running >= joinsMax {
			return
		}
		donor.gives++
		n.join = &join{snapID: c.cfg.Rand() | 1, donor: donor, progressUs: c.nowUs, beganUs: c.nowUs}
		running++
	}
}

func (c *Core) leastBusyDonor() *node {
	var best *node
	for _, n := range c.usable {
		if n.gives < joinsPerNode && (best == nil || n.gives < best.gives) {
			best = n
		}
	}
	return best
}

// donationFor returns the joiner whose snapshot is to begin in n's stream.
func (c *Core) donationFor(n *node) *node {
	if n.gives == 0 {
		return nil
	}
	for _, j := range c.nodes {
		if j.join != nil && j.join.donor == n && !j.join.started && j.state == stateWaiting {
			return j
		}
	}
	return nil
}

// startDonation marks the place in the donor's stream whose state the joiner gets.
func (c *Core) startDonation(donor, joiner *node, b []byte) []byte {
	j := joiner.join
	j.started, j.turn = true, donor.turn
	j.position = wire.Position{Era: c.view.eraOf(donor.sent), Index: donor.sent}
	j.progressUs = c.nowUs
	joiner.state = stateLoading
	c.beginPace()
	joiner.match, joiner.sent = 0, 0
	m := wire.Load{SnapID: j.snapID, ClusterID: c.view.ClusterID, Position: j.position}
	c.send(joiner.peer, m.Append(nil, c.header(joiner)))
	c.counters.snapshots++
	c.event(0, "join begins", joiner, "donor=%s at=%d", donor.id, j.position.Index)
	parts := donor.version != wire.VersionBefore && joiner.version != wire.VersionBefore
	return wire.AppendSnapshotItem(b, j.snapID, parts || c.cfg.Fault.PartsForAll)
}

func (c *Core) joinerOf(donor *node, snapID uint64) *node {
	for _, n := range c.nodes {
		if n.join != nil && n.join.snapID == snapID && n.join.donor == donor {
			return n
		}
	}
	return nil
}

// relayChunk passes a part of a snapshot on.
func (c *Core) relayChunk(donor *node, m wire.Chunk) {
	if c.readChunk(donor, m) {
		return
	}
	n := c.joinerOf(donor, m.SnapID)
	if n == nil || n.state != stateLoading {
		return
	}
	j := n.join
	j.progressUs = c.nowUs
	j.chunks++
	j.keysDone, j.keysTotal = int64(m.KeysDone), int64(m.KeysTotal)
	j.bytesDone += int64(len(m.Records))
	j.bytesTotal = max(int64(m.BytesTotal), j.bytesDone)
	reserved := min(j.reserved, j.chunkBytes())
	j.reserved -= reserved
	c.charge(n, -reserved)
	c.joinSent(n, int64(len(m.Records)))
	h := c.header(n)
	if len(n.long) == 0 && len(m.Records) <= c.cfg.FrameBytesMax/2 {
		c.send(n.peer, m.Append(nil, h))
		return
	}
	h.Type, h.Seq = wire.TChunk, uint64(m.Number)
	c.sendLong(n, h, []wire.Piece{{Bytes: m.AppendHead(nil, len(m.Records))}, {Bytes: m.Records}})
}

// relayCredit lets the donor go on, as fast as joins may.
func (c *Core) relayCredit(n *node, m wire.Credit) {
	if j := n.join; j != nil && j.snapID == m.SnapID && !j.loaded {
		j.progressUs = c.nowUs
		j.wanted = max(j.wanted, m.UpTo)
		c.passCredit(n)
	}
}

func (c *Core) passCredit(n *node) {
	j, was := n.join, n.join.passed
	if !c.pace.limited {
		j.passed = j.wanted
	}
	for j.passed < j.wanted && c.mayJoinGoOn(n) {
		j.passed = max(j.passed, uint32(j.chunks)) + 1
		j.reserved += j.chunkBytes()
		c.charge(n, j.chunkBytes())
	}
	if j.passed > was && j.donor.connected() {
		c.send(j.donor.peer, wire.Credit{SnapID: j.snapID, UpTo: j.passed}.Append(nil, c.header(j.donor)))
	}
}

// chunkBytes is how long a chunk is likely to be.
func (j *join) chunkBytes() int64 { return j.bytesDone/int64(max(j.chunks, 1)) + 1 }

// goOnJoining lets time count, and donors go on that had to wait.
func (c *Core) goOnJoining() {
	if c.pace.limited {
		c.fillPace()
	}
	for _, n := range c.nodes {
		if j := n.join; j != nil && j.passed < j.wanted && !j.loaded {
			c.passCredit(n)
		}
	}
}

// snapshotLoaded: n holds the state at the snapshot's position now; the entries behind it follow.
func (c *Core) snapshotLoaded(n *node, m wire.PositionReport) {
	j := n.join
	if j == nil || j.snapID != m.SnapID || m.Position != j.position {
		return
	}
	j.loaded, j.loadedUs, j.behindAtLoad = true, c.nowUs, c.tail-m.Position.Index
	j.donor.gives--
	n.diverged = false
	n.lostReplies = max(n.lostReplies, m.Position.Index)
	c.event(0, "snapshot loaded", n, "keys=%d bytes=%d ms=%d", j.keysDone, j.bytesDone, (c.nowUs-j.beganUs)/1000)
	n.state = stateWaiting
	if !c.canResume(n) {
		n.join = nil
		c.wantSnapshot(n)
		return
	}
	c.resume(n)
}

// receiveAbort: one side of a snapshot gave up.
func (c *Core) receiveAbort(n *node, m wire.Abort) {
	if r := c.reader(m.SnapID); r != nil && r.donor == n {
		c.endReader(r, errReadLostDonor)
		return
	}
	for _, x := range c.nodes {
		if x.join != nil && x.join.snapID == m.SnapID && (x == n || x.join.donor == n) && !x.join.loaded {
			c.endJoin(x, "given up by "+n.id)
		}
	}
}

// endJoin ends the snapshot that n is taking; it waits for another.
func (c *Core) endJoin(n *node, why string) {
	j := n.join
	n.join = nil
	if j == nil || j.loaded {
		return
	}
	j.donor.gives--
	if n.state == stateLoading {
		// What it has is a part of a state, that is nothing. It reports again, as another copy.
		n.state, n.reported, n.pos = stateHello, false, wire.Position{}
	}
	n.dropLong(wire.TChunk)
	if j.started {
		c.event(1, "join ends unfinished", n, "donor=%s: %s", j.donor.id, why)
		if j.donor.connected() {
			c.send(j.donor.peer, wire.Abort{SnapID: j.snapID}.Append(nil, c.header(j.donor)))
		}
		if n.connected() {
			c.send(n.peer, wire.Abort{SnapID: j.snapID}.Append(nil, c.header(n)))
			c.prepare(n)
		}
	}
}

// endJoins ends the joins that n takes part in, as joiner or donor.
func (c *Core) endJoins(n *node, why string) {
	c.endJoin(n, why)
	c.abortDonations(n, why)
}

// loseMarks ends the joins whose mark was in one of the donor's turns that are not answered.
func (c *Core) loseMarks(donor *node) {
	from := donor.flight[0].turn
	c.loseReaders(donor, from)
	for _, n := range c.nodes {
		if j := n.join; j != nil && j.donor == donor && j.started && !j.loaded && j.turn >= from && j.chunks == 0 {
			c.endJoin(n, "the donor's stream broke")
		}
	}
}

func (c *Core) abortDonations(donor *node, why string) {
	c.loseReaders(donor, 0)
	for _, n := range c.nodes {
		if n.join != nil && n.join.donor == donor && !n.join.loaded {
			c.endJoin(n, why)
		}
	}
}

// dropGreediestJoiner gives up the join that pins most of the window.
func (c *Core) dropGreediestJoiner() {
	var worst *node
	for _, n := range c.nodes {
		if n.member && n.connected() && (worst == nil || n.needFrom() < worst.needFrom()) {
			worst = n
		}
	}
	for _, n := range c.nodes {
		if !n.member && n.state >= stateLoading && (worst == nil || n.needFrom() < worst.needFrom()) {
			worst = n
		}
	}
	if worst != nil && !worst.member {
		c.event(1, "join given up", worst, "it would need more than the log window may hold")
		c.reject(worst.peer, wire.Header{Session: worst.session}, true, reasonBehind)
		c.sessionOver(worst, reasonBehind)
	}
}
