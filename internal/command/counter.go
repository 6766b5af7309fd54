package command

import (
	"math"

	"brainer/internal/keyspace"
)

func counterRows() []Row {
	return []Row{
		{
			Name: "incr", Arity: 2, Flags: Write | DenyOOM | Fast,
			KeySpec: []string{"RW access update @1"},
			ACL:     "string",
			Group:   "string", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Increment the integer value of a key by one",
			ArgSpec: "key<key>#0",
			Run:     runIncr,
		},
		{
			Name: "decr", Arity: 2, Flags: Write | DenyOOM | Fast,
			KeySpec: []string{"RW access update @1"},
			ACL:     "string",
			Group:   "string", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Decrement the integer value of a key by one",
			ArgSpec: "key<key>#0",
			Run:     runDecr,
		},
		{
			Name: "incrby", Arity: 3, Flags: Write | DenyOOM | Fast,
			KeySpec: []string{"RW access update @1"},
			ACL:     "string",
			Group:   "string", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Increment the integer value of a key by the given amount",
			ArgSpec: "key<key>#0 increment<integer>",
			Run:     runIncrBy,
		},
		{
			Name: "decrby", Arity: 3, Flags: Write | DenyOOM | Fast,
			KeySpec: []string{"RW access update @1"},
			ACL:     "string",
			Group:   "string", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Decrement the integer value of a key by the given number",
			ArgSpec: "key<key>#0 decrement<integer>",
			Run:     runDecrBy,
		},
		{
			Name: "incrbyfloat", Arity: 3, Flags: Write | DenyOOM | Fast,
			KeySpec: []string{"RW access update @1"},
			ACL:     "string",
			Group:   "string", Since: "2.6.0", Complexity: "O(1)",
			Summary: "Increment the float value of a key by the given amount",
			ArgSpec: "key<key>#0 increment<double>",
			Run:     runIncrByFloat,
		},
	}
}

func runIncr(c *Ctx) { increment(c, 1) }

func runDecr(c *Ctx) { increment(c, -1) }

func runIncrBy(c *Ctx) {
	if delta, ok := c.int(2); ok {
		increment(c, delta)
	}
}

func runDecrBy(c *Ctx) {
	delta, ok := c.int(2)
	if !ok {
		return
	}
	if delta == math.MinInt64 {
		c.W.Error(ErrDecrementOverflow)
		return
	}
	increment(c, -delta)
}

func increment(c *Ctx, delta int64) {
	v, found, ok := c.getTyped(c.Args[1], keyspace.TypeString)
	if !ok {
		return
	}
	var old int64
	if found {
		if old, ok = parseInt(v.String); !ok {
			c.W.Error(ErrNotInteger)
			return
		}
	}
	sum, ok := addInt(old, delta)
	if !ok {
		c.W.Error(ErrOverflow)
		return
	}
	c.KS.SetString(c.DB, c.Args[1], c.formatInt(sum), v.DeadlineMs, c.NowMs)
	c.W.Int(sum)
}

func runIncrByFloat(c *Ctx) {
	v, found, ok := c.getTyped(c.Args[1], keyspace.TypeString)
	if !ok {
		return
	}
	old := longDouble{f: newLongDouble()}
	if found {
		old, ok = parseLongDouble(v.String)
	}
	delta, deltaOK := parseLongDouble(c.Args[2])
	if !ok || !deltaOK {
		c.W.Error(ErrNotFloat)
		return
	}
	sum, ok := old.add(delta)
	if !ok {
		c.W.Error(ErrNotFinite)
		return
	}
	text := sum.append(c.scratch[:0])
	c.KS.SetStringForm(c.DB, c.Args[1], text, keyspace.FormPlain, v.DeadlineMs, c.NowMs)
	c.W.Bulk(text)
}
