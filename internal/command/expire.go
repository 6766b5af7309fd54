package command

import "math"

func expireRows() []Row {
	return []Row{
		{
			Name: "expire", Arity: -3, Flags: Write | Fast,
			KeySpec: []string{"RW update @1"},
			ACL:     "keyspace",
			Group:   "generic", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Set a key's time to live in seconds",
			History: []string{"7.0.0 Added options: `NX`, `XX`, `GT` and `LT`."},
			ArgSpec: "key<key>#0 seconds<integer> condition<oneof>@7.0.0?(nx=NX xx=XX gt=GT lt=LT)",
			Run:     runExpire,
		},
		{
			Name: "pexpire", Arity: -3, Flags: Write | Fast,
			KeySpec: []string{"RW update @1"},
			ACL:     "keyspace",
			Group:   "generic", Since: "2.6.0", Complexity: "O(1)",
			Summary: "Set a key's time to live in milliseconds",
			History: []string{"7.0.0 Added options: `NX`, `XX`, `GT` and `LT`."},
			ArgSpec: "key<key>#0 milliseconds<integer> condition<oneof>@7.0.0?(nx=NX xx=XX gt=GT lt=LT)",
			Run:     runPExpire,
		},
		{
			Name: "expireat", Arity: -3, Flags: Write | Fast,
			KeySpec: []string{"RW update @1"},
			ACL:     "keyspace",
			Group:   "generic", Since: "1.2.0", Complexity: "O(1)",
			Summary: "Set the expiration for a key as a UNIX timestamp",
			History: []string{"7.0.0 Added options: `NX`, `XX`, `GT` and `LT`."},
			ArgSpec: "key<key>#0 unix-time-seconds<unix-time> condition<oneof>@7.0.0?(nx=NX xx=XX gt=GT lt=LT)",
			Run:     runExpireAt,
		},
		{
			Name: "pexpireat", Arity: -3, Flags: Write | Fast,
			KeySpec: []string{"RW update @1"},
			ACL:     "keyspace",
			Group:   "generic", Since: "2.6.0", Complexity: "O(1)",
			Summary: "Set the expiration for a key as a UNIX timestamp specified in milliseconds",
			History: []string{"7.0.0 Added options: `NX`, `XX`, `GT` and `LT`."},
			ArgSpec: "key<key>#0 unix-time-milliseconds<unix-time> condition<oneof>@7.0.0?(nx=NX xx=XX gt=GT lt=LT)",
			Run:     runPExpireAt,
		},
		{
			Name: "ttl", Arity: 2, Flags: ReadOnly | Fast,
			KeySpec: []string{"RO access @1"},
			ACL:     "keyspace",
			Tips:    []string{"nondeterministic_output"},
			Group:   "generic", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Get the time to live for a key in seconds",
			History: []string{"2.8.0 Added the -2 reply."},
			ArgSpec: "key<key>#0",
			Run:     runTTL,
		},
		{
			Name: "pttl", Arity: 2, Flags: ReadOnly | Fast,
			KeySpec: []string{"RO access @1"},
			ACL:     "keyspace",
			Tips:    []string{"nondeterministic_output"},
			Group:   "generic", Since: "2.6.0", Complexity: "O(1)",
			Summary: "Get the time to live for a key in milliseconds",
			History: []string{"2.8.0 Added the -2 reply."},
			ArgSpec: "key<key>#0",
			Run:     runPTTL,
		},
		{
			Name: "expiretime", Arity: 2, Flags: ReadOnly | Fast,
			KeySpec: []string{"RO access @1"},
			ACL:     "keyspace",
			Group:   "generic", Since: "7.0.0", Complexity: "O(1)",
			Summary: "Get the expiration Unix timestamp for a key",
			ArgSpec: "key<key>#0",
			Run:     runExpireTime,
		},
		{
			Name: "pexpiretime", Arity: 2, Flags: ReadOnly | Fast,
			KeySpec: []string{"RO access @1"},
			ACL:     "keyspace",
			Group:   "generic", Since: "7.0.0", Complexity: "O(1)",
			Summary: "Get the expiration Unix timestamp for a key in milliseconds",
			ArgSpec: "key<key>#0",
			Run:     runPExpireTime,
		},
		{
			Name: "persist", Arity: 2, Flags: Write | Fast,
			KeySpec: []string{"RW update @1"},
			ACL:     "keyspace",
			Group:   "generic", Since: "2.2.0", Complexity: "O(1)",
			Summary: "Remove the expiration from a key",
			ArgSpec: "key<key>#0",
			Run:     runPersist,
		},
	}
}

func runExpire(c *Ctx)    { expire(c, c.NowMs, 1000) }
func runPExpire(c *Ctx)   { expire(c, c.NowMs, 1) }
func runExpireAt(c *Ctx)  { expire(c, 0, 1000) }
func runPExpireAt(c *Ctx) { expire(c, 0, 1) }

// expire sets the deadline baseMs plus argument 2 in units of unitMs.
func expire(c *Ctx, baseMs, unitMs int64) {
	o, ok := parseExpireOptions(c)
	if !ok {
		return
	}
	n, ok := c.int(2)
	if !ok {
		return
	}
	if n > math.MaxInt64/unitMs || n < math.MinInt64/unitMs || n*unitMs > math.MaxInt64-baseMs {
		c.W.Error(ErrExpireTime(c.cmd.Name))
		return
	}
	key, deadlineMs := c.Args[1], n*unitMs+baseMs
	v, found := c.get(key)
	if !found || !o.allow(v.DeadlineMs, deadlineMs) {
		c.W.Int(0)
		return
	}
	if deadlineMs <= c.NowMs {
		c.KS.Delete(c.DB, key, c.NowMs)
	} else {
		c.KS.SetDeadline(c.DB, key, deadlineMs, c.NowMs)
	}
	c.W.Int(1)
}

// expireOptions say which deadline may replace which.
type expireOptions struct{ nx, xx, gt, lt bool }

// parseExpireOptions answers the error itself.
func parseExpireOptions(c *Ctx) (o expireOptions, ok bool) {
	for i := 3; i < len(c.Args); i++ {
		switch {
		case c.is(i, "nx"):
			o.nx = true
		case c.is(i, "xx"):
			o.xx = true
		case c.is(i, "gt"):
			o.gt = true
		case c.is(i, "lt"):
			o.lt = true
		default:
			c.W.Error(ErrExpireOption(c.Args[i]))
			return o, false
		}
	}
	switch {
	case o.nx && (o.xx || o.gt || o.lt):
		c.W.Error(ErrExpireNXAndOthers)
		return o, false
	case o.gt && o.lt:
		c.W.Error(ErrExpireGTAndLT)
		return o, false
	}
	return o, true
}

// allow compares the present deadline, 0 being never, with the new one.
func (o expireOptions) allow(oldMs, newMs int64) bool {
	switch {
	case o.nx && oldMs != 0, o.xx && oldMs == 0:
		return false
	case o.gt && (oldMs == 0 || newMs <= oldMs):
		return false
	case o.lt && oldMs != 0 && newMs >= oldMs:
		return false
	}
	return true
}

func runTTL(c *Ctx)         { deadline(c, c.NowMs, 1000) }
func runPTTL(c *Ctx)        { deadline(c, c.NowMs, 1) }
func runExpireTime(c *Ctx)  { deadline(c, 0, 1000) }
func runPExpireTime(c *Ctx) { deadline(c, 0, 1) }

// deadline answers the key's deadline after baseMs, rounded to units of unitMs, -1 for none, -2 for no key.
func deadline(c *Ctx, baseMs, unitMs int64) {
	v, found := c.peek(c.Args[1])
	switch {
	case !found:
		c.W.Int(-2)
	case v.DeadlineMs == 0:
		c.W.Int(-1)
	default:
		c.W.Int(int64(uint64(v.DeadlineMs-baseMs+unitMs/2) / uint64(unitMs))) // the sum may need 64 bits
	}
}

func runPersist(c *Ctx) {
	v, found := c.get(c.Args[1])
	persists := found && v.DeadlineMs != 0
	if persists {
		c.KS.SetDeadline(c.DB, c.Args[1], 0, c.NowMs)
	}
	c.bool(persists)
}
