package command

import (
	"math"

	"brainer/internal/keyspace"
)

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
					Run:     runObjectEncoding,
				},
				{
					Name: "object|idletime", Arity: 3, Flags: ReadOnly,
					KeySpec: []string{"RO @2"},
					ACL:     "keyspace",
					Tips:    []string{"nondeterministic_output"},
					Group:   "generic", Since: "2.2.3", Complexity: "O(1)",
					Summary: "Get the time since a Redis object was last accessed",
					ArgSpec: "key<key>#0",
					Run:     runObjectIdletime,
				},
				{
					Name: "object|freq", Arity: 3, Flags: ReadOnly,
					KeySpec: []string{"RO @2"},
					ACL:     "keyspace",
					Tips:    []string{"nondeterministic_output"},
					Group:   "generic", Since: "4.0.0", Complexity: "O(1)",
					Summary: "Get the logarithmic access frequency counter of a Redis object",
					ArgSpec: "key<key>#0",
					Run:     runObjectFreq,
				},
				{
					Name: "object|refcount", Arity: 3, Flags: ReadOnly,
					KeySpec: []string{"RO @2"},
					ACL:     "keyspace",
					Tips:    []string{"nondeterministic_output"},
					Group:   "generic", Since: "2.2.3", Complexity: "O(1)",
					Summary: "Get the number of references to the value of the key",
					ArgSpec: "key<key>#0",
					Run:     runObjectRefcount,
				},
				{
					Name: "object|help", Arity: 2, Flags: Loading | Stale,
					ACL:   "keyspace",
					Group: "generic", Since: "6.2.0", Complexity: "O(1)",
					Summary: "Show helpful text about the different subcommands",
					Run:     runObjectHelp,
				},
			},
		},
	}
}

func runObjectEncoding(c *Ctx) {
	if v, found := c.object(); found {
		c.W.BulkString(v.Encoding().String())
	}
}

func runObjectIdletime(c *Ctx) {
	if _, found := c.object(); !found {
		return
	}
	if c.LFU {
		c.W.Error(ErrLFU)
		return
	}
	c.OfThisCopy = true
	seconds, _ := c.KS.IdleSeconds(c.DB, c.Args[2], c.NowMs)
	c.W.Int(seconds)
}

func runObjectFreq(c *Ctx) {
	if _, found := c.object(); !found {
		return
	}
	if !c.LFU {
		c.W.Error(ErrNoLFU)
		return
	}
	c.OfThisCopy = true
	frequency, _ := c.KS.Frequency(c.DB, c.Args[2], c.NowMs)
	c.W.Int(frequency)
}

// runObjectRefcount answers what Redis does: the small integers are objects that it never frees.
func runObjectRefcount(c *Ctx) {
	v, found := c.object()
	if !found {
		return
	}
	if v.Encoding() == keyspace.EncodingInt {
		if n, _ := parseInt(v.String); 0 <= n && n < 10000 {
			c.W.Int(math.MaxInt32)
			return
		}
	}
	c.W.Int(1)
}

// object returns the value that OBJECT asks for, or answers null.
func (c *Ctx) object() (v keyspace.Value, found bool) {
	v, found = c.peek(c.Args[2])
	if !found {
		c.W.Null()
	}
	return v, found
}

func runObjectHelp(c *Ctx) {
	lines := [...]string{
		"OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
		"ENCODING <key>",
		"    Return the kind of internal representation used in order to store the value",
		"    associated with a <key>.",
		"FREQ <key>",
		"    Return the access frequency index of the <key>. The returned integer is",
		"    proportional to the logarithm of the recent access frequency of the key.",
		"IDLETIME <key>",
		"    Return the idle time of the <key>, that is the approximated number of",
		"    seconds elapsed since the last access to the key.",
		"REFCOUNT <key>",
		"    Return the number of references of the value associated with the specified",
		"    <key>.",
		"HELP",
		"    Prints this help.",
	}
	c.W.Array(len(lines))
	for _, line := range lines {
		c.W.Simple(line)
	}
}
