package command

import (
	"fmt"
	"strings"
	"testing"

	"brainer/internal/keyspace"
	"brainer/internal/redistest"
)

// TestEveryCommandAnswersAnyCallAsRedis calls every command with no argument, one, two ... up to two
// more than it takes, on every type of key.
func TestEveryCommandAnswersAnyCallAsRedis(t *testing.T) {
	pair := newPair(t, redistest.Start(t), 2)
	for _, c := range runnable(pair.node.table) {
		for _, key := range []string{"string", "hash", "nosuch"} {
			for extra := range max(c.Arity, -c.Arity) + 3 {
				for _, setup := range [][]string{{"FLUSHALL"}, {"SET", "string", "v"}, {"HSET", "hash", "f", "v"}} {
					pair.compare(setup)
				}
				args := strings.Split(c.Name, "|")
				for i := range extra {
					args = append(args, []string{key, "0", "1"}[i%3])
				}
				if difference := pair.compare(args); difference != "" {
					t.Error(difference)
				}
			}
		}
	}
}

func runnable(table *Table) (out []*Command) {
	for _, c := range table.All() {
		for _, c := range append([]*Command{c}, c.Sub...) {
			if c.Run != nil && c.EntryArgs == 0 {
				out = append(out, c)
			}
		}
	}
	return out
}

func TestEveryDataCommandRunsOnANode(t *testing.T) {
	for _, c := range NewTable().All() {
		for _, c := range append([]*Command{c}, c.Sub...) {
			if c.Flags&Server == 0 && c.Run == nil && len(c.Sub) == 0 {
				t.Errorf("%s has no function", c.Name)
			}
			if c.Flags&(Write|ReadOnly) != 0 && c.Flags&Keyless == 0 && len(c.KeySpecs) == 0 {
				t.Errorf("%s reads or writes, but names no key and is not keyless", c.Name)
			}
		}
	}
}

// TestWritesThatChangeNothingDirtyNothing: a WATCH must not fail for them.
func TestWritesThatChangeNothingDirtyNothing(t *testing.T) {
	n := newTestNode(2)
	var dirtied []string
	n.ctx.KS.SetHooks(keyspace.Hooks{
		Changed: func(db int, key []byte) { dirtied = append(dirtied, fmt.Sprintf("%d:%s", db, key)) },
		Flushed: func(db int) { dirtied = append(dirtied, fmt.Sprintf("flush %d", db)) },
		Swapped: func(a, b int) { dirtied = append(dirtied, fmt.Sprintf("swap %d %d", a, b)) },
	})
	for _, command := range []string{
		"SET s v", "HSET h f v", "SET n 1", "SET t v EX 100",
	} {
		n.do(strings.Fields(command)...)
	}
	for _, command := range []string{
		"SET s w NX", "SET x w XX", "SET s w NX GET", "SET s w EX 0", "SET h w GET", "SETNX s w", "MSETNX x 1 s 2",
		"GETEX s", "GETEX s PERSIST", "GETDEL x", "GETDEL h", "SETRANGE x 5", "INCR s", "INCRBYFLOAT s 1",
		"DEL x", "UNLINK x", "EXPIRE x 100", "EXPIRE s 100 XX", "EXPIRE t 100000 LT", "PERSIST s", "PERSIST x",
		"RENAME s s", "RENAME x y", "RENAMENX s h", "COPY x y", "COPY s h", "MOVE x 1", "MOVE s 0",
		"HDEL h x", "HDEL x f", "HSETNX h f w", "HINCRBY h f 1", "HINCRBY s f 1", "HSET s f v", "SWAPDB 1 1", "APPEND h x",
	} {
		args := strings.Fields(command)
		if args[0] == "SETRANGE" {
			args = append(args, "")
		}
		dirtied = nil
		if reply := n.do(args...); dirtied != nil {
			t.Errorf("%s answered %q and dirtied %v", command, reply, dirtied)
		}
	}
}

func TestPanicIsTheSameErrorEverywhere(t *testing.T) {
	n := newTestNode(2)
	row := n.table.Lookup([]byte("get"))
	row.Run = func(c *Ctx) {
		c.W.Array(3)
		panic("planted")
	}
	if got := string(n.do("GET", "k")); got != "-"+ErrInternal+"\r\n" {
		t.Errorf("reply %q", got)
	}
	if got := string(n.txn(t, []string{"PING"}, []string{"GET", "k"}, []string{"PING"})); got != "*3\r\n+PONG\r\n-"+ErrInternal+"\r\n+PONG\r\n" {
		t.Errorf("transaction: %q", got)
	}
	if len(n.ctx.Faults) != 2 || n.ctx.Faults[0].Command != "get" || n.ctx.Faults[0].Value != "planted" {
		t.Errorf("faults: %v", n.ctx.Faults)
	}
}

func TestTransactionThatIsNotCanonicalIsRefusedWhole(t *testing.T) {
	n := newTestNode(2)
	body := appendCommand(nil, []string{"SET", "k", "v"})
	for cut := 1; cut < len(body); cut++ {
		n.ctx.W.B = n.ctx.W.B[:0]
		if err := RunTxn(&n.ctx, n.table, append(body[:len(body):len(body)], body[:cut]...)); err == nil {
			t.Fatalf("cut at %d: no error", cut)
		}
	}
	if n.ctx.KS.Len(0, n.now()) != 0 {
		t.Error("part of it was executed")
	}
}

func TestLimitsOfStringsAndReplies(t *testing.T) {
	n := newTestNode(2)
	n.ctx.stringMax, n.ctx.replyMax = 10, 40
	long := strings.Repeat("x", 10)
	for _, test := range []struct {
		command, reply string
	}{
		{"SET k " + long, "+OK"},
		{"APPEND k y", "-" + ErrStringTooLong},
		{"SETRANGE k 9 ab", "-" + ErrStringTooLong},
		{"SETRANGE k 9 y", ":10"},
		{"APPEND new " + long + "y", ":11"}, // as in Redis, what arrived in one piece is not too long
		{"MGET k k k k", "-" + ErrReplyTooLarge},
		{"HSET h " + long + " " + long, ":1"},
		{"HMGET h " + long + " " + long + " " + long, "-" + ErrReplyTooLarge},
		{"HRANDFIELD h -3", "-" + ErrReplyTooLarge},
		{"HRANDFIELD h -1", "*1\r\n$10\r\n" + long},
	} {
		if got := string(n.do(strings.Fields(test.command)...)); got != test.reply+"\r\n" {
			t.Errorf("%s: %q, want %q", test.command, got, test.reply)
		}
	}
	got := string(n.txn(t, []string{"GET", "k"}, []string{"GET", "k"}, []string{"GET", "k"}, []string{"INCR", "n"}))
	if got != "-"+ErrTxnReplyTooLarge+"\r\n" {
		t.Errorf("transaction: %q", got)
	}
	if got := string(n.do("GET", "n")); got != "$1\r\n1\r\n" {
		t.Errorf("the end of the transaction did not run: %q", got)
	}
}

func TestKeyspaceLinesAreInfos(t *testing.T) {
	n := newTestNode(2)
	n.do("SET", "a", "1")
	n.do("SELECT", "2")
	n.now = func() int64 { return scriptStartMs }
	n.do("SET", "b", "1", "EX", "100")
	reply := redistest.Parse(n.do("_keyspace")).Text
	want := fmt.Sprintf("used_memory:%d\r\ndb0:keys=1,expires=0,avg_ttl=0\r\ndb2:keys=1,expires=1,avg_ttl=100000\r\n", n.ctx.KS.UsedBytes())
	if reply != want {
		t.Errorf("%q, want %q", reply, want)
	}
}

func TestHotCommandsDoNotAllocate(t *testing.T) {
	n := newTestNode(2)
	n.do("SET", "k", "value")
	n.do("SET", "n", "100000")
	n.do("HSET", "h", "f", "v")
	for _, command := range []string{"GET k", "STRLEN k", "EXISTS k", "TTL k", "HGET h f", "TYPE k", "GET nosuch"} {
		var raw [][]byte
		for _, arg := range strings.Fields(command) {
			raw = append(raw, []byte(arg))
		}
		n.ctx.Args = raw
		allocs := testing.AllocsPerRun(100, func() {
			n.ctx.W.B = n.ctx.W.B[:0]
			Execute(&n.ctx, n.table)
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations", command, allocs)
		}
	}
}

func BenchmarkExecute(b *testing.B) {
	for _, command := range []string{"GET k", "SET k value", "INCR n", "HGET h f"} {
		b.Run(command, func(b *testing.B) {
			n := newTestNode(2)
			n.do("SET", "k", "value")
			n.do("HSET", "h", "f", "v")
			var raw [][]byte
			for _, arg := range strings.Fields(command) {
				raw = append(raw, []byte(arg))
			}
			n.ctx.Args = raw
			b.ReportAllocs()
			for b.Loop() {
				n.ctx.W.B = n.ctx.W.B[:0]
				Execute(&n.ctx, n.table)
			}
		})
	}
}
