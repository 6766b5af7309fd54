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
