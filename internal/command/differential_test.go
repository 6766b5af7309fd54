package command

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"brainer/internal/redistest"
)

var (
	fuzzSeed     = flag.Uint64("seed", 0, "differential: run this seed alone")
	fuzzSeeds    = flag.Uint64("seeds", 6, "differential: how many seeds")
	fuzzCommands = flag.Int("commands", 3000, "differential: commands per seed")
)

// TestRandomCommandsAnswerAsRedis sends the same random commands to a keyspace and to a real
// redis-server, and compares every reply and in the end everything stored.
func TestRandomCommandsAnswerAsRedis(t *testing.T) {
	addr := redistest.Start(t)
	first, last := uint64(1), *fuzzSeeds
	if *fuzzSeed != 0 {
		first, last = *fuzzSeed, *fuzzSeed
	}
	for seed := first; seed <= last; seed++ {
		pair := newPair(t, addr, 2+int(seed%2))
		g := &generator{rnd: rand.New(rand.NewPCG(seed, 0)), table: pair.node.table}
		for i := range *fuzzCommands {
			var difference string
			if i%20 == 0 {
				difference = pair.compareTxn(t, [][]string{g.command(), g.command(), g.command(), g.command()})
			} else {
				difference = pair.compare(g.command())
			}
			if difference != "" {
				t.Fatalf("command %d: %s\nrepeat: go test ./internal/command -run RandomCommands -seed %d", i, difference, seed)
			}
		}
		if difference := pair.compareState(); difference != "" {
			t.Fatalf("state: %s\nrepeat: go test ./internal/command -run RandomCommands -seed %d", difference, seed)
		}
		if len(pair.node.ctx.Faults) > 0 {
			t.Fatalf("seed %d: panic: %v\n%s", seed, pair.node.ctx.Faults[0].Value, pair.node.ctx.Faults[0].Stack)
		}
	}
}

// pair is a node and a redis-server that get the same commands.
type pair struct {
	node  *testNode
	redis *redistest.Client
}

func newPair(t testing.TB, addr string, proto int) *pair {
	p := &pair{newTestNode(proto), redistest.Dial(t, addr)}
	p.redis.Do("HELLO", strconv.Itoa(proto))
	p.redis.Do("FLUSHALL")
	return p
}

// compare runs the command on both and says how the replies differ, "" if they do not.
func (p *pair) compare(args []string) string {
	theirs := p.redis.Do(args...)
	ours := p.node.do(args...)
	if len(args) > 3 && strings.EqualFold(args[0], "set") {
		p.redis.Do("EXISTS", args[1]) // lets it notice a deadline that has passed
	}
	if bytes.Equal(ours, theirs) || p.alike(args, redistest.Parse(ours), redistest.Parse(theirs)) {
		return ""
	}
	return fmt.Sprintf("%q\n ours   %.500q\n redis  %.500q", args, ours, theirs)
}

// compareTxn runs commands as one transaction on both. What Redis does not queue, the table must not
// know or not find right in number.
func (p *pair) compareTxn(t testing.TB, commands [][]string) string {
	p.redis.Do("MULTI")
	var queued [][]string
	for _, args := range commands {
		raw := make([][]byte, len(args))
		for i, arg := range args {
			raw[i] = []byte(arg)
		}
		cmd := p.node.table.Find(raw)
		accepted := cmd != nil && cmd.ArityOK(len(raw))
		if reply := string(p.redis.Do(args...)); (reply == "+QUEUED\r\n") != accepted {
			return fmt.Sprintf("MULTI, %q: redis %q, accepted by us: %v", args, reply, accepted)
		}
		if accepted {
			queued = append(queued, args)
		}
	}
	if len(queued) < len(commands) {
		p.redis.Do("DISCARD")
		return ""
	}
	theirs := redistest.Parse(p.redis.Do("EXEC")).Elems
	ours := redistest.Parse(p.node.txn(t, queued...)).Elems
	for i, args := range queued {
		if len(args) > 3 && strings.EqualFold(args[0], "set") {
			p.redis.Do("EXISTS", args[1])
		}
		if len(ours) != len(theirs) || !equal(ours[i], theirs[i]) && !p.alikeInTxn(args, ours[i], theirs[i]) {
			return fmt.Sprintf("%q in transaction %q\n ours   %v\n redis  %v", args, queued, ours, theirs)
		}
	}
	return ""
}

// alikeInTxn is alike for a state that is gone: what the order or chance decides is of the same kind.
func (p *pair) alikeInTxn(args []string, ours, theirs redistest.Value) bool {
	switch strings.ToLower(args[0]) {
	case "hkeys", "hvals", "hgetall", "hrandfield", "randomkey", "scan", "hscan":
		return ours.Kind == theirs.Kind && ours.Kind != '-'
	}
	return p.alike(args, ours, theirs)
}

// stallMs is what may pass on a busy machine between a command on the one and on the other.
const stallMs = 30_000

// alike says whether two replies differ only in what Redis leaves open: order, chance, the time that
// passes between one call and the other.
func (p *pair) alike(args []string, ours, theirs redistest.Value) bool {
	if ours.Kind != theirs.Kind || ours.Kind == '-' {
		return false
	}
	switch strings.ToLower(args[0]) {
	case "keys":
		return equal(ours.Sorted(1), theirs.Sorted(1))
	case "hkeys", "hvals":
		return p.isHashtable(args[1]) && equal(ours.Sorted(1), theirs.Sorted(1))
	case "hgetall":
		return p.isHashtable(args[1]) && equal(ours.Sorted(2), theirs.Sorted(2))
	case "hrandfield":
		return p.areFields(args, ours) && p.areFields(args, theirs) && len(ours.Elems) == len(theirs.Elems)
	case "randomkey":
		return string(p.node.do("EXISTS", ours.Text)) == ":1\r\n"
	case "scan":
		// Either may need several calls where the other does not.
		return ours.Elems[0].Text != "0" || theirs.Elems[0].Text != "0" || parseCursor(args[1]) != 0 ||
			equal(ours.Elems[1].Sorted(1), theirs.Elems[1].Sorted(1))
	case "hscan":
		return ours.Elems[0].Text != "0" || theirs.Elems[0].Text != "0" || parseCursor(args[2]) != 0 ||
			p.isHashtable(args[1]) && equal(ours.Elems[1].Sorted(2), theirs.Elems[1].Sorted(2))
	case "ttl", "expiretime", "pttl", "pexpiretime":
		return near(ours.Text, theirs.Text, stallMs)
	case "memory": // each has its own, and HELP names the subcommands that there are
		return true
	case "object":
		switch strings.ToLower(args[1]) {
		case "idletime":
			return near(ours.Text, theirs.Text, stallMs/1000)
		case "refcount": // a copy of a small integer is no shared object, until it is written again
			return true
		}
	}
	return false
}

func parseCursor(text string) int64 {
	n, _ := strconv.ParseInt(strings.TrimLeft(text, "+-"), 10, 64)
	return n
}

// areFields says whether an HRANDFIELD picked fields that there are, each once if count is positive.
func (p *pair) areFields(args []string, reply redistest.Value) bool {
	var all []string
	for _, v := range redistest.Parse(p.node.do("HKEYS", args[1])).Elems {
		all = append(all, v.Text)
	}
	if len(args) == 2 {
		return slices.Contains(all, reply.Text)
	}
	seen := map[string]bool{}
	for i, v := range reply.Elems {
		switch {
		case v.Kind == '*': // a pair, in RESP3
			v = v.Elems[0]
		case len(args) == 4 && i%2 == 1: // a value
			continue
		}
		if !slices.Contains(all, v.Text) || seen[v.Text] && !strings.HasPrefix(args[2], "-") {
			return false
		}
		seen[v.Text] = true
	}
	return true
}

func (p *pair) isHashtable(key string) bool {
	return string(p.redis.Do("OBJECT", "ENCODING", key)) == "$9\r\nhashtable\r\n"
}

func equal(a, b redistest.Value) bool { return a.String() == b.String() }

func near(a, b string, tolerance int64) bool {
	x, errX := strconv.ParseInt(a, 10, 64)
	y, errY := strconv.ParseInt(b, 10, 64)
	return errX == nil && errY == nil && x > 0 && y > 0 && max(x-y, y-x) <= tolerance ||
		errX == nil && errY == nil && max(x, y) <= tolerance && min(x, y) >= 0
}

// compareState says how the contents of the two differ, "" if they do not.
func (p *pair) compareState() string {
	for db := range Databases {
		if difference := p.compare([]string{"SELECT", strconv.Itoa(db)}); difference != "" {
			return difference
		}
		if difference := p.compare([]string{"KEYS", "*"}); difference != "" {
			return difference
		}
		if difference := p.compare([]string{"DBSIZE"}); difference != "" {
			return difference
		}
		var keys []string
		for _, v := range redistest.Parse(p.node.do("KEYS", "*")).Elems {
			keys = append(keys, v.Text)
		}
		slices.Sort(keys)
		if scanned := p.scanAll("SCAN"); !slices.Equal(scanned, keys) {
			return fmt.Sprintf("SCAN found %q, KEYS %q", scanned, keys)
		}
		for _, key := range keys {
			for _, args := range [][]string{
				{"TYPE", key}, {"OBJECT", "ENCODING", key}, {"PEXPIRETIME", key}, {"GET", key}, {"HGETALL", key},
			} {
				if difference := p.compare(args); difference != "" {
					return difference
				}
			}
			if reply := p.node.do("HKEYS", key); reply[0] == '*' {
				var fields []string
				for _, v := range redistest.Parse(reply).Elems {
					fields = append(fields, v.Text)
				}
				slices.Sort(fields)
				if scanned := p.scanAll("HSCAN", key); !slices.Equal(scanned, fields) {
					return fmt.Sprintf("HSCAN %q found %q, HKEYS %q", key, scanned, fields)
				}
			}
		}
	}
	return ""
}

// scanAll follows the cursors of our own SCAN, or HSCAN, to the end.
func (p *pair) scanAll(command ...string) (names []string) {
	step := 1
	if command[0] == "HSCAN" {
		step = 2
	}
	for cursor := "0"; ; {
		reply := redistest.Parse(p.node.do(append(command[:len(command):len(command)], cursor, "COUNT", "3")...))
		for i := 0; i < len(reply.Elems[1].Elems); i += step {
			names = append(names, reply.Elems[1].Elems[i].Text)
		}
		if cursor = reply.Elems[0].Text; cursor == "0" {
			break
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// generator makes random commands out of the table's own description of the arguments.
type generator struct {
	rnd   *rand.Rand
	table *Table
}

var (
	someKeys   = []string{"k0", "k1", "k2", "k3", "k4", "k5", "k[6]", ""}
	someFields = []string{"f0", "f1", "f2", "f3", "f4", "f5", "f\x00\xff", ""}
	someValues = []string{
		"", "a", "abc", "abcabd", "10", "0", "-1", "007", "-0", "+1", " 1", "3.5", "1e3", "1e400", "0x10",
		"9223372036854775807", "-9223372036854775808", "9223372036854775808", "inf", "nan", "-inf",
		"\r\n", "\x00", "\x00\xff\x80", "ABC", strings.Repeat("x", 44), strings.Repeat("y", 45),
		strings.Repeat("z", 64), strings.Repeat("w", 65), "0.1", "-.5", "5.", "1e-5", "100000000000000000000",
	}
	someInts = []string{
		"0", "1", "2", "3", "-1", "-2", "-3", "5", "10", "100", "128", "9223372036854775807", "-9223372036854775808",
		"9223372036854775806", "2147483647", "2147483648", "-2147483649", "4294967296", "536870912", "536870913", "x", "", "01", "1.0",
	}
	someTimes = []string{ // far in the future, by whatever unit and base, or long ago
		"4000000000", "5000000000", "4000000000000", "5000000000000", "1000000000000", "-1", "0", "-1000",
		"9223372036854775807", "-9223372036854775808", "9223372036854775", "9223372036854776", "x",
	}
	somePatterns  = []string{"*", "k*", "?1", "k[0-2]", "k[^0-2]", "*[13]", "k\\[6]", "k[", "[^", "f*", "**", "*0*", "", "k[3-1]", "*\\"}
	someTypes     = []string{"string", "hash", "HASH", "list", "nosuch"}
	someFloats    = []string{"0.1", "1", "-1.5", "3.0e3", "1e17", "1e400", "5e-324", "abc", "", "inf", "nan", "0x1p4", "1e4000", "12345678901234567890.5"}
	someDatabases = []string{"0", "1", "2", "15", "16", "-1", "x"}
)

func (g *generator) pick(from []string) string { return from[g.rnd.IntN(len(from))] }

func (g *generator) command() []string {
	for {
		all := g.table.All()
		c := all[g.rnd.IntN(len(all))]
		args := []string{c.Name}
		if len(c.Sub) > 0 {
			c = c.Sub[g.rnd.IntN(len(c.Sub))]
			args = strings.Split(c.Name, "|")
		}
		if c.Run == nil || c.EntryArgs > 0 || c.Name == "select" {
			continue
		}
		if g.rnd.IntN(2) == 0 {
			args[0] = strings.ToUpper(args[0])
		}
		// What empties much is rarer than the rest.
		if c.Flags&(Write|Keyless) == Write|Keyless && g.rnd.IntN(20) > 0 {
			continue
		}
		args = append(args, g.args(c.Args)...)
		if g.rnd.IntN(6) == 0 {
			args = g.mutate(args)
		}
		if !expiresSoon(args) {
			return args
		}
	}
}

func (g *generator) args(args []Arg) (out []string) {
	for _, a := range args {
		if a.Optional && g.rnd.IntN(2) == 0 {
			continue
		}
		times := 1
		if a.Multiple {
			times += g.rnd.IntN(4)
		}
		for i := range times {
			if a.Token != "" && (i == 0 || a.MultipleToken) {
				out = append(out, a.Token)
			}
			out = append(out, g.value(a)...)
		}
	}
	return out
}

func (g *generator) value(a Arg) []string {
	switch a.Type {
	case "pure-token":
		return nil
	case "oneof":
		return g.args([]Arg{required(a.Args[g.rnd.IntN(len(a.Args))])})
	case "block":
		return g.args(a.Args)
	case "key":
		return []string{g.pick(someKeys)}
	case "double":
		return []string{g.pick(someFloats)}
	case "pattern":
		return []string{g.pick(somePatterns)}
	case "unix-time":
		return []string{g.pick(someTimes)}
	}
	switch a.Name {
	case "field":
		return []string{g.pick(someFields)}
	case "seconds", "milliseconds":
		return []string{g.pick(someTimes)}
	case "cursor":
		return []string{g.pick([]string{"0", "0", "0", "-1", "x", "+0", "18446744073709551616", ""})}
	case "type":
		return []string{g.pick(someTypes)}
	case "destination-db", "db", "index1", "index2":
		return []string{g.pick(someDatabases)}
	}
	if a.Type == "integer" {
		return []string{g.pick(someInts)}
	}
	return []string{g.pick(someValues)}
}

func required(a Arg) Arg {
	a.Optional = false
	return a
}

// mutate damages a command: an argument more, less, doubled or replaced.
func (g *generator) mutate(args []string) []string {
	args = slices.Clone(args)
	other := g.pick(slices.Concat(someKeys, someValues, someInts, someTimes, []string{"NX", "xx", "GET", "EX", "PXAT", "KEEPTTL", "DB", "COUNT", "gt", "LT", "REPLACE", "LEN", "IDX"}))
	i := 1 + g.rnd.IntN(len(args))
	switch g.rnd.IntN(4) {
	case 0:
		return slices.Insert(args, i, other)
	case 1:
		if i < len(args) {
			return slices.Delete(args, i, i+1)
		}
	case 2:
		if i < len(args) {
			return slices.Insert(args, i, args[i])
		}
	}
	if i < len(args) {
		args[i] = other
	}
	return args
}

// expiresSoon says whether a command might set a deadline that passes while the test runs, or makes
// a string or a reply that is too large for a test.
func expiresSoon(args []string) bool {
	from := len(args)
	switch strings.ToLower(args[0]) {
	case "set":
		from = 3
	case "getex", "setex", "psetex", "expire", "pexpire", "hrandfield", "setrange":
		from = 2
	}
	large := strings.EqualFold(args[0], "hrandfield") || strings.EqualFold(args[0], "setrange")
	for _, arg := range args[min(from, len(args)):] {
		n, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			continue
		}
		if large && (n > 100000 && n < 1<<29-1000 || n < -100000 && n > -1<<63) || !large && n > 0 && n < 1_000_000 {
			return true
		}
	}
	return false
}
