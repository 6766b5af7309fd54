package command

func hashCounterRows() []Row {
	return []Row{
		{
			Name: "hincrby", Arity: 4, Flags: Write | DenyOOM | Fast,
			KeySpec: []string{"RW access update @1"},
			ACL:     "hash",
			Group:   "hash", Since: "2.0.0", Complexity: "O(1)",
			Summary: "Increment the integer value of a hash field by the given number",
			ArgSpec: "key<key>#0 field increment<integer>",
			Run:     runHIncrBy,
		},
		{
			Name: "hincrbyfloat", Arity: 4, Flags: Write | DenyOOM | Fast,
			KeySpec: []string{"RW access update @1"},
			ACL:     "hash",
			Group:   "hash", Since: "2.6.0", Complexity: "O(1)",
			Summary: "Increment the float value of a hash field by the given amount",
			ArgSpec: "key<key>#0 field increment<double>",
			Run:     runHIncrByFloat,
		},
	}
}

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
	text := sum.append(c.scratch[:0])
	w := c.KS.HashForWrite(c.DB, c.Args[1], c.NowMs)
	w.Set(c.Args[2], text)
	c.W.Bulk(text)
}
