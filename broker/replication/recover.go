package replication

import (
	"fmt"
	"strings"

	"brainer/internal/wire"
)

// beginReign asks for the new epoch to be stored. Until it is, no node is asked to promise it.
func (c *Core) beginReign() {
	c.near.clear()
	c.epochOK = false
	if c.view.No > 0 && c.state == forming && c.tail == 0 && len(c.view.Members)+len(c.view.Left) > 0 {
		if c.view.onlyEmbedded() {
			c.event(1, "starts empty", nil, "the only copy was in the broker's own process")
			c.view.Members = nil
		} else {
			c.state = recovering
		}
	}
	if c.state == forming {
		c.resetOrder(0)
	}
	v := c.view.clone()
	v.Epoch = c.epoch
	c.store(v)
}

// raiseEpoch: a node has promised a higher epoch than ours.
func (c *Core) raiseEpoch(promised uint64) {
	if promised < c.epoch {
		return
	}
	if c.state == active || c.state == activating {
		c.event(2, "a node obeys another broker", nil, "it promised epoch %d, ours is %d", promised, c.epoch)
		return
	}
	c.epoch, c.epochOK, c.base = promised+1, false, nil
	for _, n := range c.nodes {
		if n.connected() {
			n.state, n.reported = stateHello, false
		}
	}
	if c.storing == nil {
		c.beginReign()
	}
}

func (c *Core) receiveFenced(n *node, m wire.Fenced) {
	if m.Promised > c.epoch || m.Promised == c.epoch && n.state == stateHello {
		if c.state == active || c.state == activating {
			n.lastReason = "obeys another broker"
			c.sessionOver(n, "fenced")
		}
		c.raiseEpoch(m.Promised)
	}
}

// resetOrder puts the end of the order at index: all that is known is safe.
func (c *Core) resetOrder(index uint64) {
	c.tail, c.safe = index, index
	c.pending.reset(index + 1)
	c.resetMemory()
	c.reclaim = reclaim{}
	c.window.reset(index + 1)
	clear(c.keyLast)
	c.floor = index
	c.heldBy = nil
	c.digests = digests{}
}

// startOver leaves the history that no one holds any more.
func (c *Core) startOver() {
	c.giveUpAll()
	c.state = forming
	c.formAtUs = c.nowUs
	c.resetOrder(0)
	c.endAllSessions("a new history begins")
}

func (c *Core) endAllSessions(why string) {
	for _, n := range c.nodes {
		if n.connected() {
			c.reject(n.peer, wire.Header{Session: n.session}, true, why)
			c.sessionOver(n, why)
		}
	}
}

// maybeForm begins a history with the first empty node. A broker without a record waits a little:
// a node that holds data means that the record is lost, and then nothing is guessed.
func (c *Core) maybeForm() {
	if c.state != forming || !c.epochOK || c.storing != nil {
		return
	}
	if c.formAtUs == 0 {
		c.formAtUs = c.nowUs
	}
	var first *node
	var holders []string
	for _, n := range c.nodes {
		if n.state != stateWaiting || n.goodbye {
			continue
		}
		if n.pos.Index > 0 && !c.forced {
			holders = append(holders, n.id)
		} else if n.pos.Index == 0 && first == nil {
			first = n
		}
	}
	if len(holders) > 0 && c.view.ClusterID == 0 {
		c.stuck(fmt.Sprintf("this broker has no record of a cluster, but nodes hold data: %s. Start it with the --state-dir it had, or say: brainer-cli ENDPOINT recover --from NODE | --empty",
			strings.Join(holders, ", ")))
		return
	}
	if c.forced {
		for _, n := range c.nodes {
			if n.state == stateWaiting && n.pos.Index > 0 {
				n.state = stateHello // it reports again once it is empty
				c.send(n.peer, wire.Load{}.Append(nil, c.header(n)))
			}
		}
	}
	if first == nil || c.nowUs-c.formAtUs < c.cfg.FormWaitMs*1000 && c.view.No <= 1 {
		return
	}
	v := c.view.clone()
	v.ClusterID = c.cfg.Rand() | 1
	v.Members = []Member{first.asMember()}
	v.Left = nil
	v.History = []Era{{Era: c.epoch, Start: 1}}
	c.event(0, "a history begins", first, "cluster=%016x epoch=%d", v.ClusterID, c.epoch)
	c.store(v)
}

// maybeRecover looks for the most advanced copy of the last view. It waits for the other members
// for a while, once one is here.
func (c *Core) maybeRecover() {
	if c.state != recovering || !c.epochOK || c.storing != nil {
		return
	}
	if c.base != nil {
		if c.nowUs-c.fetchUs > c.cfg.DeadMs*1000 {
			c.fetch() // the question or the answer was lost
		}
		return
	}
	expected, here := 0, 0
	var best *node
	for _, m := range c.view.Members {
		n := c.nodeByID(m.NodeID)
		candidate := n != nil && n.state == stateWaiting && n.reported && n.isWhole(m) && !n.goodbye
		if c.cfg.Fault.IgnoreDataID && n != nil && n.state == stateWaiting && n.reported {
			candidate = true
		}
		if candidate {
			here++
			n.dataID, n.member = n.helloDataID, true
			if n.leave == reasonEmpty {
				n.leave = "" // it has another name, that is all
			}
			if best == nil || best.pos.Less(n.pos) {
				best = n
			}
		}
		gone := !m.outlives() || n != nil && n.reported && !n.isWhole(m)
		if candidate || !gone {
			expected++
		}
	}
	if best == nil {
		c.recoverAtUs = 0
		if best, here = c.returned(); best == nil {
			return
		}
		expected = here
	}
	if c.recoverAtUs == 0 {
		c.recoverAtUs = c.nowUs
	}
	if here < expected && c.nowUs-c.recoverAtUs < c.cfg.RecoverWaitMs*1000 {
		return
	}
	c.base = best
	c.event(0, "recovers from", best, "era=%d index=%d candidates=%d", best.pos.Era, best.pos.Index, here)
	c.fetch()
}

// fetch asks the base for the entries that it keeps.
func (c *Core) fetch() {
	c.fetchUs = c.nowUs
	c.send(c.base.peer, wire.Fetch{From: c.base.ringFirst}.Append(nil, c.header(c.base)))
}

func (c *Core) explainWaiting() {
	if !c.recoveryStuck() {
		return
	}
	var ids []string
	for _, m := range append(c.view.clone().Members, c.view.Left...) {
		if m.outlives() {
			ids = append(ids, m.NodeID)
		}
	}
	c.stuck(fmt.Sprintf("no member of the last in-sync set is here (known nodes: %s). Start one that kept its memory, or say: brainer-cli ENDPOINT recover --from NODE | --empty",
		strings.Join(ids, ", ")))
}

// recoveryStuck: it has waited long enough for a member to say that none may come.
func (c *Core) recoveryStuck() bool {
	if _, loads := c.loadingPercent(); loads {
		return false
	}
	return c.recoverAtUs == 0 && c.nowUs-c.startUs > c.cfg.RecoverWaitMs*1000
}

func (c *Core) stuck(why string) {
	if c.detail != why {
		c.detail = why
		c.event(2, "waits for an operator or a node", nil, "%s", why)
	}
}

// receiveEntries primes the window with what the base keeps, and makes the view of the members that
// can be brought level from there.
func (c *Core) receiveEntries(n *node, m wire.Entries) {
	if n != c.base || c.state != recovering || c.storing != nil {
		return
	}
	c.resetOrder(n.pos.Index)
	c.fillWindow(n.pos.Index, m.Runs)
	v := c.view.clone()
	keep := v.History[:0]
	for _, e := range v.History {
		if e.Era <= n.pos.Era && e.Start <= n.pos.Index {
			keep = append(keep, e)
		}
	}
	v.History = append(keep, Era{Era: c.epoch, Start: c.tail + 1})
	if v.ClusterID == 0 {
		v.ClusterID = n.clusterID
	}
	was := c.view.clone()
	c.view.History = v.History
	v.Members = nil
	for _, mem := range was.Members {
		x := c.nodeByID(mem.NodeID)
		if x != nil && x.member && x.dataID == x.helloDataID && x.state == stateWaiting && x.reported && (x == n || c.canResume(x)) {
			v.Members = append(v.Members, x.asMember())
		} else if mem.outlives() {
			v.Left = append(withoutNode(v.Left, mem.NodeID), mem)
		}
	}
	c.view = was
	c.store(v)
}

// fillWindow takes runs that end at index last; with a gap in them it takes none.
func (c *Core) fillWindow(last uint64, runs []wire.Run) {
	count := uint64(0)
	for _, r := range runs {
		count += uint64(r.Count)
	}
	next := last + 1 - count
	if count > last {
		return
	}
	c.window.reset(next)
	for _, r := range runs {
		b := r.Entries
		if r.First != next || c.view.eraOf(r.First) != r.Era {
			c.window.reset(last + 1)
			return
		}
		for i := uint32(0); i < r.Count; i++ {
			var e wire.Entry
			rest, err := wire.NextEntry(b, &e)
			if err != nil {
				c.window.reset(last + 1)
				return
			}
			encoded := b[:len(b)-len(rest)]
			c.window.end(append(c.window.begin(len(encoded)), encoded...), e.TimeMs)
			b = rest
			next++
		}
	}
}

// tickRecovery lets forming and recovery go on with time.
func (c *Core) tickRecovery() {
	c.maybeForm()
	c.maybeRecover()
	for _, n := range c.nodes {
		if n.state == stateWaiting && len(n.was) > 0 && c.maybeReturn(n) {
			return
		}
	}
}

// RecoverEmpty begins a new, empty history although copies may exist: an operator's word.
func (c *Core) RecoverEmpty(nowUs int64) string {
	c.setNow(nowUs)
	if s := c.mayRecover(); s != "" {
		return s
	}
	c.forced, c.detail = true, ""
	c.view.Members, c.view.Left = nil, nil
	for _, n := range c.nodes {
		n.member, n.leave = false, ""
	}
	c.startOver()
	c.beginReign()
	return ""
}

// RecoverFrom takes the copy of one connected node for the truth, whatever the record says.
func (c *Core) RecoverFrom(nowUs int64, id string) string {
	c.setNow(nowUs)
	if s := c.mayRecover(); s != "" {
		return s
	}
	n := c.nodeByID(id)
	if n == nil || !n.connected() || !n.reported || n.state == stateLoading {
		return "ERR node '" + id + "' is not connected, or holds a part of a snapshot"
	}
	if n.streaming() {
		n.pos = wire.Position{Era: c.view.eraOf(n.match), Index: n.match}
	}
	c.giveUpAll()
	c.forced, c.detail, c.state = true, "", recovering
	c.base, c.recoverAtUs = nil, 0
	c.view.ClusterID = n.clusterID
	c.view.Members = []Member{n.asMember()}
	c.view.Members[0].DataID = n.helloDataID
	c.view.Left = withoutNode(c.view.Left, n.id)
	c.view.History = []Era{{Era: n.pos.Era, Start: 1}}
	// A new epoch: whatever another copy has beyond this one was ordered under the old one, and is
	// told apart from what will be ordered at the same indexes.
	c.epoch++
	c.endAllSessions("an operator chose a copy")
	for _, x := range c.nodes {
		x.member, x.leave, x.entering = false, "", false
	}
	c.beginReign()
	return ""
}

func (c *Core) mayRecover() string {
	if c.anyInSync() {
		return "ERR the cache is in service, there is nothing to recover"
	}
	if c.storing != nil {
		return "TRYAGAIN the in-sync set is being changed"
	}
	return ""
}
