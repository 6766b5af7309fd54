package command

func serverRows() []Row {
	return []Row{
		{
			Name: "command", Arity: -1, Flags: Loading | Stale | Server,
			ACL:   "connection",
			Tips:  []string{"nondeterministic_output_order"},
			Group: "server", Since: "2.8.13", Complexity: "O(N) where N is the total number of Redis commands",
			Summary: "Get array of Redis command details",
			Sub: []Row{
				{
					Name: "command|count", Arity: 2, Flags: Loading | Stale | Server,
					ACL:   "connection",
					Group: "server", Since: "2.8.13", Complexity: "O(1)",
					Summary: "Get total number of Redis commands",
				},
				{
					Name: "command|info", Arity: -2, Flags: Loading | Stale | Server,
					ACL:   "connection",
					Tips:  []string{"nondeterministic_output_order"},
					Group: "server", Since: "2.8.13", Complexity: "O(N) where N is the number of commands to look up",
					Summary: "Get array of specific Redis command details, or all when no argument is given.",
					History: []string{"7.0.0 Allowed to be called with no argument to get info on all commands."},
					ArgSpec: "command-name?*",
				},
				{
					Name: "command|docs", Arity: -2, Flags: Loading | Stale | Server,
					ACL:   "connection",
					Tips:  []string{"nondeterministic_output_order"},
					Group: "server", Since: "7.0.0", Complexity: "O(N) where N is the number of commands to look up",
					Summary: "Get array of specific Redis command documentation",
					ArgSpec: "command-name?*",
				},
				{
					Name: "command|list", Arity: -2, Flags: Loading | Stale | Server,
					ACL:   "connection",
					Tips:  []string{"nondeterministic_output_order"},
					Group: "server", Since: "7.0.0", Complexity: "O(N) where N is the total number of Redis commands",
					Summary: "Get an array of Redis command names",
					ArgSpec: "filterby<oneof>!FILTERBY?(module-name!MODULE category!ACLCAT pattern<pattern>!PATTERN)",
				},
				{
					Name: "command|getkeys", Arity: -4, Flags: Loading | Stale | Server,
					ACL:   "connection",
					Group: "server", Since: "2.8.13", Complexity: "O(N) where N is the number of arguments to the command",
					Summary: "Extract keys given a full Redis command",
				},
				{
					Name: "command|getkeysandflags", Arity: -4, Flags: Loading | Stale | Server,
					ACL:   "connection",
					Group: "server", Since: "7.0.0", Complexity: "O(N) where N is the number of arguments to the command",
					Summary: "Extract keys and access flags given a full Redis command",
				},
				{
					Name: "command|help", Arity: 2, Flags: Loading | Stale | Server,
					ACL:   "connection",
					Group: "server", Since: "5.0.0", Complexity: "O(1)",
					Summary: "Show helpful text about the different subcommands",
				},
			},
		},
		{
			Name: "info", Arity: -1, Flags: Loading | Stale | Server,
			ACL:   "dangerous",
			Tips:  []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"},
			Group: "server", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Get information and statistics about the server",
			History: []string{"7.0.0 Added support for taking multiple section arguments."},
			ArgSpec: "section?*",
		},
		{
			Name: "config", Arity: -2, Flags: Server,
			Group: "server", Since: "2.0.0", Complexity: "Depends on subcommand.",
			Summary: "A container for server configuration commands",
			Sub: []Row{
				{
					Name: "config|get", Arity: -3, Flags: Admin | Noscript | Loading | Stale | Server,
					Group: "server", Since: "2.0.0", Complexity: "O(N) when N is the number of configuration parameters provided",
					Summary: "Get the values of configuration parameters",
					History: []string{"7.0.0 Added the ability to pass multiple pattern parameters in one call"},
					ArgSpec: "parameter<block>*(parameter)",
				},
				{
					Name: "config|set", Arity: -4, Flags: Admin | Noscript | Loading | Stale | Server,
					Tips:  []string{"request_policy:all_nodes", "response_policy:all_succeeded"},
					Group: "server", Since: "2.0.0", Complexity: "O(N) when N is the number of configuration parameters provided",
					Summary: "Set configuration parameters to the given values",
					History: []string{"7.0.0 Added the ability to set multiple parameters in one call."},
					ArgSpec: "parameter_value<block>*(parameter value)",
				},
				{
					Name: "config|resetstat", Arity: 2, Flags: Admin | Noscript | Loading | Stale | Server,
					Group: "server", Since: "2.0.0", Complexity: "O(1)",
					Summary: "Reset the stats returned by INFO",
				},
				{
					Name: "config|help", Arity: 2, Flags: Loading | Stale | Server,
					Group: "server", Since: "5.0.0", Complexity: "O(1)",
					Summary: "Show helpful text about the different subcommands",
				},
			},
		},
		{
			Name: "time", Arity: 1, Flags: Loading | Stale | Fast | Server,
			Tips:  []string{"nondeterministic_output"},
			Group: "server", Since: "2.6.0", Complexity: "O(1)",
			Summary: "Return the current server time",
		},
		{
			Name: "role", Arity: 1, Flags: Noscript | Loading | Stale | Fast | Server,
			ACL:   "admin dangerous",
			Group: "server", Since: "2.8.12", Complexity: "O(1)",
			Summary: "Return the role of the instance in the context of replication",
		},
		{
			Name: "wait", Arity: 3, Flags: Noscript | Server,
			ACL:   "connection",
			Tips:  []string{"request_policy:all_shards", "response_policy:agg_min"},
			Group: "generic", Since: "3.0.0", Complexity: "O(1)",
			Summary: "Wait for the synchronous replication of all the write commands sent in the context of the current connection",
			ArgSpec: "numreplicas<integer> timeout<integer>",
		},
		{
			Name: "debug", Arity: -2, Flags: Admin | Noscript | Loading | Stale | Server,
			Group: "server", Since: "1.0.0", Complexity: "Depends on subcommand.",
			Summary: "A container for debugging commands",
			SysCmd:  true,
		},
	}
}
