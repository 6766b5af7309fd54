package replication

import "brainer/internal/wire"

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
