package integration

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"brainer/internal/command"
	"brainer/internal/redistest"
	"brainer/resp"
)

var differentialSeed = flag.Uint64("seed", 0, "differential: run this seed alone")

// beside is a cluster and a redis-server that get the same bytes.
type beside struct {
	t           testing.TB
	ours, redis *redistest.Client
}

func newBeside(t testing.TB, c *cluster, redis string, proto int) *beside {
	b := &beside{t, redistest.Dial(t, c.addr), redistest.Dial(t, redis)}
	for _, args := range [][]string{{"FLUSHALL"}, {"HELLO", strconv.Itoa(proto)}} {
		b.ours.Do(args...)
		b.redis.Do(args...)
	}
	return b
}

// compare sends the commands to both as one pipeline and reports the first reply that differs.
func (b *beside) compare(commands ...[]string) (difference string) {
	var raw []byte
	for _, args := range commands {
		raw = appendCommand(raw, args)
	}
	ours, err1 := b.ours.Send(raw, len(commands))
	theirs, err2 := b.redis.Send(raw, len(commands))
	if err1 != nil || err2 != nil {
		return fmt.Sprintf("%q: ours %v, redis %v", commands, err1, err2)
	}
	if bytes.Equal(ours, theirs) {
		return ""
	}
	x, y := redistest.ParseAll(ours), redistest.ParseAll(theirs)
	var queued [][]string // of a transaction: its replies come with EXEC
	for i, args := range commands {
		switch {
		case x[i].Text == "QUEUED":
			queued = append(queued, args)
		case strings.EqualFold(args[0], "exec") && len(x[i].Elems) == len(queued) && len(y[i].Elems) == len(queued):
			for j := range queued {
				if !alike(queued[j], x[i].Elems[j], y[i].Elems[j]) {
					return fmt.Sprintf("%q in a transaction\n ours   %.500s\n redis  %.500s", queued[j], x[i].Elems[j], y[i].Elems[j])
				}
			}
			queued = nil
			continue
		case strings.EqualFold(args[0], "multi"):
			queued = nil
		}
		if !alike(args, x[i], y[i]) {
			return fmt.Sprintf("%q (%d of a pipeline of %d)\n ours   %.500s\n redis  %.500s", args, i+1, len(commands), x[i], y[i])
		}
	}
	return ""
}

func appendCommand(raw []byte, args []string) []byte {
	parts := make([][]byte, len(args))
	for i, a := range args {
		parts[i] = []byte(a)
	}
	return resp.AppendCommand(raw, parts...)
}

// alike says whether two replies are equal but for what Redis leaves open: order, chance and the time
// between one call and the other.
func alike(args []string, ours, theirs redistest.Value) bool {
	if ours.String() == theirs.String() {
		return true
	}
	if ours.Kind != theirs.Kind || ours.Kind == '-' {
		return false
	}
	name := strings.ToLower(args[0])
	switch name {
	case "keys", "hkeys", "hvals":
		return ours.Sorted(1).String() == theirs.Sorted(1).String()
	case "hgetall":
		return ours.Sorted(2).String() == theirs.Sorted(2).String()
	case "hrandfield":
		return len(ours.Elems) == len(theirs.Elems)
	case "randomkey":
		return true
	case "scan", "hscan":
		group := 1
		if name == "hscan" {
			group = 2
		}
		return ours.Elems[0].Text != "0" || theirs.Elems[0].Text != "0" || // one needs more calls than the other
			ours.Elems[1].Sorted(group).String() == theirs.Elems[1].Sorted(group).String()
	case "ttl", "expiretime":
		return near(ours.Text, theirs.Text, 3)
	case "pttl", "pexpiretime":
		return near(ours.Text, theirs.Text, 3000)
	case "memory": // what a key takes is another matter here and there
		return len(args) > 1 && strings.EqualFold(args[1], "usage") && near(ours.Text, theirs.Text, 1<<40)
	case "object": // how long ago, and how often, they were asked for; and small integers that are shared
		return len(args) > 1 && slices.Contains([]string{"idletime", "refcount", "freq"}, strings.ToLower(args[1]))
	}
	return false
}

func near(a, b string, tolerance int64) bool {
	x, errX := strconv.ParseInt(a, 10, 64)
	y, errY := strconv.ParseInt(b, 10, 64)
	return errX == nil && errY == nil && x > 0 && y > 0 && max(x-y, y-x) <= tolerance
}

// compareState says how what the two hold differs.
func (b *beside) compareState() string {
	for db := range command.Databases {
		if d := b.compare([]string{"SELECT", strconv.Itoa(db)}, []string{"DBSIZE"}, []string{"KEYS", "*"}); d != "" {
			return fmt.Sprintf("database %d: %s", db, d)
		}
		for _, key := range redistest.Parse(b.redis.Do("KEYS", "*")).Elems {
			k := key.Text
			if d := b.compare([]string{"TYPE", k}, []string{"OBJECT", "ENCODING", k}, []string{"PEXPIRETIME", k},
				[]string{"GET", k}, []string{"HGETALL", k}); d != "" {
				return fmt.Sprintf("database %d: %s", db, d)
			}
		}
	}
	return ""
}

// TestScriptsThroughTheWholeStack runs the scripts of package command, every block as one pipeline,
// on three nodes behind a broker and on a redis-server.
func TestScriptsThroughTheWholeStack(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../internal/command/testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("scripts: %v, %v", paths, err)
	}
	redis := redistest.Start(t)
	c := startCluster(t, 3)
	for _, path := range paths {
		for proto := 2; proto <= 3; proto++ {
			t.Run(fmt.Sprintf("%s/RESP%d", filepath.Base(path), proto), func(t *testing.T) {
				b := newBeside(t, c, redis, proto)
				datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
					if d.HasArg("ours") || d.HasArg("at") {
						return d.Expected
					}
					var commands [][]string
					for _, line := range strings.Split(d.Input, "\n") {
						commands = append(commands, inline(t, line))
					}
					if d.Cmd == "txn" {
						commands = append(append([][]string{{"MULTI"}}, commands...), []string{"EXEC"})
					}
					if difference := b.compare(commands...); difference != "" {
						t.Errorf("%s: %s", d.Pos, difference)
					}
					return d.Expected
				})
			})
		}
	}
	c.awaitLevel()
	noDivergence(t, c)
}

// inline reads one inline command.
func inline(t testing.TB, line string) (args []string) {
	r := resp.NewReader(strings.NewReader(line + "\r\n"))
	if err := r.Fill(); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	cmd, ok, err := r.Next()
	if !ok || err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	for _, a := range cmd.Args {
		args = append(args, string(a))
	}
	return args
}

// noDivergence wants every copy to say the same of itself.
func noDivergence(t testing.TB, c *cluster) {
	t.Helper()
	s := c.awaitActive()
	if s.DigestMismatches != 0 || len(s.NodesEvicted) != 0 {
		t.Errorf("digest mismatches %d, evictions %v", s.DigestMismatches, s.NodesEvicted)
	}
	var first map[string]string
	for _, n := range s.Nodes {
		got := c.dump(n.ID)
		if first == nil {
			first = got
		} else if d := differ(first, got); d != "" {
			t.Errorf("copies of %s and %s differ: %s", s.Nodes[0].ID, n.ID, d)
		}
	}
}

// dump is everything in all databases of a node's own copy, types and deadlines too.
func (c *cluster) dump(id string) map[string]string {
	c.t.Helper()
	cl := c.copyOf(id)
	defer cl.Close()
	all := map[string]string{}
	do := func(args ...string) resp.Reply {
		c.t.Helper()
		r, err := cl.Do(args...)
		if err != nil && !strings.HasPrefix(err.Error(), "WRONGTYPE") {
			c.t.Fatalf("%q on %s: %v", args, id, err)
		}
		return r
	}
	for db := range command.Databases {
		do("SELECT", strconv.Itoa(db))
		for _, k := range do("KEYS", "*").Elems {
			key := string(k.Str)
			all[fmt.Sprintf("%d %s", db, key)] = fmt.Sprint(do("TYPE", key), do("PEXPIRETIME", key), do("GET", key), do("HGETALL", key), do("OBJECT", "ENCODING", key))
		}
	}
	return all
}

// TestRandomPipelinesAnswerAsRedis sends random pipelines, with transactions and changes of database
// in them, over two connections.
func TestRandomPipelinesAnswerAsRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	c := startCluster(t, 3)
	seeds, commandsMax := []uint64{1, 2, 3, 4}, 4000
	if testing.Short() {
		seeds = seeds[:2]
	}
	if *differentialSeed != 0 {
		seeds = []uint64{*differentialSeed}
	}
	for _, seed := range seeds {
		g := &generator{rnd: rand.New(rand.NewPCG(seed, 7))}
		for _, cmd := range command.NewTable().All() {
			g.add(cmd)
		}
		a, b := newBeside(t, c, redis, 2), newBeside(t, c, redis, 3)
		for sent := 0; sent < commandsMax; {
			p := g.pipeline()
			sent += len(p)
			who := a
			if g.rnd.IntN(2) == 0 {
				who = b
			}
			if difference := who.compare(p...); difference != "" {
				t.Fatalf("%s\nrepeat: go test ./integration -run RandomPipelines -seed %d", difference, seed)
			}
		}
		if difference := a.compareState(); difference != "" {
			t.Fatalf("%s\nrepeat: go test ./integration -run RandomPipelines -seed %d", difference, seed)
		}
		c.awaitLevel()
		noDivergence(t, c)
	}
}

// generator makes random commands from what the table says of their arguments.
type generator struct {
	rnd      *rand.Rand
	commands [][2]any // name and *command.Command
}

func (g *generator) add(c *command.Command) {
	for _, sub := range c.Sub {
		g.add(sub)
	}
	const wanted = command.Write | command.ReadOnly
	if len(c.Sub) == 0 && c.Flags&wanted != 0 && c.Flags&command.Internal == 0 && c.Run != nil && c.EntryArgs == 0 {
		g.commands = append(g.commands, [2]any{strings.Split(c.Name, "|"), c})
	}
}

func (g *generator) pick(from ...string) string { return from[g.rnd.IntN(len(from))] }

func (g *generator) pipeline() (p [][]string) {
	for range 1 + g.rnd.IntN(25) {
		switch g.rnd.IntN(20) {
		case 0:
			p = append(p, []string{"SELECT", g.pick("0", "0", "1", "15", "16", "x")})
		case 1:
			p = append(p, []string{"MULTI"})
			for range g.rnd.IntN(6) {
				p = append(p, g.command())
			}
			p = append(p, []string{g.pick("EXEC", "EXEC", "EXEC", "DISCARD")})
		case 2:
			p = append(p, []string{"WATCH", g.key()}, g.command(), []string{"MULTI"}, g.command(), []string{"EXEC"})
		case 3:
			p = append(p, []string{g.pick("PING", "ECHO", "NOSUCH", "GET", "EXEC", "DISCARD"), "x"})
		default:
			p = append(p, g.command())
		}
	}
	return p
}

func (g *generator) command() []string {
	for {
		x := g.commands[g.rnd.IntN(len(g.commands))]
		name, c := x[0].([]string), x[1].(*command.Command)
		if c.Flags&command.Write != 0 && c.Flags&command.Keyless != 0 && g.rnd.IntN(25) > 0 {
			continue // FLUSHALL and its like, rarely
		}
		args := append(slices.Clone(name), g.args(c.Args, name[0])...)
		if g.rnd.IntN(12) == 0 && len(args) > 1 {
			args = args[:len(args)-1]
		}
		return args
	}
}

func (g *generator) args(specs []command.Arg, name string) (out []string) {
	for _, a := range specs {
		if a.Optional && g.rnd.IntN(2) == 0 {
			continue
		}
		for i := range 1 + map[bool]int{true: g.rnd.IntN(3)}[a.Multiple] {
			if a.Token != "" && (i == 0 || a.MultipleToken) {
				out = append(out, a.Token)
			}
			switch a.Type {
			case "pure-token":
			case "oneof":
				one := a.Args[g.rnd.IntN(len(a.Args))]
				one.Optional = false
				out = append(out, g.args([]command.Arg{one}, name)...)
			case "block":
				out = append(out, g.args(a.Args, name)...)
			default:
				out = append(out, g.value(a))
			}
		}
	}
	return out
}

func (g *generator) key() string { return g.pick("a", "b", "c", "d", "e", "f", "g", "h") }

// value is one argument. Deadlines are far away or past, sizes small: neither time nor memory may
// make a difference.
func (g *generator) value(a command.Arg) string {
	switch {
	case a.Type == "key":
		return g.key()
	case a.Type == "pattern":
		return g.pick("*", "a*", "?", "[a-d]", "f[^0]", "x")
	case a.Type == "double":
		return g.pick("0.5", "-1.25", "3", "1e10", "abc", "inf")
	case a.Type == "unix-time", a.Name == "seconds", a.Name == "milliseconds":
		return g.pick("4000000000000", "5000000000000", "-1", "0", "9223372036854775807", "x")
	case a.Name == "cursor":
		return g.pick("0", "0", "0", "x")
	case a.Name == "type":
		return g.pick("string", "hash", "list")
	case a.Name == "field":
		return g.pick("f1", "f2", "f3", "f4", "")
	case a.Name == "destination-db", a.Name == "db", a.Name == "index1", a.Name == "index2":
		return g.pick("0", "1", "15", "16", "x")
	case a.Type == "integer":
		return g.pick("0", "1", "2", "-1", "-3", "7", "100", "9223372036854775807", "x")
	}
	return g.pick("", "a", "abc", "10", "-1", "3.5", "9223372036854775806", "\r\n\x00", strings.Repeat("v", 70), "inf")
}
