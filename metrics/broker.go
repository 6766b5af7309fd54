package metrics

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"brainer/internal/op"
)

// Broker is what a broker counts as it works.
type Broker struct {
	Commands *Commands

	reasons []string
	writes  struct{ all, primary, number Histogram } // by the rule that the write waited for

	mu       sync.Mutex
	nodeAcks map[string]*Histogram
}

// NewBroker knows the commands by the names of the command table; any other is counted as unknown.
// evictionReasons are why a node may leave the in-sync set: each has a series from the start, so that
// the first time is seen as an increase.
func NewBroker(commands, evictionReasons []string) *Broker {
	return &Broker{Commands: newCommands(commands), reasons: evictionReasons, nodeAcks: map[string]*Histogram{}}
}

// WriteAcked counts a write that was acknowledged under the rule. All numbers are counted as one
// rule, so that clients cannot make up series.
func (b *Broker) WriteAcked(ack op.Ack, seconds float64) {
	h := &b.writes.number
	switch ack {
	case op.AckAll, op.AckDefault:
		h = &b.writes.all
	case op.AckPrimary:
		h = &b.writes.primary
	}
	h.Observe(seconds, 1)
}

// NodeAcked counts a batch that the node has acknowledged.
func (b *Broker) NodeAcked(node string, seconds float64) {
	b.mu.Lock()
	h := b.nodeAcks[node]
	if h == nil {
		h = &Histogram{}
		b.nodeAcks[node] = h
	}
	b.mu.Unlock()
	h.Observe(seconds, 1)
}

func (b *Broker) eachNode(visit func(node string, h *Histogram)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, node := range slices.Sorted(maps.Keys(b.nodeAcks)) {
		visit(node, b.nodeAcks[node])
	}
}

// keepNodes drops what was counted for nodes that the status no longer lists: they were forgotten.
func (b *Broker) keepNodes(s *op.Status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for node := range b.nodeAcks {
		if !slices.ContainsFunc(s.Nodes, func(n op.NodeStatus) bool { return n.ID == node }) {
			delete(b.nodeAcks, node)
		}
	}
}

func (b *Broker) evictions(happened map[string]uint64) map[string]uint64 {
	all := make(map[string]uint64, len(b.reasons))
	for _, reason := range b.reasons {
		all[reason] = 0
	}
	maps.Copy(all, happened)
	return all
}

// FrontEnd is what the front end knows about itself at one moment; totals count from the start.
type FrontEnd struct {
	Connected                        int
	Connections, RejectedConnections uint64
	ClosedForOutput                  uint64 // clients that did not read
	InputBytes, OutputBytes          uint64
	Panics                           uint64
	PubSubChannels, PubSubPatterns   int
}

// Handler is the broker's /metrics. status and frontEnd are called once per scrape, from any goroutine.
func (b *Broker) Handler(build Build, status func() op.Status, frontEnd func() FrontEnd) http.Handler {
	known := func() *op.Status {
		s := status()
		b.keepNodes(&s)
		s.NodesEvicted = b.evictions(s.NodesEvicted)
		return &s
	}
	return handler(
		newCollector(statusRows, known),
		newCollector(workRows, func() *Broker { return b }),
		newCollector(frontEndRows, func() *FrontEnd { f := frontEnd(); return &f }),
		newCollector(buildRows, func() Build { return build }))
}

// UnknownCommand is the label of a command that is not in the table, so that what clients make up
// does not become a series.
const UnknownCommand = "unknown"

// Commands counts the commands that were answered.
type Commands struct{ of map[string]*Command } // not changed after newCommands

func newCommands(names []string) *Commands {
	c := &Commands{of: map[string]*Command{UnknownCommand: {}}}
	for _, n := range names {
		c.of[n] = &Command{}
	}
	return c
}

// For returns the counters of the command; the caller may keep them.
func (c *Commands) For(name string) *Command {
	if m := c.of[name]; m != nil {
		return m
	}
	return c.of[UnknownCommand]
}

// each visits the commands that were called, by name.
func (c *Commands) each(visit func(name string, c *Command)) {
	for _, name := range slices.Sorted(maps.Keys(c.of)) {
		if m := c.of[name]; m.ok.Load()+m.failed.Load() > 0 {
			visit(name, m)
		}
	}
}

// Command counts the calls of one command.
type Command struct {
	ok, failed atomic.Uint64
	durations  Histogram
}

// Observe counts ok successes and failed errors that took that long each, as the commands of one
// pipeline do.
func (c *Command) Observe(ok, failed int, seconds float64) {
	if ok > 0 {
		c.ok.Add(uint64(ok))
	}
	if failed > 0 {
		c.failed.Add(uint64(failed))
	}
	c.durations.Observe(seconds, ok+failed)
}

// Build says what is running.
type Build struct{ Version, Revision string }
