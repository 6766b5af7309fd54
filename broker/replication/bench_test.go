package replication

import (
	"testing"

	"brainer/internal/op"
)

// BenchmarkAdvance is what an acknowledgement costs while very many writes wait for two of three nodes.
func BenchmarkAdvance(b *testing.B) {
	cfg := DefaultConfig()
	cfg.Rand = func() uint64 { return 1 }
	c := New(cfg, View{}, 1)
	const waiting = 100_000
	c.resetOrder(0)
	for i := range uint16(3) {
		c.nodes = append(c.nodes, &node{number: i + 1, member: true, state: stateLive})
	}
	for range waiting {
		c.tail++
		r := c.pending.push(100)
		r.op, r.ack, r.replied = &op.Op{}, 2, true
		c.ackN++
	}
	for b.Loop() {
		if c.nodes[0].match++; c.nodes[0].match > waiting {
			c.nodes[0].match = 1
		}
		c.advance()
	}
}
