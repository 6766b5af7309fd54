package replication

import (
	"fmt"
	"slices"
	"strings"
)

// Copies that were kept on disks.
//
// One that comes back with the data id that the record names is whole: its node ended well, or acknowledged nothing that
// was not kept. Any such copy has all that was acknowledged under the rule all.
//
// One whose node was killed while it acknowledged before it synced may lack the last of that. It comes back under another
// data id and says which copy it is left of. While a whole copy lives, or may come back, it takes what it lacks from there like any
// node. When all are down, what is left on the disks is all there is: then the broker waits, without end, until every member of the
// last set that could hold more has come back, as it was or as what is left; the furthest of these is the truth from
// then on.
//
// A copy whose disk does not follow any more gets another name, durably, before anything else is acknowledged by it: what its
// disk has is then not taken for it.

// asMember is n as the record names it.
func (n *node) asMember() Member {
	return Member{NodeID: n.id, DataID: n.helloDataID, Embedded: n.embedded, Disk: n.disk}
}

// before is the data id that the copy had before its present one.
func (n *node) before() uint64 {
	if k := len(n.was); k > 0 {
		return n.was[k-1]
	}
	return 0
}

// isWhole says whether n holds all that member m held.
func (n *node) isWhole(m Member) bool {
	return n.helloDataID == m.DataID || n.renamed && n.before() == m.DataID
}

// waitsForItsName says that n, a member, has to be recorded under its new name before it is asked for anything.
func (c *Core) waitsForItsName(n *node) bool {
	return (n.member || n.entering) && n.renamed && n.before() == n.dataID && n.helloDataID != n.dataID && c.state != recovering
}

func (v *View) rename(nodes []*node) {
	for _, n := range nodes {
		for i := range v.Members {
			if v.Members[i].NodeID == n.id {
				v.Members[i] = n.asMember()
			}
		}
	}
}

// returned looks among the members' remains, when no whole copy is here. It returns the furthest once all that could
// hold more are here, and how many these are.
func (c *Core) returned() (best *node, here int) {
	var missing []string
	var remains []*node
	for _, m := range c.view.Members {
		n := c.nodeByID(m.NodeID)
		switch {
		case !m.outlives():
		case n == nil || n.state != stateWaiting || !n.reported || n.goodbye:
			missing = append(missing, m.NodeID)
		case slices.Contains(n.was, m.DataID):
			remains = append(remains, n)
			if best == nil || best.pos.Less(n.pos) {
				best = n
			}
		}
	}
	switch {
	case best == nil:
		c.explainWaiting()
		return nil, 0
	case len(missing) > 0 && !c.cfg.Fault.FirstReturned:
		if c.recoveryStuck() {
			them := "it"
			if len(missing) > 1 {
				them = "them"
			}
			c.stuck(fmt.Sprintf("all copies were down; %s is back from its disk as of index %d, and %s may hold more: start %s, or say: brainer-cli ENDPOINT recover --from NODE",
				best.id, best.pos.Index, strings.Join(missing, " and "), them))
		}
		return nil, 0
	}
	for _, n := range remains { // one that is behind is no member before it has caught up: it would be taken for whole
		n.dataID, n.member, n.leave = n.helloDataID, n.pos == best.pos || c.cfg.Fault.AllReturned, ""
	}
	c.event(1, "goes on with what was on disks", best, "no copy is whole; what was acknowledged last, and not synced, may be lost")
	c.Out.Events[len(c.Out.Events)-1].Index = best.pos.Index
	return best, len(remains)
}

// maybeReturn: n is what is left of a member, and nobody serves. The record is gone through as after a restart.
func (c *Core) maybeReturn(n *node) bool {
	if c.state != active && c.state != activating || c.storing != nil || c.anyInSync() || len(n.was) == 0 || n.renamed || n.goodbye ||
		!slices.ContainsFunc(c.view.Members, func(m Member) bool { return m.NodeID == n.id && slices.Contains(n.was, m.DataID) }) {
		return false
	}
	c.event(1, "no copy serves, and one is back from its disk", n, "recovering")
	c.giveUpAll()
	c.state, c.base, c.recoverAtUs = recovering, nil, 0
	c.epoch++
	c.endAllSessions("the copies are being looked through")
	for _, x := range c.nodes {
		x.member, x.leave, x.entering = false, "", false
	}
	c.beginReign()
	return true
}

// maybeEnd: all copies that are left say goodbye. Those that are kept on disks stay in the record, so that any of them is
// enough to go on.
func (c *Core) maybeEnd(leaving []*node) bool {
	v := c.view.clone()
	v.Members = slices.DeleteFunc(v.Members, func(m Member) bool {
		return !slices.ContainsFunc(leaving, func(n *node) bool { return n.id == m.NodeID && n.disk })
	})
	if len(v.Members) == 0 {
		return false
	}
	for _, m := range v.Members {
		v.Left = withoutNode(v.Left, m.NodeID)
	}
	c.ending = true
	c.store(v)
	return true
}

// ended: the record of the copies that said goodbye is durable.
func (c *Core) ended(out []*node) {
	c.ending = false
	c.event(1, "no copy left", nil, "every node said goodbye; the copies on disks may come back")
	c.giveUpAll()
	c.state = forming // nothing may be decided for a set that is not there
	for _, n := range c.nodes {
		if slices.Contains(out, n) {
			c.left(n)
			continue
		}
		if n.member && n.leave != "" {
			n.leave, n.member = "", false
			c.rerouteReads(n, false)
			if n.connected() {
				c.dismiss(n)
			}
		}
	}
	c.state, c.base, c.recoverAtUs = recovering, nil, 0
	c.resetOrder(c.tail)
	c.epoch++ // what was ordered and not taken is told apart from what will be ordered at the same indexes
	c.endAllSessions("no copy left")
	c.beginReign()
}
