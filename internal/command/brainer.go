package command

import (
	"bytes"
	"fmt"

	"brainer/internal/wire"
)

// brainerRows are Brainer's own commands: BRAINER, and what the front end puts into entries.
func brainerRows() []Row {
	return []Row{
		{
			Name: "brainer", Arity: -2, Flags: Server | Loading | Stale,
			Group: "server", Since: "1.0.0", Complexity: "Depends on subcommand.",
			Summary: "A container for replication commands",
			Sub: []Row{
				{
					Name: "brainer|ack", Arity: -2, Flags: Server | Loading | Stale | Fast | NoMulti,
					Group: "server", Since: "1.0.0", Complexity: "O(1)",
					Summary: "Get or set how many copies acknowledge this connection's writes",
					ArgSpec: "rule<oneof>?(all=ALL primary=PRIMARY nodes<integer>)",
				},
				{
					Name: "brainer|with", Arity: -3, Flags: Server | Loading | Stale | NoMulti,
					Group: "server", Since: "1.0.0", Complexity: "That of the command",
					Summary: "Run one command under another acknowledgement rule or request id",
					ArgSpec: "rule<oneof>!ACK?(all=ALL primary=PRIMARY nodes<integer>) id<block>!ID?(client number<integer>) command arg?*",
				},
				{
					Name: "brainer|nodes", Arity: 2, Flags: Server | Loading | Stale,
					Tips:  []string{"nondeterministic_output"},
					Group: "server", Since: "1.0.0", Complexity: "O(N) where N is the number of nodes",
					Summary: "List the nodes, their states and how far each has applied",
				},
				{
					Name: "brainer|status", Arity: -2, Flags: Server | Loading | Stale,
					Tips:  []string{"nondeterministic_output"},
					Group: "server", Since: "1.0.0", Complexity: "O(N) where N is the number of nodes",
					Summary: "Show the broker's view of the order, the log window and the nodes",
					ArgSpec: "json=JSON?",
				},
				{
					Name: "brainer|recover", Arity: -3, Flags: Server | Loading | Stale | Admin | NoMulti,
					Group: "server", Since: "1.0.0", Complexity: "O(N) where N is the number of nodes",
					Summary: "With no copy in sync, take one node's for the truth or begin empty",
					ArgSpec: "source<oneof>(node=FROM<string> empty=EMPTY)",
				},
				{
					Name: "brainer|forget", Arity: 3, Flags: Server | Loading | Stale | Admin,
					Group: "server", Since: "1.0.0", Complexity: "O(N) where N is the number of nodes",
					Summary: "Drop a node that is not coming back from the lists and the metrics",
					ArgSpec: "node<string>",
				},
				{
					Name: "brainer|verify", Arity: 2, Flags: Server | Loading | Stale | Admin,
					Group: "server", Since: "1.0.0", Complexity: "O(N) where N is the number of keys, in pieces beside other commands",
					Summary: "Begin to compare what the nodes hold; BRAINER STATUS tells how far it is",
				},
				{
					Name: "brainer|hotkeys", Arity: -2, Flags: Server | Loading | Stale | Admin,
					Group: "server", Since: "1.0.0", Complexity: "O(1)",
					Summary: "The keys that were asked for most in the last second: database, key, reads, writes, and whether reads are spread over the nodes",
					ArgSpec: "count<integer>!COUNT?",
				},
				{
					Name: "brainer|snapshot", Arity: 3, Flags: Server | Admin | NoMulti,
					Tips:  []string{"nondeterministic_output"},
					Group: "server", Since: "1.0.0", Complexity: "O(N) where N is the number of keys, a part for each call",
					Summary: "The data as it was at one index, in parts of commands that any Redis understands",
					ArgSpec: "step<oneof>(begin=BEGIN next=NEXT end=END)",
				},
				{
					Name: "brainer|help", Arity: 2, Flags: Server | Loading | Stale,
					Group: "server", Since: "1.0.0", Complexity: "O(1)",
					Summary: "Show helpful text about the different subcommands",
				},
			},
		},
		// _reply RAW: RAW is the reply. The front end queues it in a transaction in the place of a
		// command that it answers itself.
		{Name: "_reply", Arity: 2, Flags: Internal | Fast, Run: runReply},
		// _digest QUESTION: what this copy holds in a range of keys (wire.RangeQuestion), as one bulk.
		{Name: wire.RangeCommand, Arity: 2, Flags: Internal | ReadOnly | Keyless, Run: runDigest},
		// _keyspace: INFO's keyspace lines and the memory in use, as one bulk of "name:value" lines.
		{Name: "_keyspace", Arity: 1, Flags: Internal | ReadOnly | Keyless, Run: runKeyspace},
	}
}

func runReply(c *Ctx) { c.W.Raw(c.Args[1]) }

// runKeyspace answers "used_memory:N" and INFO's line for every database that has keys.
func runKeyspace(c *Ctx) {
	lines := fmt.Appendf(nil, "used_memory:%d\r\n", c.KS.UsedBytes())
	for db := range Databases {
		if keys := c.KS.Len(db, c.NowMs); keys > 0 {
			expires, avgTTLMs := c.KS.Expires(db, c.NowMs)
			lines = fmt.Appendf(lines, "db%d:keys=%d,expires=%d,avg_ttl=%d\r\n", db, keys, expires, avgTTLMs)
		}
	}
	c.W.Bulk(lines)
}

// Of every database the copies can be compared.
var _ [Databases - wire.Databases]struct{}

// runDigest answers what this copy holds in a range of keys.
func runDigest(c *Ctx) {
	q, err := wire.DecodeRangeQuestion(c.Args[1])
	if err != nil {
		c.W.Error(ErrInternal)
		return
	}
	var a wire.RangeAnswer
	add := func(name []byte, digest uint64) {
		a.Count++
		a.Digest += digest
		if q.Each {
			a.Each = append(a.Each, wire.RangeItem{Name: bytes.Clone(name), Digest: digest})
		}
	}
	if q.OfHash {
		a.Total = uint64(c.KS.VisitFields(int(q.DB), q.Key, q.Part, q.Bits, c.NowMs, add))
	} else {
		a.Total = uint64(c.KS.VisitKeys(int(q.DB), q.Part, q.Bits, c.NowMs, func(key []byte, digest uint64, apart bool) {
			add(key, digest)
			if apart {
				a.Hashes = append(a.Hashes, bytes.Clone(key))
			}
		}))
	}
	c.W.Bulk(a.Append(nil))
}
