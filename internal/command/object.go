package command

func objectRows() []Row {
	return []Row{
		{
			Name: "object", Arity: -2,
			Group: "generic", Since: "2.2.3", Complexity: "Depends on subcommand.",
			Summary: "A container for object introspection commands",
			Sub: []Row{
				{
					Name: "object|encoding", Arity: 3, Flags: ReadOnly,
					KeySpec: []string{"RO @2"},
					ACL:     "keyspace",
					Tips:    []string{"nondeterministic_output"},
					Group:   "generic", Since: "2.2.3", Complexity: "O(1)",
					Summary: "Inspect the internal encoding of a Redis object",
					ArgSpec: "key<key>#0",
				},
				{
					Name: "object|idletime", Arity: 3, Flags: ReadOnly,
					KeySpec: []string{"RO @2"},
					ACL:     "keyspace",
					Tips:    []string{"nondeterministic_output"},
					Group:   "generic", Since: "2.2.3", Complexity: "O(1)",
					Summary: "Get the time since a Redis object was last accessed",
					ArgSpec: "key<key>#0",
				},
				{
					Name: "object|freq", Arity: 3, Flags: ReadOnly,
					KeySpec: []string{"RO @2"},
					ACL:     "keyspace",
					Tips:    []string{"nondeterministic_output"},
					Group:   "generic", Since: "4.0.0", Complexity: "O(1)",
					Summary: "Get the logarithmic access frequency counter of a Redis object",
					ArgSpec: "key<key>#0",
				},
				{
					Name: "object|refcount", Arity: 3, Flags: ReadOnly,
					KeySpec: []string{"RO @2"},
					ACL:     "keyspace",
					Tips:    []string{"nondeterministic_output"},
					Group:   "generic", Since: "2.2.3", Complexity: "O(1)",
					Summary: "Get the number of references to the value of the key",
					ArgSpec: "key<key>#0",
				},
				{
					Name: "object|help", Arity: 2, Flags: Loading | Stale,
					ACL:   "keyspace",
					Group: "generic", Since: "6.2.0", Complexity: "O(1)",
					Summary: "Show helpful text about the different subcommands",
				},
			},
		},
	}
}
