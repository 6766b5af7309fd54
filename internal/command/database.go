package command

func databaseRows() []Row {
	return []Row{
		{
			Name: "dbsize", Arity: 1, Flags: ReadOnly | Fast | Keyless,
			ACL:   "keyspace",
			Tips:  []string{"request_policy:all_shards", "response_policy:agg_sum"},
			Group: "server", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Return the number of keys in the selected database",
			Run:     runDBSize,
		},
		{
			Name: "flushdb", Arity: -1, Flags: Write | Keyless,
			ACL:   "keyspace dangerous",
			Tips:  []string{"request_policy:all_shards", "response_policy:all_succeeded"},
			Group: "server", Since: "1.0.0", Complexity: "O(N) where N is the number of keys in the selected database",
			Summary: "Remove all keys from the current database",
			History: []string{"4.0.0 Added the `ASYNC` flushing mode modifier.", "6.2.0 Added the `SYNC` flushing mode modifier."},
			ArgSpec: "async<oneof>?(async=ASYNC@4.0.0 sync=SYNC@6.2.0)",
			Run:     runFlushDB,
		},
		{
			Name: "flushall", Arity: -1, Flags: Write | Keyless,
			ACL:   "keyspace dangerous",
			Tips:  []string{"request_policy:all_shards", "response_policy:all_succeeded"},
			Group: "server", Since: "1.0.0", Complexity: "O(N) where N is the total number of keys in all databases",
			Summary: "Remove all keys from all databases",
			History: []string{"4.0.0 Added the `ASYNC` flushing mode modifier.", "6.2.0 Added the `SYNC` flushing mode modifier."},
			ArgSpec: "async<oneof>?(async=ASYNC@4.0.0 sync=SYNC@6.2.0)",
			Run:     runFlushAll,
		},
		{
			Name: "swapdb", Arity: 3, Flags: Write | Fast | Keyless,
			ACL:   "keyspace dangerous",
			Group: "server", Since: "4.0.0", Complexity: "O(N) where N is the count of clients watching or blocking on keys from both databases.",
			Summary: "Swaps two Redis databases",
			ArgSpec: "index1<integer> index2<integer>",
			Run:     runSwapDB,
		},
	}
}

func runDBSize(c *Ctx) { c.W.Int(int64(c.KS.Len(c.DB, c.NowMs))) }

func runFlushDB(c *Ctx) {
	if parseFlushOption(c) {
		c.KS.Flush(c.DB)
		c.W.OK()
	}
}

func runFlushAll(c *Ctx) {
	if parseFlushOption(c) {
		c.KS.FlushAll()
		c.W.OK()
	}
}

// parseFlushOption accepts SYNC and ASYNC, which are the same here; it answers the error itself.
func parseFlushOption(c *Ctx) (ok bool) {
	if len(c.Args) == 1 || len(c.Args) == 2 && (c.is(1, "sync") || c.is(1, "async")) {
		return true
	}
	c.W.Error(ErrSyntax)
	return false
}

func runSwapDB(c *Ctx) {
	a, ok := parseInt(c.Args[1])
	if !ok || a != int64(int32(a)) {
		c.W.Error(ErrFirstDBIndex)
		return
	}
	b, ok := parseInt(c.Args[2])
	if !ok || b != int64(int32(b)) {
		c.W.Error(ErrSecondDBIndex)
		return
	}
	if a < 0 || a >= Databases || b < 0 || b >= Databases {
		c.W.Error(ErrDBIndex)
		return
	}
	if a != b {
		c.KS.Swap(int(a), int(b))
	}
	c.W.OK()
}
