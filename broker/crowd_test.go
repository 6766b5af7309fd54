package broker

import "testing"

func TestTurnsLeaveWhenHalfOfTheCrowdHasGathered(t *testing.T) {
	var c crowd
	now := int64(1_000_000)
	take := func(n int) {
		for range n {
			c.take(1, 1, now)
		}
	}
	want := func(gathers bool, what string) {
		t.Helper()
		if c.gathers(now) != gathers {
			t.Errorf("%s: gathers is %v", what, !gathers)
		}
	}
	take(crowdMin - 1)
	c.left(now)
	take(1)
	c.answered(1)
	want(true, "one that came behind a crowd's turns")
	now += gatherUs
	want(false, "and has waited for long enough")
	c.left(now)
	c.answered(c.underWay)
	want(false, "nobody waits")
	take(crowdMin/2 - 1)
	want(true, "nearly half of the crowd")
	take(1)
	want(false, "half of the crowd")

	c.left(now)
	c.answered(c.underWay)
	now += 2 * crowdSpan
	take(1)
	c.left(now)
	take(1)
	want(false, "a few, when the crowd has gone for two spans")

	take(1000)
	c.left(now)
	take(gatherMost)
	want(false, "enough of a very large crowd")
	c.left(now)
	c.take(1, gatherOps, now)
	want(false, "one large batch")
}
