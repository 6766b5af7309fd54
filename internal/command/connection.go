package command

func connectionRows() []Row {
	return []Row{
		{
			Name: "ping", Arity: -1, Flags: Fast | Server | Subscriber,
			ACL:   "connection",
			Tips:  []string{"request_policy:all_shards", "response_policy:all_succeeded"},
			Group: "connection", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Ping the server",
			ArgSpec: "message?",
			Run:     runPing,
		},
		{
			Name: "echo", Arity: 2, Flags: Loading | Stale | Fast | Server,
			ACL:   "connection",
			Group: "connection", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Echo the given string",
			ArgSpec: "message",
			Run:     runEcho,
		},
		{
			Name: "auth", Arity: -2, Flags: Noscript | Loading | Stale | Fast | NoAuth | AllowBusy | Server,
			ACL:   "connection",
			Group: "connection", Since: "1.0.0", Complexity: "O(N) where N is the number of passwords defined for the user",
			Summary: "Authenticate to the server",
			History: []string{"6.0.0 Added ACL style (username and password)."},
			ArgSpec: "username@6.0.0? password",
		},
		{
			Name: "hello", Arity: -1, Flags: Noscript | Loading | Stale | Fast | NoAuth | AllowBusy | Server,
			ACL:   "connection",
			Group: "connection", Since: "6.0.0", Complexity: "O(1)",
			Summary: "Handshake with Redis",
			History: []string{"6.2.0 `protover` made optional; when called without arguments the command reports the current connection's context."},
			ArgSpec: "arguments<block>?(protover<integer> username_password<block>!AUTH?(username password) clientname!SETNAME?)",
		},
		{
			Name: "select", Arity: 2, Flags: Loading | Stale | Fast | Server,
			ACL:   "connection",
			Group: "connection", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Change the selected database for the current connection",
			ArgSpec: "index<integer>",
			Run:     runSelect,
		},
		{
			Name: "quit", Arity: -1, Flags: Noscript | Loading | Stale | Fast | NoAuth | AllowBusy | Server | Subscriber,
			ACL:   "connection",
			Group: "connection", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Close the connection",
		},
		{
			Name: "reset", Arity: 1, Flags: Noscript | Loading | Stale | Fast | NoAuth | AllowBusy | Server | Subscriber,
			ACL:   "connection",
			Group: "connection", Since: "6.2.0", Complexity: "O(1)",
			Summary: "Reset the connection",
		},
		{
			Name: "client", Arity: -2, Flags: Server,
			Group: "connection", Since: "2.4.0", Complexity: "Depends on subcommand.",
			Summary: "A container for client connection commands",
			Sub: []Row{
				{
					Name: "client|id", Arity: 2, Flags: Noscript | Loading | Stale | Server,
					ACL:   "connection",
					Group: "connection", Since: "5.0.0", Complexity: "O(1)",
					Summary: "Returns the client ID for the current connection",
				},
				{
					Name: "client|getname", Arity: 2, Flags: Noscript | Loading | Stale | Server,
					ACL:   "connection",
					Group: "connection", Since: "2.6.9", Complexity: "O(1)",
					Summary: "Get the current connection name",
				},
				{
					Name: "client|setname", Arity: 3, Flags: Noscript | Loading | Stale | Server,
					ACL:   "connection",
					Group: "connection", Since: "2.6.9", Complexity: "O(1)",
					Summary: "Set the current connection name",
					ArgSpec: "connection-name",
				},
				{
					Name: "client|list", Arity: -2, Flags: Admin | Noscript | Loading | Stale | Server,
					ACL:   "connection",
					Tips:  []string{"nondeterministic_output"},
					Group: "connection", Since: "2.4.0", Complexity: "O(N) where N is the number of client connections",
					Summary: "Get the list of client connections",
					History: []string{"2.8.12 Added unique client `id` field.", "5.0.0 Added optional `TYPE` filter.", "6.0.0 Added `user` field.", "6.2.0 Added `argv-mem`, `tot-mem`, `laddr` and `redir` fields and the optional `ID` filter.", "7.0.0 Added `resp`, `multi-mem`, `rbs` and `rbp` fields.", "7.0.3 Added `ssub` field."},
					ArgSpec: "normal_master_replica_pubsub<oneof>!TYPE@5.0.0?(normal=NORMAL master=MASTER replica=REPLICA pubsub=PUBSUB) id<block>!ID@6.2.0?(client-id<integer>*)",
				},
				{
					Name: "client|info", Arity: 2, Flags: Noscript | Loading | Stale | Server,
					ACL:   "connection",
					Tips:  []string{"nondeterministic_output"},
					Group: "connection", Since: "6.2.0", Complexity: "O(1)",
					Summary: "Returns information about the current client connection.",
				},
				{
					Name: "client|kill", Arity: -3, Flags: Admin | Noscript | Loading | Stale | Server,
					ACL:   "connection",
					Group: "connection", Since: "2.4.0", Complexity: "O(N) where N is the number of client connections",
					Summary: "Kill the connection of a client",
					History: []string{"2.8.12 Added new filter format.", "2.8.12 `ID` option.", "3.2.0 Added `master` type in for `TYPE` option.", "5.0.0 Replaced `slave` `TYPE` with `replica`. `slave` still supported for backward compatibility.", "6.2.0 `LADDR` option."},
					ArgSpec: "filter<oneof>(ip:port^2.8.12 new-format<oneof>*(client-id<integer>!ID@2.8.12? normal_master_slave_pubsub<oneof>!TYPE@2.8.12?(normal=NORMAL master=MASTER@3.2.0 slave=SLAVE replica=REPLICA@5.0.0 pubsub=PUBSUB) username!USER? ip:port!ADDR? ip:port!LADDR@6.2.0? yes/no!SKIPME?))",
				},
				{
					Name: "client|no-evict", Arity: 3, Flags: Admin | Noscript | Loading | Stale | Server,
					ACL:   "connection",
					Group: "connection", Since: "7.0.0", Complexity: "O(1)",
					Summary: "Set client eviction mode for the current connection",
					ArgSpec: "enabled<oneof>(on=ON off=OFF)",
				},
				{
					Name: "client|no-touch", Arity: 3, Flags: Noscript | Loading | Stale | Server,
					ACL:   "connection",
					Group: "connection", Since: "7.2.0", Complexity: "O(1)",
					Summary: "Controls whether commands sent by the client affect the LRU/LFU of accessed keys.",
					ArgSpec: "enabled<oneof>(on=ON off=OFF)",
				},
				{
					Name: "client|setinfo", Arity: 4, Flags: Noscript | Loading | Stale | Server,
					ACL:   "connection",
					Tips:  []string{"request_policy:all_nodes", "response_policy:all_succeeded"},
					Group: "connection", Since: "7.2.0", Complexity: "O(1)",
					Summary: "Sets information specific to the client or connection.",
					ArgSpec: "attr<oneof>(libname!LIB-NAME libver!LIB-VER)",
				},
				{
					Name: "client|reply", Arity: 3, Flags: Noscript | Loading | Stale | Server,
					ACL:   "connection",
					Group: "connection", Since: "3.2.0", Complexity: "O(1)",
					Summary: "Instruct the server whether to reply to commands",
					ArgSpec: "on_off_skip<oneof>(on=ON off=OFF skip=SKIP)",
				},
				{
					Name: "client|help", Arity: 2, Flags: Loading | Stale | Server,
					ACL:   "connection",
					Group: "connection", Since: "5.0.0", Complexity: "O(1)",
					Summary: "Show helpful text about the different subcommands",
				},
			},
		},
	}
}

// runPing serves a transaction; the front end answers PING otherwise.
func runPing(c *Ctx) {
	switch len(c.Args) {
	case 1:
		c.W.Simple("PONG")
	case 2:
		c.W.Bulk(c.Args[1])
	default:
		c.wrongArity()
	}
}

func runEcho(c *Ctx) { c.W.Bulk(c.Args[1]) }

// runSelect changes the database for the rest of a transaction.
func runSelect(c *Ctx) {
	if db, ok := c.dbIndex(1); ok {
		c.DB = db
		c.W.OK()
	}
}
