package replication

import "math"

// A joiner whose lag does not shrink would never come level. It is put on a leash: a write that is further
// ahead of it than the leash is long is not acknowledged, so that writers wait for it. The leash begins as
// long as the lag is, and is pulled in by a part of all that the joiner applies: writers get the rest. When it
// has been pulled in, the joiner is as good as level.
const (
	leashEveryUs = 1_000_000
	leashShrinks = 50 // a lag that has not shrunk by one part in so many, twice in a row, does not shrink
	leashPulls   = 4  // one in so many of the entries that the joiner applies is pulled in
)

// leash belongs to a joiner that is sent what it missed.
type leash struct {
	length uint64 // 0: it is on none
	match  uint64 // what it had applied when it was pulled last
	lag    uint64 // when it was looked at
	lookUs int64
	stays  int // how often in a row the lag has not shrunk
}

// leashEnds is how short a leash gets.
func (c *Core) leashEnds() uint64 { return max(c.cfg.JoinLagEntries/2, 1) }

// pulledIn: n is as near as it gets while clients write.
func (c *Core) pulledIn(n *node) bool { return n.leash.length > 0 && n.leash.length <= c.leashEnds() }

// tickLeash puts on a leash who does not catch up, and pulls in.
func (c *Core) tickLeash() {
	for _, n := range c.nodes {
		l := &n.leash
		if !n.catchesUp() || c.heldOff(n) || n.goodbye {
			c.unleash(n)
			continue
		}
		if l.length > 0 {
			if ends := c.leashEnds(); l.length > ends {
				l.length -= min((n.match-l.match)/leashPulls, l.length-ends)
			}
			l.match = n.match
			continue
		}
		if c.nowUs-l.lookUs < leashEveryUs {
			continue
		}
		lag := c.tail - n.match
		switch {
		case l.lookUs == 0 || lag <= c.cfg.JoinLagEntries || n.match == l.match || lag < l.lag-l.lag/leashShrinks:
			l.stays = 0
		case l.stays > 0 && !c.cfg.Fault.NoLeash:
			l.length = lag
			c.event(1, "writes are paced", n, "it is %d entries behind and does not catch up", lag)
		default:
			l.stays++
		}
		l.lag, l.match, l.lookUs = lag, n.match, c.nowUs
	}
}

// unleash lets writes go that waited for n alone; advance settles them.
func (c *Core) unleash(n *node) {
	was := n.leash.length
	n.leash = leash{}
	if was > 0 {
		c.event(0, "writes are not paced any more", n, "%d entries behind", c.tail-n.match)
		c.advance()
	}
}

// leashed is the index behind which writes wait for joiners.
func (c *Core) leashed() uint64 {
	upTo := uint64(math.MaxUint64)
	for _, n := range c.nodes {
		if n.leash.length > 0 {
			upTo = min(upTo, n.match+n.leash.length)
		}
	}
	return upTo
}
