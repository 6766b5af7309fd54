package replication

import "math"

// What goes to joiners competes with clients: for the donor, for the broker and, on a small machine, for
// processors. So it is paced by what clients see. While more than one call in a hundred takes longer than
// those did before the first of the joins began, the rate is halved, again and again; otherwise it grows by
// steps (as TCP's does: Chiu and Jain, 1989). It never falls below a floor, so that a join always ends.
// While nobody calls there is no limit.
//
// Entries that a joiner has missed are sent faster than new ones are ordered, whatever clients see. Where
// its lag does not shrink nevertheless, it is the writers that are held: see leash.go.
const (
	paceEveryUs   = 50_000
	paceFewest    = 5         // calls in that time; with fewer there is nobody to be considerate of
	paceTimed     = 100       // calls that must have been timed before anything is concluded from them
	paceForgetsUs = 1_000_000 // what was timed counts half as much after so long
	paceSlower    = 1.2       // times as long as 99 in 100 took: slow. That time is rounded up, by a tenth in the mean
	paceSteps     = 8         // so many make up the floor
	paceBurstUs   = 20_000    // of what was not used so much may be sent at once
	paceRestUs    = 250_000   // how long a joiner waits at most, however large what it was sent last
	paceTurnBytes = 64 << 10  // entries in one turn: a joiner takes the processor from others no longer than for these
)

// pace is how fast joiners are sent what they lack.
type pace struct {
	times   latencies // of calls, as they were before
	learns  bool      // calls are entered there
	agedUs  int64
	calls   int // since the last look
	slow    int // of them
	lookUs  int64
	wasBusy bool // there were calls in the time before the last look

	joining  bool
	limited  bool
	limitUs  int64 // a call that takes longer is slow
	excess   int   // slow calls beyond one in a hundred since the rate was changed last, in hundredths
	rate     int64 // bytes a second, while it is limited
	slowest  int64 // that it has been
	cut      int   // how often it was
	filledUs int64

	sent, ordered      int64 // bytes since the last look: to joiners, and of new entries
	perSecond, writing int64 // of them in a second, of late
}

// took notes how long a call took.
func (p *pace) took(us int64) {
	p.calls++
	if p.learns {
		p.times.add(us)
	} else if us > p.limitUs {
		p.slow++
	}
}

// catchesUp: n is sent what it missed, as a joiner.
func (n *node) catchesUp() bool { return n.state == stateReplay && !n.member && !n.suspect }

// joins: n is sent enough to be paced.
func (c *Core) joins(n *node) bool {
	return n.join != nil && n.join.started && !n.join.loaded || n.catchesUp() && c.tail-n.sent > c.cfg.JoinLagEntries
}

func (c *Core) joiners() (k int64) {
	for _, n := range c.nodes {
		if c.joins(n) {
			k++
		}
	}
	for _, r := range c.readers {
		if r.started {
			k++
		}
	}
	return k
}

// paceFloor is what is sent to joiners in any case, bytes a second.
func (c *Core) paceFloor() int64 {
	floor := c.cfg.JoinFloorBytes
	for _, n := range c.nodes {
		if n.catchesUp() {
			floor += c.pace.writing * 5 / 4
		}
	}
	if c.cfg.Fault.PaceNoFloor {
		return 0
	}
	return max(floor, 1)
}

// beginPace: somebody joins.
func (c *Core) beginPace() {
	p := &c.pace
	if p.joining {
		return
	}
	p.joining, p.limited, p.learns, p.limitUs = true, false, false, math.MaxInt64
	p.cut, p.slowest = 0, math.MaxInt64
	if p.wasBusy || p.calls >= paceFewest {
		c.limitPace()
	}
}

// limitPace: there are clients to be considerate of.
func (c *Core) limitPace() {
	p := &c.pace
	p.limited, p.learns, p.limitUs, p.excess, p.slow = true, false, math.MaxInt64, 0, 0
	p.rate, p.filledUs = c.paceFloor(), c.nowUs
	for _, n := range c.nodes {
		n.allowance = 0
	}
	for _, r := range c.readers {
		r.allowance = 0
	}
	if p.times.total < paceTimed { // how long calls take is learnt with the join at its slowest
		p.times, p.learns = latencies{}, true
		return
	}
	p.limitUs = int64(paceSlower * float64(p.times.percentile(99)))
}

// tickPace looks at what clients have seen since the last time.
func (c *Core) tickPace() {
	p := &c.pace
	since := c.nowUs - p.lookUs
	if since < paceEveryUs {
		return
	}
	busy := int64(p.calls)*paceEveryUs >= paceFewest*since
	perSecond := func(bytes int64) int64 { return int64(float64(bytes) * 1e6 / float64(since)) }
	p.writing += (perSecond(p.ordered) - p.writing) / 4
	p.perSecond += (perSecond(p.sent) - p.perSecond) / 4
	switch joins := c.joiners() > 0; {
	case joins && !p.joining:
		c.beginPace()
	case joins:
		c.setPace(busy)
	case p.joining:
		c.endPace()
	case c.nowUs-p.agedUs >= paceForgetsUs:
		p.agedUs = c.nowUs
		p.times.halve()
	}
	p.wasBusy = busy
	p.calls, p.slow, p.sent, p.ordered, p.lookUs = 0, 0, 0, 0, c.nowUs
}

func (c *Core) endPace() {
	p := &c.pace
	if p.cut > 0 {
		c.event(0, "joins are not slowed down any more", nil, "clients had it done %d times, to %.1f MB/s at least", p.cut, float64(p.slowest)/1e6)
	}
	p.joining, p.limited, p.learns, p.perSecond = false, false, true, 0
}

// setPace changes the rate by what clients have seen.
func (c *Core) setPace(busy bool) {
	p := &c.pace
	switch {
	case !busy && !p.wasBusy:
		p.limited = false
	case !busy:
	case !p.limited, p.learns && p.times.total >= paceTimed:
		c.limitPace()
	case !p.learns:
		p.excess = max(p.excess+100*p.slow-p.calls, -100)
		if p.excess >= 100 {
			p.excess = 0
			p.rate /= 2
			if p.cut++; p.cut == 1 {
				c.event(0, "joins are slowed down", nil, "more than 1 call in 100 takes longer than %.1f ms", float64(p.limitUs)/1000)
			}
		} else if !c.cfg.Fault.PaceNoFloor {
			p.rate += c.cfg.JoinFloorBytes/paceSteps + 1
		}
		p.rate = max(p.rate, c.paceFloor())
		p.slowest = min(p.slowest, p.rate)
	}
}

// fillPace lets the time that has passed count for each joiner.
func (c *Core) fillPace() {
	p := &c.pace
	k := c.joiners()
	if k == 0 {
		return
	}
	share := float64(p.rate) / float64(k) / 1e6
	gained := int64(share * float64(c.nowUs-p.filledUs))
	if gained == 0 {
		return
	}
	p.filledUs = c.nowUs
	burst := max(int64(share*paceBurstUs), 1)
	for _, n := range c.nodes {
		n.allowance = min(n.allowance+gained, burst)
	}
	for _, r := range c.readers {
		r.allowance = min(r.allowance+gained, burst)
	}
}

// mayJoinGoOn reports whether n may be sent more of what it lacks now.
func (c *Core) mayJoinGoOn(n *node) bool { return !c.pace.limited || n.allowance > 0 }

// joinSent counts bytes against what n may be sent.
func (c *Core) joinSent(n *node, bytes int64) {
	p := &c.pace
	p.sent += bytes
	if p.limited {
		c.charge(n, bytes)
	}
}

func (c *Core) charge(n *node, bytes int64) { n.allowance = c.charged(n.allowance, bytes) }

// charged is what is left of an allowance.
func (c *Core) charged(allowance, bytes int64) int64 {
	return max(allowance-bytes, -int64(float64(c.pace.rate)*paceRestUs/1e6))
}
