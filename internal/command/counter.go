package command

func counterRows() []Row {
	return []Row{
		{
			Name: "incr", Arity: 2, Flags: Write | DenyOOM | Fast,
			KeySpec: []string{"RW access update @1"},
			ACL:     "string",
			Group:   "string", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Increment the integer value of a key by one",
			ArgSpec: "key<key>#0",
		},
		{
			Name: "decr", Arity: 2, Flags: Write | DenyOOM | Fast,
			KeySpec: []string{"RW access update @1"},
			ACL:     "string",
			Group:   "string", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Decrement the integer value of a key by one",
			ArgSpec: "key<key>#0",
		},
		{
			Name: "incrby", Arity: 3, Flags: Write | DenyOOM | Fast,
			KeySpec: []string{"RW access update @1"},
			ACL:     "string",
			Group:   "string", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Increment the integer value of a key by the given amount",
			ArgSpec: "key<key>#0 increment<integer>",
		},
		{
			Name: "decrby", Arity: 3, Flags: Write | DenyOOM | Fast,
			KeySpec: []string{"RW access update @1"},
			ACL:     "string",
			Group:   "string", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Decrement the integer value of a key by the given number",
			ArgSpec: "key<key>#0 decrement<integer>",
		},
		{
			Name: "incrbyfloat", Arity: 3, Flags: Write | DenyOOM | Fast,
			KeySpec: []string{"RW access update @1"},
			ACL:     "string",
			Group:   "string", Since: "2.6.0", Complexity: "O(1)",
			Summary: "Increment the float value of a key by the given amount",
			ArgSpec: "key<key>#0 increment<double>",
		},
	}
}
