package command

import (
	"brainer/internal/keyspace"
	"brainer/resp"
)

func hashRows() []Row {
	return []Row{
		{
			Name: "hset", Arity: -4, Flags: Write | DenyOOM | Fast,
			KeySpec: []string{"RW update @1"},
			ACL:     "hash",
			Group:   "hash", Since: "2.0.0", Complexity: "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called with multiple field/value pairs.",
			Summary: "Set the string value of a hash field",
			History: []string{"4.0.0 Accepts multiple `field` and `value` arguments."},
			ArgSpec: "key<key>#0 field_value<block>*(field value)",
			Run:     runHSet,
		},
		{
			Name: "hsetnx", Arity: 4, Flags: Write | DenyOOM | Fast,
			KeySpec: []string{"RW insert @1"},
			ACL:     "hash",
			Group:   "hash", Since: "2.0.0", Complexity: "O(1)",
			Summary: "Set the value of a hash field, only if the field does not exist",
			ArgSpec: "key<key>#0 field value",
			Run:     runHSetNX,
		},
		{
			Name: "hmset", Arity: -4, Flags: Write | DenyOOM | Fast,
			KeySpec: []string{"RW update @1"},
			ACL:     "hash",
			Group:   "hash", Since: "2.0.0", Complexity: "O(N) where N is the number of fields being set.",
			Summary:         "Set multiple hash fields to multiple values",
			DeprecatedSince: "4.0.0", ReplacedBy: "`HSET` with multiple field-value pairs",
			ArgSpec: "key<key>#0 field_value<block>*(field value)",
			Run:     runHMSet,
		},
		{
			Name: "hget", Arity: 3, Flags: ReadOnly | Steady | Fast,
			KeySpec: []string{"RO access @1"},
			ACL:     "hash",
			Group:   "hash", Since: "2.0.0", Complexity: "O(1)",
			Summary: "Get the value of a hash field",
			ArgSpec: "key<key>#0 field",
			Run:     runHGet,
		},
		{
			Name: "hmget", Arity: -3, Flags: ReadOnly | Steady | Fast,
			KeySpec: []string{"RO access @1"},
			ACL:     "hash",
			Group:   "hash", Since: "2.0.0", Complexity: "O(N) where N is the number of fields being requested.",
			Summary: "Get the values of all the given hash fields",
			ArgSpec: "key<key>#0 field*",
			Run:     runHMGet,
		},
		{
			Name: "hgetall", Arity: 2, Flags: ReadOnly | Steady,
			KeySpec: []string{"RO access @1"},
			ACL:     "hash",
			Tips:    []string{"nondeterministic_output_order"},
			Group:   "hash", Since: "2.0.0", Complexity: "O(N) where N is the size of the hash.",
			Summary: "Get all the fields and values in a hash",
			ArgSpec: "key<key>#0",
			Run:     runHGetAll,
		},
		{
			Name: "hdel", Arity: -3, Flags: Write | Fast,
			KeySpec: []string{"RW delete @1"},
			ACL:     "hash",
			Group:   "hash", Since: "2.0.0", Complexity: "O(N) where N is the number of fields to be removed.",
			Summary: "Delete one or more hash fields",
			History: []string{"2.4.0 Accepts multiple `field` arguments."},
			ArgSpec: "key<key>#0 field*",
			Run:     runHDel,
		},
		{
			Name: "hlen", Arity: 2, Flags: ReadOnly | Steady | Fast,
			KeySpec: []string{"RO @1"},
			ACL:     "hash",
			Group:   "hash", Since: "2.0.0", Complexity: "O(1)",
			Summary: "Get the number of fields in a hash",
			ArgSpec: "key<key>#0",
			Run:     runHLen,
		},
		{
			Name: "hstrlen", Arity: 3, Flags: ReadOnly | Steady | Fast,
			KeySpec: []string{"RO @1"},
			ACL:     "hash",
			Group:   "hash", Since: "3.2.0", Complexity: "O(1)",
			Summary: "Get the length of the value of a hash field",
			ArgSpec: "key<key>#0 field",
			Run:     runHStrlen,
		},
		{
			Name: "hexists", Arity: 3, Flags: ReadOnly | Steady | Fast,
			KeySpec: []string{"RO @1"},
			ACL:     "hash",
			Group:   "hash", Since: "2.0.0", Complexity: "O(1)",
			Summary: "Determine if a hash field exists",
			ArgSpec: "key<key>#0 field",
			Run:     runHExists,
		},
		{
			Name: "hkeys", Arity: 2, Flags: ReadOnly | Steady,
			KeySpec: []string{"RO access @1"},
			ACL:     "hash",
			Tips:    []string{"nondeterministic_output_order"},
			Group:   "hash", Since: "2.0.0", Complexity: "O(N) where N is the size of the hash.",
			Summary: "Get all the fields in a hash",
			ArgSpec: "key<key>#0",
			Run:     runHKeys,
		},
		{
			Name: "hvals", Arity: 2, Flags: ReadOnly | Steady,
			KeySpec: []string{"RO access @1"},
			ACL:     "hash",
			Tips:    []string{"nondeterministic_output_order"},
			Group:   "hash", Since: "2.0.0", Complexity: "O(N) where N is the size of the hash.",
			Summary: "Get all the values in a hash",
			ArgSpec: "key<key>#0",
			Run:     runHVals,
		},
		{
			Name: "hscan", Arity: -3, Flags: ReadOnly,
			KeySpec: []string{"RO access @1"},
			ACL:     "hash",
			Tips:    []string{"nondeterministic_output"},
			Group:   "hash", Since: "2.8.0", Complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection..",
			Summary: "Incrementally iterate hash fields and associated values",
			ArgSpec: "key<key>#0 cursor<integer> pattern<pattern>!MATCH? count<integer>!COUNT?",
			Run:     runHScan,
		},
	}
}

// hash returns the hash at the key that the command names; ok is false when it answered WRONGTYPE.
func (c *Ctx) hash() (h keyspace.Hash, found, ok bool) {
	v, found, ok := c.getTyped(c.Args[1], keyspace.TypeHash)
	return v.Hash, found, ok
}

// hashForWrite is hash for a command that may change it.
func (c *Ctx) hashForWrite() (w keyspace.HashWriter, ok bool) {
	if _, _, ok = c.getTyped(c.Args[1], keyspace.TypeHash); !ok {
		return w, false
	}
	return c.KS.HashForWrite(c.DB, c.Args[1], c.NowMs), true
}

func runHSet(c *Ctx) {
	if added, ok := hset(c); ok {
		c.W.Int(added)
	}
}

func runHMSet(c *Ctx) {
	if _, ok := hset(c); ok {
		c.W.OK()
	}
}

// hset sets the pairs of arguments and counts the fields that are new.
func hset(c *Ctx) (added int64, ok bool) {
	if len(c.Args)%2 == 1 {
		c.wrongArity()
		return 0, false
	}
	w, ok := c.hashForWrite()
	if !ok {
		return 0, false
	}
	for i := 2; i < len(c.Args); i += 2 {
		if w.Set(c.Args[i], c.Args[i+1]) {
			added++
		}
	}
	return added, true
}

func runHSetNX(c *Ctx) {
	h, _, ok := c.hash()
	if !ok {
		return
	}
	_, taken := h.Get(c.Args[2])
	if !taken {
		w := c.KS.HashForWrite(c.DB, c.Args[1], c.NowMs)
		w.Set(c.Args[2], c.Args[3])
	}
	c.bool(!taken)
}

func runHGet(c *Ctx) {
	if h, _, ok := c.hash(); ok {
		c.bulkOrNull(h.Get(c.Args[2]))
	}
}

func runHMGet(c *Ctx) {
	h, _, ok := c.hash()
	if !ok {
		return
	}
	start := len(c.W.B)
	c.W.Array(len(c.Args) - 2)
	for _, field := range c.Args[2:] {
		c.bulkOrNull(h.Get(field))
		if c.replyTooLarge(start) {
			return
		}
	}
}

func runHGetAll(c *Ctx) {
	h, _, ok := c.hash()
	if !ok || c.takesLong(h.Len(), h.Bytes()) && c.begin(h.View(), bulkPair, mapHead) {
		return
	}
	c.W.Map(h.Len())
	h.Each(func(field, value []byte) bool {
		c.W.Bulk(field)
		c.W.Bulk(value)
		return true
	})
}

func runHKeys(c *Ctx) {
	h, _, ok := c.hash()
	if !ok || c.takesLong(h.Len(), h.Bytes()) && c.begin(h.View(), bulkKey, arrayHead) {
		return
	}
	c.W.Array(h.Len())
	h.Each(func(field, _ []byte) bool {
		c.W.Bulk(field)
		return true
	})
}

func runHVals(c *Ctx) {
	h, _, ok := c.hash()
	if !ok || c.takesLong(h.Len(), h.Bytes()) && c.begin(h.View(), bulkField, arrayHead) {
		return
	}
	c.W.Array(h.Len())
	h.Each(func(_, value []byte) bool {
		c.W.Bulk(value)
		return true
	})
}

func runHDel(c *Ctx) {
	w, ok := c.hashForWrite()
	if !ok {
		return
	}
	n := int64(0)
	for _, field := range c.Args[2:] {
		if w.Delete(field) {
			n++
		}
	}
	c.W.Int(n)
}

func runHLen(c *Ctx) {
	if h, _, ok := c.hash(); ok {
		c.W.Int(int64(h.Len()))
	}
}

func runHStrlen(c *Ctx) {
	if h, _, ok := c.hash(); ok {
		value, _ := h.Get(c.Args[2])
		c.W.Int(int64(len(value)))
	}
}

func runHExists(c *Ctx) {
	if h, _, ok := c.hash(); ok {
		_, found := h.Get(c.Args[2])
		c.bool(found)
	}
}

func runHScan(c *Ctx) {
	o, ok := parseScanCursor(c, 2)
	if !ok {
		return
	}
	h, found, ok := c.hash()
	if !ok {
		return
	}
	if !found {
		c.scanned(0, nil)
		return
	}
	if !o.parse(c, 3, false) {
		return
	}
	if c.takesLong(min(o.count, h.Len()), 0) {
		o := o.cloned()
		if c.begin(h.ViewScan(o.cursor, o.count), func(w *resp.Writer, v *keyspace.View) int {
			if !o.matches(v.Key()) {
				return 0
			}
			return bulkPair(w, v)
		}, scanHead(2)) {
			return
		}
	}
	var pairs [][]byte
	next := h.Scan(o.cursor, o.count, func(field, value []byte) {
		if o.matches(field) {
			pairs = append(pairs, field, value)
		}
	})
	c.scanned(next, pairs)
}
