package replication

import (
	"slices"

	"brainer/internal/wire"
)

// Why a node leaves the in-sync set: the label of the metric, the log and the status.
const (
	reasonUnreachable = "unreachable"
	reasonSilent      = "no heartbeat"
	reasonStalled     = "stalled"
	reasonGoodbye     = "goodbye"
	reasonEmpty       = "restarted empty"
	reasonBehind      = "behind the log window"
	reasonDiverged    = "diverged"
	reasonTooLarge    = "sent a message that is too large"
	reasonNewSession  = "new session"
)

// Reasons lists why a node may leave the in-sync set, for metrics.
func Reasons() []string {
	return []string{reasonUnreachable, reasonSilent, reasonStalled, reasonGoodbye, reasonEmpty, reasonBehind,
		reasonDiverged, reasonTooLarge}
}

// maybeChangeView stores the next view when someone is to leave or to enter and none is being stored.
// The set of those whose acknowledgement is required has grown before, and shrinks after.
func (c *Core) maybeChangeView() bool {
	if c.storing != nil || c.state != active && c.state != activating || !c.epochOK {
		return false
	}
	var leaving, entering, renamed []*node
	answering, allGoodbye := 0, true
	for _, n := range c.nodes {
		if n.member && c.waitsForItsName(n) {
			renamed = append(renamed, n)
		}
		switch {
		case n.member && n.leave != "":
			leaving = append(leaving, n)
			allGoodbye = allGoodbye && n.leave == reasonGoodbye
		case n.inSync() && !n.suspect:
			answering++
		case n.state == stateAdding && !n.member && (n.match >= n.need || c.cfg.Fault.AddEarly):
			entering = append(entering, n)
			answering++
		}
	}
	if answering == 0 && !(allGoodbye && len(leaving) == len(c.view.Members) && !c.anyJoinsSoon()) {
		leaving = nil // the last copy is never put out, and not let go while another one is all but in
	}
	if len(leaving) == 0 && len(entering) == 0 && len(renamed) == 0 {
		return false
	}
	if answering == 0 && len(leaving) > 0 && c.maybeEnd(leaving) {
		return true
	}
	v := c.view.clone()
	v.rename(renamed)
	for _, n := range leaving {
		v.Members = slices.DeleteFunc(v.Members, func(m Member) bool { return m.NodeID == n.id })
		v.Left = withoutNode(v.Left, n.id)
		if m := n.asMember(); n.leave != reasonGoodbye && n.leave != reasonEmpty && m.outlives() {
			m.DataID = n.dataID
			v.Left = append(v.Left, m)
		}
	}
	for _, n := range entering {
		v.Members = append(withoutNode(v.Members, n.id), n.asMember()) // one process has a node's id: another copy of it is gone
		v.Left = withoutNode(v.Left, n.id)
		n.entering = !c.cfg.Fault.JoinerUncounted
	}
	if c.cfg.Fault.EjectNotDurable {
		for _, n := range leaving {
			n.member = false
		}
		c.advance()
	}
	c.store(v)
	return true
}

// anyJoinsSoon: a node has all but the last entries.
func (c *Core) anyJoinsSoon() bool {
	for _, n := range c.nodes {
		if !n.member && n.streaming() && !n.suspect && !n.goodbye {
			return true
		}
	}
	return false
}

func withoutNode(ms []Member, id string) []Member {
	return slices.DeleteFunc(ms, func(m Member) bool { return m.NodeID == id })
}

// viewChanged follows the view that is durable now.
func (c *Core) viewChanged() {
	if c.view.Epoch != c.epoch {
		c.beginReign() // the epoch was raised meanwhile
		return
	}
	if !c.epochOK {
		c.epochOK = true
		for _, n := range c.nodes {
			c.prepare(n)
		}
	}
	base := c.base // that the record is of; whoever leaves the set below may have another one looked for
	var out, in []*node
	for _, n := range c.nodes {
		was := n.member
		if n.renamed && c.view.has(n.id, n.before()) && !c.view.has(n.id, n.dataID) {
			n.dataID = n.before() // it is a member, under the name that it had when the record was written
		}
		if was && c.waitsForItsName(n) && c.view.has(n.id, n.helloDataID) {
			n.dataID = n.helloDataID
			c.prepare(n)
		}
		n.member, n.entering = c.view.has(n.id, n.dataID), false
		switch {
		case was && !n.member:
			out = append(out, n)
		case !was && n.member:
			in = append(in, n)
		}
	}
	c.listUsable()
	if c.ending {
		c.ended(out)
		return
	}
	if len(c.view.Members) == 0 && (c.state == active || c.state == activating) {
		c.allLeft(out)
		return
	}
	for _, n := range in {
		c.entered(n)
	}
	for _, n := range out {
		c.left(n)
	}
	switch {
	case c.state == recovering && len(c.view.Members) > 0 && base != nil && c.base == base && c.view.eraOf(c.tail+1) == c.epoch:
		c.beginEra()
	case c.state == forming && len(c.view.Members) > 0:
		c.beginEra()
	}
	if len(out) > 0 {
		c.shrunk()
	}
	c.advance()
}

// left: n is out of the durable view.
func (c *Core) left(n *node) {
	why := n.leave
	switch {
	case why != "":
	case n.connected():
		why = reasonBehind // recovery left it out
	default:
		why = reasonUnreachable
	}
	c.counters.evicted[why]++
	n.lastReason, n.leave, n.dataID = why, "", n.helloDataID
	c.event(1, "node out of the in-sync set", n, "%s", why)
	if why != reasonGoodbye {
		c.holdOff(n)
	}
	c.repliesFrom(n)
	switch {
	case n.goodbye && n.connected():
		c.rerouteReads(n, false)
		c.dismiss(n)
	case n.state == stateLive:
		// It is connected and may even be level: back by way of replay.
		n.state = stateReplay
		c.rerouteReads(n, false)
	case n.state == stateWaiting:
		c.decide(n)
	}
}

// entered: n is in the durable view.
func (c *Core) entered(n *node) {
	n.inSyncSinceUs = c.nowUs
	switch {
	case n.leave != "" || c.state != active && c.state != activating:
	case n.state == stateAdding, n.state == stateReplay:
		c.becomeLive(n)
	case n.state == stateWaiting:
		c.decide(n)
	case !n.connected():
		n.leave = reasonUnreachable // it was added while it went; it counts until it is out again
	}
}

// beginEra starts this epoch's part of the order behind the truth that is in the view.
func (c *Core) beginEra() {
	c.state = activating
	c.base = nil
	for _, n := range c.nodes {
		switch {
		case !n.member:
		case n.state == stateWaiting:
			c.resume(n)
		case !n.connected():
			n.leave = reasonUnreachable // it went while the record was being stored
		}
	}
	c.noop = c.appendOwn(wire.EntryNoop)
	c.event(0, "era begins", nil, "epoch=%d members=%d", c.epoch, len(c.view.Members))
	for _, n := range c.nodes {
		c.decide(n)
	}
}

func (c *Core) becomeActive() {
	c.state = active
	c.near.clear() // data may have been brought level since, or recovered
	c.detail, c.forced = "", false
	c.event(0, "broker active", nil, "epoch=%d safe=%d", c.epoch, c.safe)
	for _, n := range c.nodes {
		c.decide(n)
		c.maybeAdd(n)
	}
}

// allLeft: the last node said goodbye; with nobody to come back, the next empty node begins anew.
func (c *Core) allLeft(out []*node) {
	c.event(1, "no copy left", nil, "every node said goodbye")
	c.giveUpAll()
	c.state = forming // nothing may be decided for a set that is not there
	for _, n := range out {
		c.left(n)
	}
	if c.view.onlyEmbedded() {
		c.startOver()
		return
	}
	// A node that left otherwise may still come back with data: as after a restart, an operator decides.
	c.state, c.base, c.recoverAtUs = recovering, nil, 0
	c.resetOrder(c.tail)
	c.endAllSessions("no copy left")
}

// Forget drops a node that is not coming back from the list.
func (c *Core) Forget(nowUs int64, id string) string {
	c.setNow(nowUs)
	n := c.nodeByID(id)
	switch {
	case n == nil:
		return "ERR no such node '" + id + "'"
	case n.connected() || n.member:
		return "ERR node '" + id + "' is connected or in the in-sync set"
	case c.storing != nil:
		return "TRYAGAIN the in-sync set is being changed"
	}
	c.dropNode(n)
	v := c.view.clone()
	if v.Left = withoutNode(v.Left, id); len(v.Left) < len(c.view.Left) {
		c.store(v)
	}
	return ""
}
