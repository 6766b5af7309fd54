package command

func memoryRows() []Row {
	return []Row{
		{
			Name: "memory", Arity: -2,
			Group: "server", Since: "4.0.0", Complexity: "Depends on subcommand.",
			Summary: "A container for memory diagnostics commands",
			Sub: []Row{
				{
					Name: "memory|usage", Arity: -3, Flags: ReadOnly,
					KeySpec: []string{"RO @2"},
					Group:   "server", Since: "4.0.0", Complexity: "O(N) where N is the number of samples.",
					Summary: "Estimate the memory usage of a key",
					ArgSpec: "key<key>#0 count<integer>!SAMPLES?",
					Run:     runMemoryUsage,
				},
				{
					Name: "memory|help", Arity: 2, Flags: Loading | Stale,
					Group: "server", Since: "4.0.0", Complexity: "O(1)",
					Summary: "Show helpful text about the different subcommands",
					Run:     runMemoryHelp,
				},
			},
		},
	}
}

// runMemoryUsage needs no samples: what a key takes is counted as it changes.
func runMemoryUsage(c *Ctx) {
	for i := 3; i < len(c.Args); i += 2 {
		if !c.is(i, "samples") || i+1 == len(c.Args) {
			c.W.Error(ErrSyntax)
			return
		}
		samples, ok := c.int(i + 1)
		if !ok {
			return
		}
		if samples < 0 {
			c.W.Error(ErrSyntax)
			return
		}
	}
	bytes, ok := c.KS.MemoryOf(c.DB, c.Args[2], c.NowMs)
	if !ok {
		c.W.Null()
		return
	}
	c.OfThisCopy = true // whose memory has a history of its own
	c.W.Int(bytes)
}

func runMemoryHelp(c *Ctx) {
	lines := [...]string{
		"MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
		"USAGE <key> [SAMPLES <count>]",
		"    Return memory in bytes used by <key> and its value. Nested values are",
		"    sampled up to <count> times (default: 5, 0 means sample all).",
		"HELP",
		"    Prints this help.",
	}
	c.W.Array(len(lines))
	for _, line := range lines {
		c.W.Simple(line)
	}
}
