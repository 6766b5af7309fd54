package command

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"brainer/internal/keyspace"
	"brainer/resp"
)

// FuzzExecute feeds the same commands to two keyspaces: nothing panics, and replies, digests and what
// the hooks heard are equal. The input is commands, each ended by \x1e, of arguments separated by \x1f; the
// seeds are what the generator makes.
func FuzzExecute(f *testing.F) {
	table := NewTable()
	g := &generator{rnd: rand.New(rand.NewPCG(1, 1)), table: table}
	for range 200 {
		var input []byte
		for range 4 {
			input = append(input, strings.Join(g.command(), "\x1f")+"\x1e"...)
		}
		f.Add(input, uint64(1), byte(2))
	}
	f.Fuzz(func(t *testing.T, input []byte, seed uint64, proto byte) {
		a, b := newFuzzNode(table, seed, proto), newFuzzNode(table, seed, proto)
		for command := range bytes.SplitSeq(input, []byte{0x1e}) {
			args := bytes.Split(command, []byte{0x1f})
			if isLarge(args) {
				continue
			}
			a.run(t, args)
			b.run(t, args)
			if !bytes.Equal(a.ctx.W.B, b.ctx.W.B) {
				t.Fatalf("%q\n one   %q\n other %q", args, a.ctx.W.B, b.ctx.W.B)
			}
			if one, other := a.ctx.KS.StateDigest(a.ctx.NowMs), b.ctx.KS.StateDigest(b.ctx.NowMs); one != other {
				t.Fatalf("%q: digests %x and %x", args, one, other)
			}
			if a.changes != b.changes || a.ctx.KS.ChangeHash() != b.ctx.KS.ChangeHash() {
				t.Fatalf("%q: %d and %d changes", args, a.changes, b.changes)
			}
		}
	})
}

// isLarge says whether a command may make hundreds of megabytes, as it is allowed to.
func isLarge(args [][]byte) bool {
	if len(args) < 3 || !equalFold(args[0], "setrange") && !equalFold(args[0], "hrandfield") {
		return false
	}
	n, _ := parseInt(args[2])
	return n > 1_000_000 || n < -1000
}

type fuzzNode struct {
	ctx     Ctx
	table   *Table
	changes int
}

func newFuzzNode(table *Table, seed uint64, proto byte) *fuzzNode {
	n := &fuzzNode{
		ctx:   Ctx{KS: keyspace.New(), W: &resp.Writer{Proto: 2 + int(proto%2)}, Seed: seed, NowMs: scriptStartMs},
		table: table,
	}
	n.ctx.KS.SetHooks(keyspace.Hooks{Changed: func(int, []byte) { n.changes++ }})
	return n
}

func (n *fuzzNode) run(t *testing.T, args [][]byte) {
	n.ctx.Args = args
	n.ctx.NowMs += 7
	n.ctx.Seed++
	n.ctx.W.B = n.ctx.W.B[:0]
	changes, digest := n.changes, n.ctx.KS.StateDigest(n.ctx.NowMs)
	cmd := Execute(&n.ctx, n.table)
	if len(n.ctx.Faults) > 0 {
		t.Fatalf("%q: panic: %v\n%s", args, n.ctx.Faults[0].Value, n.ctx.Faults[0].Stack)
	}
	if cmd != nil && cmd.Name == "_reply" {
		return
	}
	reply, err := resp.Slice(n.ctx.W.B)
	if err != nil || reply != len(n.ctx.W.B) {
		t.Fatalf("%q: not one reply: %q (%v)", args, n.ctx.W.B, err)
	}
	if cmd == nil || cmd.Flags&Write == 0 {
		if n.changes != changes || n.ctx.KS.StateDigest(n.ctx.NowMs) != digest {
			t.Fatalf("%q: a read changed the keyspace", args)
		}
	}
	if n.ctx.W.B[0] == '-' && n.changes != changes {
		t.Fatalf("%q: answered %q and changed the keyspace", args, n.ctx.W.B)
	}
}
