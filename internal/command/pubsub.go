package command

func pubsubRows() []Row {
	return []Row{
		{
			Name: "publish", Arity: 3, Flags: PubSub | Loading | Stale | Fast | Server,
			Group: "pubsub", Since: "2.0.0", Complexity: "O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total number of subscribed patterns (by any client).",
			Summary:   "Post a message to a channel",
			ArgSpec:   "channel message",
			EntryArgs: 1, // the receivers
			Run:       runPublish,
		},
		{
			Name: "subscribe", Arity: -2, Flags: PubSub | Noscript | Loading | Stale | Server | Subscriber,
			Group: "pubsub", Since: "2.0.0", Complexity: "O(N) where N is the number of channels to subscribe to.",
			Summary: "Listen for messages published to the given channels",
			ArgSpec: "channel*",
		},
		{
			Name: "unsubscribe", Arity: -1, Flags: PubSub | Noscript | Loading | Stale | Server | Subscriber,
			Group: "pubsub", Since: "2.0.0", Complexity: "O(N) where N is the number of clients already subscribed to a channel.",
			Summary: "Stop listening for messages posted to the given channels",
			ArgSpec: "channel?*",
		},
		{
			Name: "psubscribe", Arity: -2, Flags: PubSub | Noscript | Loading | Stale | Server | Subscriber,
			Group: "pubsub", Since: "2.0.0", Complexity: "O(N) where N is the number of patterns the client is already subscribed to.",
			Summary: "Listen for messages published to channels matching the given patterns",
			ArgSpec: "pattern<block>*(pattern<pattern>)",
		},
		{
			Name: "punsubscribe", Arity: -1, Flags: PubSub | Noscript | Loading | Stale | Server | Subscriber,
			Group: "pubsub", Since: "2.0.0", Complexity: "O(N+M) where N is the number of patterns the client is already subscribed and M is the number of total patterns subscribed in the system (by any client).",
			Summary: "Stop listening for messages posted to channels matching the given patterns",
			ArgSpec: "pattern<pattern>?*",
		},
		{
			Name: "pubsub", Arity: -2, Flags: Server,
			Group: "pubsub", Since: "2.8.0", Complexity: "Depends on subcommand.",
			Summary: "A container for Pub/Sub commands",
			Sub: []Row{
				{
					Name: "pubsub|channels", Arity: -2, Flags: PubSub | Loading | Stale | Server,
					Group: "pubsub", Since: "2.8.0", Complexity: "O(N) where N is the number of active channels, and assuming constant time pattern matching (relatively short channels and patterns)",
					Summary: "List active channels",
					ArgSpec: "pattern<pattern>?",
				},
				{
					Name: "pubsub|numsub", Arity: -2, Flags: PubSub | Loading | Stale | Server,
					Group: "pubsub", Since: "2.8.0", Complexity: "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
					Summary: "Get the count of subscribers for channels",
					ArgSpec: "channel?*",
				},
				{
					Name: "pubsub|numpat", Arity: 2, Flags: PubSub | Loading | Stale | Server,
					Group: "pubsub", Since: "2.8.0", Complexity: "O(1)",
					Summary: "Get the count of unique patterns pattern subscriptions",
				},
				{
					Name: "pubsub|help", Arity: 2, Flags: Loading | Stale | Server,
					Group: "pubsub", Since: "6.2.0", Complexity: "O(1)",
					Summary: "Show helpful text about the different subcommands",
				},
			},
		},
	}
}

// runPublish answers the number of receivers, which the front end took when it ordered the entry.
// It delivers the message once the entry is safe.
func runPublish(c *Ctx) {
	if len(c.Args) < 4 {
		c.W.Int(0)
		return
	}
	if receivers, ok := c.int(3); ok {
		c.W.Int(receivers)
	}
}
