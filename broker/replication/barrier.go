package replication

import (
	"strconv"

	"brainer/internal/op"
)

// addBarrier takes a WAIT.
func (c *Core) addBarrier(o *op.Op) {
	if c.maybeSettleBarrier(o) {
		return
	}
	c.barriers = append(c.barriers, o)
}

func (c *Core) maybeSettleBarrier(o *op.Op) bool {
	held := c.holders(o.Index)
	late := o.TimeoutMs > 0 && c.nowUs-o.Hold.OrderedUs >= o.TimeoutMs*1000
	if held < o.Copies && !late {
		return false
	}
	c.answer(o, []byte(":"+strconv.Itoa(max(held-1, 0))+"\r\n"))
	return true
}

func (c *Core) settleBarriers() {
	if len(c.barriers) == 0 {
		return
	}
	keep := c.barriers[:0]
	for _, o := range c.barriers {
		if !c.maybeSettleBarrier(o) {
			keep = append(keep, o)
		}
	}
	clear(c.barriers[len(keep):])
	c.barriers = keep
}
