package metrics

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"brainer/internal/op"
)

// Broker is what a broker counts as it works. Its parts are for the goroutines that do the work:
// each resolves its children once (Commands.For, Writes.For, NodeAcks.For) and keeps them.
type Broker struct {
	Commands *Commands
	Writes   *Writes
	NodeAcks *NodeAcks
}

// NewBroker knows the commands by the names of the command table; any other is counted as "unknown".
func NewBroker(commands []string) *Broker {
	return &Broker{Commands: newCommands(commands), Writes: &Writes{}, NodeAcks: &NodeAcks{of: map[string]*Histogram{}}}
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
	return handler(
		newCollector(statusRows, func() *op.Status { s := status(); return &s }),
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

// For returns the counters of the command; the caller keeps them.
func (c *Commands) For(name string) *Command {
	if m := c.of[name]; m != nil {
		return m
	}
	return c.of[UnknownCommand]
}

// each visits the commands that were called, by name.
func (c *Commands) each(visit func(name string, c *Command)) {
	for _, name := range sortedKeys(c.of) {
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

// Observe counts ok successes and failed errors that took d each, as the commands of one pipeline do.
func (c *Command) Observe(ok, failed int, d time.Duration) {
	if ok > 0 {
		c.ok.Add(uint64(ok))
	}
	if failed > 0 {
		c.failed.Add(uint64(failed))
	}
	c.durations.Observe(d, ok+failed)
}

// Writes measures acknowledgements by the rule that they waited for.
type Writes struct{ all, primary, number Histogram }

// For returns the histogram of the rule. Numbers share one, so that clients cannot make up series.
func (w *Writes) For(ack op.Ack) *Histogram {
	switch ack {
	case op.AckPrimary:
		return &w.primary
	case op.AckAll, op.AckDefault:
		return &w.all
	}
	return &w.number
}

// NodeAcks measures how fast each node acknowledges.
type NodeAcks struct {
	mu sync.Mutex
	of map[string]*Histogram
}

// For returns the histogram of the node; the caller keeps it.
func (a *NodeAcks) For(node string) *Histogram {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.of[node]
	if h == nil {
		h = &Histogram{}
		a.of[node] = h
	}
	return h
}

// Forget drops the series of a node that the operator has forgotten.
func (a *NodeAcks) Forget(node string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.of, node)
}

func (a *NodeAcks) each(visit func(node string, h *Histogram)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, node := range sortedKeys(a.of) {
		visit(node, a.of[node])
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Build says what is running.
type Build struct{ Version, Revision string }
