package replication

import "brainer/internal/wire"

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
