package replication

// Keep asks the nodes with a disk to replace their logs by snapshots of what they hold now, and returns a number and the
// nodes that were asked. Each is told with its heartbeats until it says that it is done.
func (c *Core) Keep(nowUs int64) (number uint64, ids []string) {
	c.setNow(nowUs)
	number = c.cfg.Rand() | 1
	for _, n := range c.nodes {
		if !n.disk || !n.connected() {
			continue
		}
		n.keep = number
		ids = append(ids, n.id)
		c.event(0, "snapshot is wanted on disk", n, "")
		c.tellTerms(n)
	}
	return number, ids
}

// snapshotKept: that snapshot is on n's disk.
func (c *Core) snapshotKept(n *node, number uint64) {
	if n.keep != 0 && n.keep == number {
		n.keep = 0
		c.event(0, "snapshot is on disk", n, "")
	}
}

// Keeping are those of the nodes that have not done what Keep asked for yet, and those that will not: they are gone, or have no disk any more.
func (c *Core) Keeping(nowUs int64, number uint64, ids []string) (waiting, lost []string) {
	c.setNow(nowUs)
	for _, id := range ids {
		switch n := c.nodeByID(id); {
		case n == nil || n.keep == number && n.connected() && !n.disk:
			lost = append(lost, id)
		case n.keep != number: // done, or asked again since
		case !n.connected() && c.nowUs-n.heardUs > c.cfg.JoinStallMs*1000:
			lost = append(lost, id)
		default:
			waiting = append(waiting, id)
		}
	}
	return waiting, lost
}

// EndKeep: nobody waits for it any more.
func (c *Core) EndKeep(nowUs int64, number uint64) {
	c.setNow(nowUs)
	for _, n := range c.nodes {
		if n.keep == number {
			n.keep = 0
		}
	}
}
