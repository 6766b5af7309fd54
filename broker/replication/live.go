package replication

import "brainer/internal/wire"

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
