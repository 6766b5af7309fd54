package replication

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"brainer/internal/wire"
)

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

// validID: ids are shown in logs and are labels of metrics.
func validID(id string) bool {
	if id == "" || len(id) > 200 || !utf8.ValidString(id) {
		return false
	}
	return !strings.ContainsFunc(id, func(r rune) bool { return !unicode.IsPrint(r) })
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
