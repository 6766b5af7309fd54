package replication

const (
	stoodStillUs = 150_000   // between two ticks
	graceEveryUs = 1_000_000 // how often that excuses
	probeUs      = 25_000    // a node that owes an answer is probed so often
)

// Tick lets time pass: failure detection, heartbeats, deadlines. Call it every 10 to 50 ms, after
// what has arrived was taken in.
func (c *Core) Tick(nowUs int64) {
	c.setNow(nowUs)
	// A broker that itself stood still must not hold that against the nodes: it takes in what has
	// arrived meanwhile before it judges them. Not again at once, or one that is always late never would.
	if c.nowUs-c.tickUs > stoodStillUs && c.nowUs-c.graceUs > graceEveryUs {
		c.graceUs = c.nowUs
	}
	c.tickUs = c.nowUs
	if c.nowUs-c.graceUs >= c.cfg.HeartbeatMs*1000 {
		for _, n := range c.nodes {
			c.judge(n)
		}
	}
	if c.pending.bytes <= c.cfg.WindowBytesMax/2 {
		c.fullAtUs = 0
	}
	c.probe()
	c.tickHedge()
	if c.nowUs-c.beatUs >= c.cfg.HeartbeatMs*900 {
		c.beatUs = c.nowUs
		c.sendBeats()
	}
	c.tickRecovery()
	c.askParked()
	c.expireOps()
	c.maybeStartJoins()
	c.tickReaders()
	c.maybeVerify()
	c.tickPace()
	c.tickLeash()
	c.tickHot()
	c.tickNear()
	c.tickMemory()
	c.tickAhead()
	for _, n := range c.nodes {
		c.maybeAdd(n)
	}
	c.maybeChangeView()
	c.trimWindow()
}

// Idle reports whether nothing waits for an answer or for time to pass but the heartbeats.
func (c *Core) Idle() bool {
	if c.state != active || c.storing != nil || len(c.memory.held) > 0 || len(c.ahead.ops) > 0 || c.evicts() || c.pendingReads > 0 || len(c.verify.asks) > 0 || len(c.readers) > 0 || len(c.barriers) > 0 || c.tail != c.safe {
		return false
	}
	for _, n := range c.nodes {
		if len(n.flight) > 0 || n.suspect || n.connected() && n.state != stateLive {
			return false
		}
	}
	return true
}
