package command

import "bytes"

func genericRows() []Row {
	return []Row{
		{
			Name: "del", Arity: -2, Flags: Write,
			KeySpec: []string{"RM delete @1:-1"},
			ACL:     "keyspace",
			Tips:    []string{"request_policy:multi_shard", "response_policy:agg_sum"},
			Group:   "generic", Since: "1.0.0", Complexity: "O(N) where N is the number of keys that will be removed. When a key to remove holds a value other than a string, the individual complexity for this key is O(M) where M is the number of elements in the list, set, sorted set or hash. Removing a single key that holds a string value is O(1).",
			Summary: "Delete a key",
			ArgSpec: "key<key>#0*",
			Run:     runDel,
		},
		{
			Name: "unlink", Arity: -2, Flags: Write | Fast,
			KeySpec: []string{"RM delete @1:-1"},
			ACL:     "keyspace",
			Tips:    []string{"request_policy:multi_shard", "response_policy:agg_sum"},
			Group:   "generic", Since: "4.0.0", Complexity: "O(1) for each key removed regardless of its size. Then the command does O(N) work in a different thread in order to reclaim memory, where N is the number of allocations the deleted objects where composed of.",
			Summary: "Delete a key asynchronously in another thread. Otherwise it is just as DEL, but non blocking.",
			ArgSpec: "key<key>#0*",
			Run:     runDel,
		},
		{
			Name: "exists", Arity: -2, Flags: ReadOnly | Steady | Fast,
			KeySpec: []string{"RO @1:-1"},
			ACL:     "keyspace",
			Tips:    []string{"request_policy:multi_shard", "response_policy:agg_sum"},
			Group:   "generic", Since: "1.0.0", Complexity: "O(N) where N is the number of keys to check.",
			Summary: "Determine if a key exists",
			History: []string{"3.0.3 Accepts multiple `key` arguments."},
			ArgSpec: "key<key>#0*",
			Run:     runExists,
		},
		{
			Name: "rename", Arity: 3, Flags: Write,
			KeySpec: []string{"RW access delete @1", "OW update @2"},
			ACL:     "keyspace",
			Group:   "generic", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Rename a key",
			ArgSpec: "key<key>#0 newkey<key>#1",
			Run:     runRename,
		},
		{
			Name: "renamenx", Arity: 3, Flags: Write | Fast,
			KeySpec: []string{"RW access delete @1", "OW insert @2"},
			ACL:     "keyspace",
			Group:   "generic", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Rename a key, only if the new key does not exist",
			History: []string{"3.2.0 The command no longer returns an error when source and destination names are the same."},
			ArgSpec: "key<key>#0 newkey<key>#1",
			Run:     runRenameNX,
		},
		{
			Name: "copy", Arity: -3, Flags: Write | DenyOOM,
			KeySpec: []string{"RO access @1", "OW update @2"},
			ACL:     "keyspace",
			Group:   "generic", Since: "6.2.0", Complexity: "O(N) worst case for collections, where N is the number of nested items. O(1) for string values.",
			Summary:  "Copy a key",
			ArgSpec:  "source<key>#0 destination<key>#1 destination-db<integer>!DB? replace=REPLACE?",
			OtherKey: copyOtherKey,
			Run:      runCopy,
		},
		{
			Name: "move", Arity: 3, Flags: Write | Fast,
			KeySpec: []string{"RW access update @1"},
			ACL:     "keyspace",
			Group:   "generic", Since: "1.0.0", Complexity: "O(1)",
			Summary:  "Move a key to another database",
			ArgSpec:  "key<key>#0 db<integer>",
			OtherKey: moveOtherKey,
			Run:      runMove,
		},
		{
			Name: "type", Arity: 2, Flags: ReadOnly | Steady | Fast,
			KeySpec: []string{"RO @1"},
			ACL:     "keyspace",
			Group:   "generic", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Determine the type stored at key",
			ArgSpec: "key<key>#0",
			Run:     runType,
		},
		{
			Name: "touch", Arity: -2, Flags: ReadOnly | Fast,
			KeySpec: []string{"RO @1:-1"},
			ACL:     "keyspace",
			Tips:    []string{"request_policy:multi_shard", "response_policy:agg_sum"},
			Group:   "generic", Since: "3.2.1", Complexity: "O(N) where N is the number of keys that will be touched.",
			Summary: "Alters the last access time of a key(s). Returns the number of existing keys specified.",
			ArgSpec: "key<key>#0*",
			Run:     runTouch,
		},
	}
}

func runDel(c *Ctx) {
	n := int64(0)
	for _, key := range c.Args[1:] {
		if c.KS.Delete(c.DB, key, c.NowMs) {
			n++
		}
	}
	c.W.Int(n)
}

func runExists(c *Ctx) {
	n := int64(0)
	for _, key := range c.Args[1:] {
		if c.exists(key) {
			n++
		}
	}
	c.W.Int(n)
}

func runTouch(c *Ctx) {
	n := int64(0)
	for _, key := range c.Args[1:] {
		if _, found := c.get(key); found {
			n++
		}
	}
	c.W.Int(n)
}

func runType(c *Ctx) {
	v, _ := c.peek(c.Args[1])
	c.W.Simple(v.Type.String())
}

func runRename(c *Ctx) {
	if !c.KS.Rename(c.DB, c.Args[1], c.DB, c.Args[2], c.NowMs) {
		c.W.Error(ErrNoSuchKey)
		return
	}
	c.W.OK()
}

func runRenameNX(c *Ctx) {
	if !c.exists(c.Args[1]) {
		c.W.Error(ErrNoSuchKey)
		return
	}
	free := !c.exists(c.Args[2])
	if free {
		c.KS.Rename(c.DB, c.Args[1], c.DB, c.Args[2], c.NowMs)
	}
	c.bool(free)
}

func runMove(c *Ctx) {
	db, ok := c.dbIndex(2)
	if !ok {
		return
	}
	if db == c.DB {
		c.W.Error(ErrSameObject)
		return
	}
	key := c.Args[1]
	_, taken := c.KS.Peek(db, key, c.NowMs)
	moves := c.exists(key) && !taken
	if moves {
		c.KS.Rename(c.DB, key, db, key, c.NowMs)
	}
	c.bool(moves)
}

func moveOtherKey(args [][]byte) (db int, key []byte, ok bool) {
	n, ok := parseInt(args[2])
	return int(n), args[1], ok && n >= 0 && n < Databases
}

func runCopy(c *Ctx) {
	db, replace := c.DB, false
	for i := 3; i < len(c.Args); i++ {
		switch {
		case c.is(i, "replace"):
			replace = true
		case c.is(i, "db") && i+1 < len(c.Args):
			var ok bool
			i++
			if db, ok = c.dbIndex(i); !ok {
				return
			}
		default:
			c.W.Error(ErrSyntax)
			return
		}
	}
	src, dst := c.Args[1], c.Args[2]
	if db == c.DB && bytes.Equal(src, dst) {
		c.W.Error(ErrSameObject)
		return
	}
	_, found := c.get(src)
	c.read(found)
	_, taken := c.KS.Peek(db, dst, c.NowMs)
	copies := found && (replace || !taken)
	if copies {
		c.KS.Copy(c.DB, src, db, dst, c.NowMs)
	}
	c.bool(copies)
}

// copyOtherKey is COPY's destination, in the last database that it names.
func copyOtherKey(args [][]byte) (db int, key []byte, ok bool) {
	for i := 3; i+1 < len(args); i++ {
		if equalFold(args[i], "db") {
			i++
			n, isInt := parseInt(args[i])
			db, ok = int(n), isInt && n >= 0 && n < Databases
		}
	}
	return db, args[2], ok
}
