package command

func runHIncrBy(c *Ctx) {
	delta, ok := c.int(3)
	if !ok {
		return
	}
	h, _, ok := c.hash()
	if !ok {
		return
	}
	var old int64
	if value, found := h.Get(c.Args[2]); found {
		if old, ok = parseInt(value); !ok {
			c.W.Error(ErrHashNotInteger)
			return
		}
	}
	sum, ok := addInt(old, delta)
	if !ok {
		c.W.Error(ErrOverflow)
		return
	}
	w := c.KS.HashForWrite(c.DB, c.Args[1], c.NowMs)
	w.Set(c.Args[2], c.formatInt(sum))
	c.W.Int(sum)
}

func runHIncrByFloat(c *Ctx) {
	delta, ok := parseLongDouble(c.Args[3])
	if !ok {
		c.W.Error(ErrNotFloat)
		return
	}
	if delta.inf {
		c.W.Error(ErrIncrementNotFinite)
		return
	}
	h, _, ok := c.hash()
	if !ok {
		return
	}
	old := longDouble{f: newLongDouble()}
	if value, found := h.Get(c.Args[2]); found {
		if old, ok = parseLongDouble(value); !ok {
			c.W.Error(ErrHashNotFloat)
			return
		}
	}
	sum, ok := old.add(delta)
	if !ok {
		c.W.Error(ErrNotFinite)
		return
	}
	c.scratch = sum.append(c.scratch[:0])
	w := c.KS.HashForWrite(c.DB, c.Args[1], c.NowMs)
	w.Set(c.Args[2], c.scratch)
	c.W.Bulk(c.scratch)
}
