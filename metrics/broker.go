package metrics

import (
	"maps"
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

	// Refusals visits what was refused at the ZeroMQ endpoint, by reason; nil: nothing is.
	Refusals func(visit func(reason string, n uint64))

	// Saving tells of the snapshots that the broker keeps; nil: it keeps none.
	Saving func() op.Saving

	// Disk is that of the node in the same process; nil: there is none.
	Disk func() *Disk

	reasons []string
}

// NewBroker knows the commands by the names of the command table; any other is counted as unknown.
// evictionReasons are why a node may leave the in-sync set: each has a series from the start, so that
// the first time is seen as an increase.
func NewBroker(commands []string, evictionReasons ...string) *Broker {
	return &Broker{Commands: newCommands(commands), Writes: &Writes{}, NodeAcks: &NodeAcks{of: map[string]*Histogram{}},
		reasons: evictionReasons}
}

// FrontEnd is what the front end knows about itself at one moment; totals count from the start.
type FrontEnd struct {
	Connected                        int
	Connections, RejectedConnections uint64
	ClosedForOutput                  uint64 // clients that did not read
	InputBytes, OutputBytes          uint64
	Panics                           uint64
	AuthFailures, AuthLimited        uint64 // wrong passwords; passwords that were not looked at
	TLSFailures                      uint64 // handshakes
	PubSubChannels, PubSubPatterns   int
}

// Handler is the broker's /metrics. status and frontEnd are called once per scrape, from any goroutine.
func (b *Broker) Handler(build Build, status func() op.Status, frontEnd func() FrontEnd) http.Handler {
	known := func() *op.Status {
		s := status()
		b.NodeAcks.show(s.Nodes)
		s.NodesEvicted = b.evictions(s.NodesEvicted)
		return &s
	}
	return handler(
		inOrder{newCollector(statusRows, known), newCollector(workRows, func() *Broker { return b })},
		newCollector(frontEndRows, func() *FrontEnd { f := frontEnd(); return &f }),
		newCollector(savingRows, b.saving),
		newCollector(diskRows, b.disk),
		newCollector(buildRows, func() Build { return build }))
}

func (b *Broker) saving() *op.Saving {
	s := op.Saving{}
	if b.Saving != nil {
		s = b.Saving()
	}
	return &s
}

func (b *Broker) disk() *Disk {
	if b.Disk == nil {
		return nil
	}
	return b.Disk()
}

func (b *Broker) evictions(happened map[string]uint64) map[string]uint64 {
	all := make(map[string]uint64, len(b.reasons))
	for _, reason := range b.reasons {
		all[reason] = 0
	}
	maps.Copy(all, happened)
	return all
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
	mu    sync.Mutex
	of    map[string]*Histogram
	shown []string // the nodes that the last status listed; what was forgotten has no series
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

func (a *NodeAcks) show(nodes []op.NodeStatus) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shown = a.shown[:0]
	for i := range nodes {
		a.shown = append(a.shown, nodes[i].ID)
	}
}

func (a *NodeAcks) each(visit func(node string, h *Histogram)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, node := range a.shown {
		if h := a.of[node]; h != nil {
			visit(node, h)
		}
	}
}

// Build says what is running.
type Build struct{ Version, Revision string }
