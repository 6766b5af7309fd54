package replication

const (
	holdOffFirstMs = 1000
	settledUs      = 60_000_000 // a node that has stayed in the set for so long is not flapping
)

// holdOff keeps a node that has just left out of the set for a while, when it has left before without
// having stayed: each entry makes its acknowledgement required, each departure makes writers wait
// until it is noticed. The first departure costs it nothing; then 1 s, 2 s, 4 s ...
func (c *Core) holdOff(n *node) {
	if c.nowUs-n.inSyncSinceUs >= settledUs {
		n.flaps = 0
	}
	n.flaps++
	if n.flaps < 2 {
		return
	}
	ms := c.cfg.HoldOffMaxMs
	if shift := n.flaps - 2; shift < 20 {
		ms = min(ms, holdOffFirstMs<<shift)
	}
	n.heldUntilUs = c.nowUs + ms*1000
	if ms > 0 {
		c.event(1, "node held off", n, "for %d ms: it has left %d times without staying for a minute", ms, n.flaps)
	}
}

// heldOff reports whether n has to wait. Not when it is needed for --min-in-sync.
func (c *Core) heldOff(n *node) bool {
	return c.nowUs < n.heldUntilUs && c.inSyncCount() >= c.cfg.MinInSync
}
