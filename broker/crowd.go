package broker

const (
	crowdMin   = 16     // clients that wait at once, from which on turns are held back
	crowdSpan  = 10_000 // microseconds for which the most that waited at once are remembered, at least
	gatherUs   = 100    // turns are held back no longer than this since the last ones left
	gatherMost = 24     // so many clients are enough
	gatherOps  = 128    // and so many operations
)

// crowd says when turns leave. A turn costs its node and the broker some wake-ups whatever it
// carries. When many clients wait, each for one reply, those that were answered come back at once, so
// turns leave when half of the crowd has gathered. A few clients are never made to wait. What is
// answered without a node is not counted.
type crowd struct {
	underWay     int // batches that wait for nodes
	fresh        int // those that came since turns left
	ops          int // the operations in them
	most, before int // the most under way in this span and in the one before
	sinceUs      int64
	leftUs       int64
}

// take counts batches that have come and that nodes have to answer, and their operations.
func (c *crowd) take(batches, ops int, nowUs int64) {
	c.underWay += batches
	c.fresh += batches
	c.ops += ops
	if age := nowUs - c.sinceUs; age >= crowdSpan {
		c.before, c.most, c.sinceUs = c.most, 0, nowUs
		if age >= 2*crowdSpan {
			c.before = 0
		}
	}
	c.most = max(c.most, c.underWay)
}

func (c *crowd) answered(batches int) { c.underWay -= batches }

func (c *crowd) left(nowUs int64) { c.fresh, c.ops, c.leftUs = 0, 0, nowUs }

// waits reports whether a crowd has something at the nodes: until they answer, those who come one by one are looked at
// together.
func (c *crowd) waits(nowUs int64) bool {
	return max(c.most, c.before) >= crowdMin && nowUs-c.sinceUs < 2*crowdSpan && c.underWay > c.fresh
}

// gathers reports whether turns are to be held back now.
func (c *crowd) gathers(nowUs int64) bool {
	size := max(c.most, c.before)
	return size >= crowdMin && c.fresh > 0 && c.fresh < min(size/2, gatherMost) && c.ops < gatherOps && nowUs-c.leftUs < gatherUs
}
