package command

func scanRows() []Row {
	return []Row{
		{
			Name: "keys", Arity: 2, Flags: ReadOnly | Keyless,
			ACL:   "keyspace dangerous",
			Tips:  []string{"request_policy:all_shards", "nondeterministic_output_order"},
			Group: "generic", Since: "1.0.0", Complexity: "O(N) with N being the number of keys in the database, under the assumption that the key names in the database and the given pattern have limited length.",
			Summary: "Find all keys matching the given pattern",
			ArgSpec: "pattern<pattern>",
		},
		{
			Name: "scan", Arity: -2, Flags: ReadOnly | Keyless,
			ACL:   "keyspace",
			Tips:  []string{"nondeterministic_output", "request_policy:special"},
			Group: "generic", Since: "2.8.0", Complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
			Summary: "Incrementally iterate the keys space",
			History: []string{"6.0.0 Added the `TYPE` subcommand."},
			ArgSpec: "cursor<integer> pattern<pattern>!MATCH? count<integer>!COUNT? type!TYPE@6.0.0?",
		},
		{
			Name: "randomkey", Arity: 1, Flags: ReadOnly | Keyless | Random,
			ACL:   "keyspace",
			Tips:  []string{"request_policy:all_shards", "nondeterministic_output"},
			Group: "generic", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Return a random key from the keyspace",
		},
	}
}
