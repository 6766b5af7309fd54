package command

func transactionRows() []Row {
	return []Row{
		{
			Name: "multi", Arity: 1, Flags: Noscript | Loading | Stale | Fast | AllowBusy | Server,
			ACL:   "transaction",
			Group: "transactions", Since: "1.2.0", Complexity: "O(1)",
			Summary: "Mark the start of a transaction block",
		},
		{
			Name: "exec", Arity: 1, Flags: Noscript | Loading | Stale | SkipSlowlog | Server,
			ACL:   "transaction",
			Group: "transactions", Since: "1.2.0", Complexity: "Depends on commands in the transaction",
			Summary: "Execute all commands issued after MULTI",
		},
		{
			Name: "discard", Arity: 1, Flags: Noscript | Loading | Stale | Fast | AllowBusy | Server,
			ACL:   "transaction",
			Group: "transactions", Since: "2.0.0", Complexity: "O(N), when N is the number of queued commands",
			Summary: "Discard all commands issued after MULTI",
		},
		{
			Name: "watch", Arity: -2, Flags: Noscript | Loading | Stale | Fast | AllowBusy | Server,
			KeySpec: []string{"RO @1:-1"},
			ACL:     "transaction",
			Group:   "transactions", Since: "2.2.0", Complexity: "O(1) for every key.",
			Summary: "Watch the given keys to determine execution of the MULTI/EXEC block",
			ArgSpec: "key<key>#0*",
		},
		{
			Name: "unwatch", Arity: 1, Flags: Noscript | Loading | Stale | Fast | AllowBusy | Server,
			ACL:   "transaction",
			Group: "transactions", Since: "2.2.0", Complexity: "O(1)",
			Summary: "Forget about all watched keys",
		},
	}
}
