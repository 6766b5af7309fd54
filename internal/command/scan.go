package command

import (
	"bytes"
	"strconv"
	"strings"

	"brainer/internal/keyspace"
	"brainer/resp"
)

func scanRows() []Row {
	return []Row{
		{
			Name: "keys", Arity: 2, Flags: ReadOnly | Keyless,
			ACL:   "keyspace dangerous",
			Tips:  []string{"request_policy:all_shards", "nondeterministic_output_order"},
			Group: "generic", Since: "1.0.0", Complexity: "O(N) with N being the number of keys in the database, under the assumption that the key names in the database and the given pattern have limited length.",
			Summary: "Find all keys matching the given pattern",
			ArgSpec: "pattern<pattern>",
			Run:     runKeys,
		},
		{
			Name: "scan", Arity: -2, Flags: ReadOnly | Keyless,
			ACL:   "keyspace",
			Tips:  []string{"nondeterministic_output", "request_policy:special"},
			Group: "generic", Since: "2.8.0", Complexity: "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.",
			Summary: "Incrementally iterate the keys space",
			History: []string{"6.0.0 Added the `TYPE` subcommand."},
			ArgSpec: "cursor<integer> pattern<pattern>!MATCH? count<integer>!COUNT? type!TYPE@6.0.0?",
			Run:     runScan,
		},
		{
			Name: "randomkey", Arity: 1, Flags: ReadOnly | Keyless | Random,
			ACL:   "keyspace",
			Tips:  []string{"request_policy:all_shards", "nondeterministic_output"},
			Group: "generic", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Return a random key from the keyspace",
			Run:     runRandomKey,
		},
	}
}

func runKeys(c *Ctx) {
	if c.takesLong(c.KS.Len(c.DB, c.NowMs), 0) {
		pattern := bytes.Clone(c.Args[1])
		if c.begin(c.KS.ViewKeys(c.DB, c.NowMs), func(w *resp.Writer, v *keyspace.View) int {
			if !matches(pattern, v.Key()) {
				return 0
			}
			return bulkKey(w, v)
		}, arrayHead) {
			return
		}
	}
	var keys [][]byte
	c.KS.Each(c.DB, c.NowMs, func(key []byte, _ keyspace.Value) bool {
		if matches(c.Args[1], key) {
			keys = append(keys, key)
		}
		return true
	})
	c.bulks(keys)
}

func runRandomKey(c *Ctx) {
	key, found := c.KS.RandomKey(c.DB, c.Rand(), c.NowMs)
	c.bulkOrNull(key, found)
}

// scanOptions are what SCAN and its like share.
type scanOptions struct {
	cursor  uint64
	count   int
	pattern []byte // nil: all
	typ     []byte // nil: any
}

func runScan(c *Ctx) {
	o, ok := parseScanCursor(c, 1)
	if !ok || !o.parse(c, 2, true) {
		return
	}
	if c.takesLong(min(o.count, c.KS.Len(c.DB, c.NowMs)), 0) {
		o := o.cloned()
		if c.begin(c.KS.ViewScan(c.DB, o.cursor, o.count, c.NowMs), func(w *resp.Writer, v *keyspace.View) int {
			if !o.matches(v.Key()) || o.typ != nil && !equalFold(o.typ, v.Value().Type.String()) {
				return 0
			}
			return bulkKey(w, v)
		}, scanHead(1)) {
			return
		}
	}
	var keys [][]byte
	next := c.KS.Scan(c.DB, o.cursor, o.count, c.NowMs, func(key []byte, v keyspace.Value) {
		if o.matches(key) && (o.typ == nil || equalFold(o.typ, v.Type.String())) {
			keys = append(keys, key)
		}
	})
	c.scanned(next, keys)
}

// parseScanCursor reads argument i as strtoul does: nothing is 0, and a negative one wraps around.
func parseScanCursor(c *Ctx, i int) (o scanOptions, ok bool) {
	o.count = 10
	text := cText(c.Args[i], len(c.Args[i]))
	negative := strings.HasPrefix(text, "-")
	if negative || strings.HasPrefix(text, "+") {
		text = text[1:]
	}
	if text != "" || negative {
		var err error
		if o.cursor, err = strconv.ParseUint(text, 10, 64); err != nil {
			c.W.Error(ErrCursor)
			return o, false
		}
	}
	if negative {
		o.cursor = -o.cursor
	}
	return o, true
}

// parse reads the options from argument i on; it answers the error itself.
func (o *scanOptions) parse(c *Ctx, i int, withType bool) (ok bool) {
	for ; i < len(c.Args); i += 2 {
		hasArg := i+1 < len(c.Args)
		switch {
		case c.is(i, "count") && hasArg:
			n, ok := c.int(i + 1)
			if !ok {
				return false
			}
			if n < 1 {
				c.W.Error(ErrSyntax)
				return false
			}
			o.count = int(n)
		case c.is(i, "match") && hasArg:
			o.pattern = c.Args[i+1]
		case c.is(i, "type") && withType && hasArg:
			o.typ = c.Args[i+1]
		default:
			c.W.Error(ErrSyntax)
			return false
		}
	}
	return true
}

// cloned is o with memory of its own, for a Later.
func (o *scanOptions) cloned() scanOptions {
	return scanOptions{o.cursor, o.count, bytes.Clone(o.pattern), bytes.Clone(o.typ)}
}

func (o *scanOptions) matches(name []byte) bool {
	return o.pattern == nil || matches(o.pattern, name)
}

// matches is Match, where a star alone also matches nothing.
func matches(pattern, name []byte) bool {
	return len(pattern) == 1 && pattern[0] == '*' || Match(pattern, name)
}

// scanned answers the next cursor and what was found.
func (c *Ctx) scanned(next uint64, found [][]byte) {
	c.W.Array(2)
	c.W.Bulk(strconv.AppendUint(c.scratch[:0], next, 10))
	c.bulks(found)
}

// bulks answers an array of bulk strings.
func (c *Ctx) bulks(elements [][]byte) {
	c.W.Array(len(elements))
	for _, element := range elements {
		c.W.Bulk(element)
	}
}
