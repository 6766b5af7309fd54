package command

func databaseRows() []Row {
	return []Row{
		{
			Name: "dbsize", Arity: 1, Flags: ReadOnly | Fast | Keyless,
			ACL:   "keyspace",
			Tips:  []string{"request_policy:all_shards", "response_policy:agg_sum"},
			Group: "server", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Return the number of keys in the selected database",
		},
		{
			Name: "flushdb", Arity: -1, Flags: Write | Keyless,
			ACL:   "keyspace dangerous",
			Tips:  []string{"request_policy:all_shards", "response_policy:all_succeeded"},
			Group: "server", Since: "1.0.0", Complexity: "O(N) where N is the number of keys in the selected database",
			Summary: "Remove all keys from the current database",
			History: []string{"4.0.0 Added the `ASYNC` flushing mode modifier.", "6.2.0 Added the `SYNC` flushing mode modifier."},
			ArgSpec: "async<oneof>?(async=ASYNC@4.0.0 sync=SYNC@6.2.0)",
		},
		{
			Name: "flushall", Arity: -1, Flags: Write | Keyless,
			ACL:   "keyspace dangerous",
			Tips:  []string{"request_policy:all_shards", "response_policy:all_succeeded"},
			Group: "server", Since: "1.0.0", Complexity: "O(N) where N is the total number of keys in all databases",
			Summary: "Remove all keys from all databases",
			History: []string{"4.0.0 Added the `ASYNC` flushing mode modifier.", "6.2.0 Added the `SYNC` flushing mode modifier."},
			ArgSpec: "async<oneof>?(async=ASYNC@4.0.0 sync=SYNC@6.2.0)",
		},
		{
			Name: "swapdb", Arity: 3, Flags: Write | Fast | Keyless,
			ACL:   "keyspace dangerous",
			Group: "server", Since: "4.0.0", Complexity: "O(N) where N is the count of clients watching or blocking on keys from both databases.",
			Summary: "Swaps two Redis databases",
			ArgSpec: "index1<integer> index2<integer>",
		},
	}
}
