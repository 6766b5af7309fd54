package sim

import (
	"brainer/internal/command"
	"brainer/internal/op"
	"brainer/internal/wire"
)

// maybeEviction takes an entry that nobody submitted, if it is an eviction: a write to the keys that it removes.
func (c *checker) maybeEviction(at place, e *wire.Entry) bool {
	if c.w.plan.Broker.Memory.LimitBytes == 0 || e.Kind != wire.EntryCommand {
		return false
	}
	args, rest, err := command.SplitCommand(e.Body, nil)
	if err != nil || len(rest) > 0 || len(args) < 2 || string(args[0]) != "UNLINK" {
		return false
	}
	o := &op.Op{Index: at.Index}
	for _, key := range args[1:] {
		o.Keys = append(o.Keys, command.KeyHash(int(e.DB), key))
	}
	c.written(o)
	c.w.stats.Evictions++
	return true
}

// mayBeFull: a write may be refused although nothing is wrong. The outcomes that are kept for retries are never evicted.
func (p *Plan) mayBeFull() bool {
	m := p.Broker.Memory
	return m.LimitBytes > 0 && (m.Policy.Volatile() || m.Policy == 0 || p.IDs || p.Versions)
}

// keepsLimit: what is counted passes the limit by one write at most, whatever comes at once. Nodes of the version before do not
// say what they take, and the outcomes that are kept for retries are bounded by their number.
func (c *checker) keepsLimit(n *nodeHost, p wire.Position) {
	limit := c.w.plan.Broker.Memory.LimitBytes
	if limit == 0 || c.w.plan.IDs || c.w.plan.Versions {
		return
	}
	if takes := n.replica.MemoryBytes(); takes > limit+c.longest {
		c.w.failf("%s takes %d bytes at %v, the limit is %d and the longest entry has %d", n.id, takes, p, limit, c.longest)
	}
}
