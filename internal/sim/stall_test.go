package sim

import (
	"testing"

	"brainer/internal/op"
)

// What a client may notice of one node's misfortune: the design's promise 4. Everything else is well:
// links of 0.2 ms with a rare one of 40, a record written in 3 ms.
func TestStallsAreShort(t *testing.T) {
	get := func(c *client) []string { return []string{"GET", c.stringKey()} }
	set := func(c *client) []string { return []string{"SET", c.stringKey(), c.value()} }
	for _, c := range []struct {
		name     string
		commands func(*client) []string
		fault    func(w *world, n *nodeHost)
		withinMs int64
	}{
		{"a node is killed, writes", set, func(_ *world, n *nodeHost) { n.crash() }, 150},
		{"a node is killed, reads", get, func(_ *world, n *nodeHost) { n.crash() }, 150},
		{"a node is stopped, writes", set, func(_ *world, n *nodeHost) { n.pause() }, 1300},
		{"a node is stopped, reads of keys without a pending write", get, func(_ *world, n *nodeHost) { n.pause() }, 400},
		{"a node is cut off, writes", set, func(_ *world, n *nodeHost) { n.cutUp, n.cutDown = true, true }, 1300},
		{"a node is cut off, reads of keys without a pending write", get, func(_ *world, n *nodeHost) { n.cutUp, n.cutDown = true, true }, 400},
		{"a node's work stands still, its heartbeats do not, writes", set, func(_ *world, n *nodeHost) { n.cutData = true }, 1300},
		{"a node says goodbye, writes", set, func(_ *world, n *nodeHost) { n.leave() }, 100},
		{"a node joins, writes", set, func(w *world, n *nodeHost) { w.nodes[3].start() }, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			longest := int64(0)
			for seed := uint64(1); seed <= 5; seed++ {
				var w *world
				r := Run(Options{Seed: seed, Table: table, inspect: func(x *world) { w = x }, Change: func(p *Plan) {
					d := drawPlan(newRand(0))
					p.Broker, p.Node = d.Broker, d.Node
					p.Broker.WindowBytesMax, p.Broker.MinInSync, p.Broker.TurnReadsMax, p.Broker.TurnBytesMax = 16<<20, 1, 4096, 1<<20
					p.Broker.WriteTimeoutMs, p.Broker.ReadTimeoutMs, p.Broker.WindowMs = 5000, 5000, 0
					p.Nodes, p.FirstNodes, p.Clients, p.Keys, p.Embedded, p.Loss = 4, 3, 5, 5, false, 0
					p.FrameBytesMax, p.LatencyUs, p.JitterUs, p.StoreUs, p.ThinkUs = 1<<20, 150, 50, 3000, 3000
					p.FaultsUs, p.OtherAcks, p.Ack, p.QuietAtEnd = 4_000_000, 0, op.AckAll, false
					p.commands = c.commands
					p.schedule = func(w *world) {
						w.after(1_000_000+w.between(0, 200_000), func() { c.fault(w, w.nodes[w.rng.IntN(3)]) })
					}
				}})
				if r.Err != nil {
					t.Fatalf("seed %d: %v", seed, r.Err)
				}
				for _, x := range w.history.all {
					if x.outcome != ok {
						t.Fatalf("seed %d: %s was answered %q", seed, text(x.o), x.reply)
					}
					longest = max(longest, x.respondedUs-x.invokedUs)
				}
			}
			t.Logf("longest %d ms", longest/1000)
			if longest > c.withinMs*1000 {
				t.Errorf("%d ms, promised are %d", longest/1000, c.withinMs)
			}
		})
	}
}
