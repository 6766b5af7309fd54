package command

import (
	"testing"
	"time"

	"brainer/internal/keyspace"
	"brainer/resp"
)

// testNode runs commands on a keyspace, as one connection to a node would.
type testNode struct {
	ctx   Ctx
	table *Table
	now   func() int64
}

func newTestNode(proto int) *testNode {
	return &testNode{
		ctx:   Ctx{KS: keyspace.New(), W: &resp.Writer{Proto: proto}, Seed: 1},
		table: NewTable(),
		now:   func() int64 { return time.Now().UnixMilli() },
	}
}

// do runs one command and returns its reply, which is valid until the next.
func (n *testNode) do(args ...string) []byte {
	n.ctx.Args = n.ctx.Args[:0]
	for _, arg := range args {
		n.ctx.Args = append(n.ctx.Args, []byte(arg))
	}
	n.ctx.NowMs = n.now()
	n.ctx.Seed++
	n.ctx.W.B = n.ctx.W.B[:0]
	Execute(&n.ctx, n.table)
	return n.ctx.W.B
}

// txn runs commands as one transaction.
func (n *testNode) txn(t testing.TB, commands ...[]string) []byte {
	t.Helper()
	var body []byte
	for _, args := range commands {
		body = appendCommand(body, args)
	}
	n.ctx.NowMs = n.now()
	n.ctx.Seed++
	n.ctx.W.B = n.ctx.W.B[:0]
	if err := RunTxn(&n.ctx, n.table, body); err != nil {
		t.Fatalf("RunTxn(%q): %v", commands, err)
	}
	return n.ctx.W.B
}

func appendCommand(to []byte, args []string) []byte {
	raw := make([][]byte, len(args))
	for i, arg := range args {
		raw[i] = []byte(arg)
	}
	return resp.AppendCommand(to, raw...)
}
