package sim

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"

	"brainer/broker/replication"
	"brainer/internal/op"
	"brainer/internal/wire"
)

// outcome is what became of an operation.
type outcome uint8

const (
	open    outcome = iota
	ok              // it has its reply
	refused         // surely not executed
	unknown         // perhaps executed
)

// operation is one request of a client and its answer.
type operation struct {
	o           *op.Op
	client      *client
	invoked     uint64 // place in what all clients saw
	responded   uint64
	invokedUs   int64 // by the world's clock
	respondedUs int64
	invokedMs   int64 // by the broker's
	respondedMs int64
	outcome     outcome
	reply       []byte
	epoch       uint64 // that it was ordered or answered in
	cluster     uint64 // history when it was answered
	tail        uint64 // when it was answered
	chosen      bool   // a read: its point in the order is found
	low         uint64 // a read: the order up to here was acknowledged before
}

// history keeps what the clients saw, and checks it against the order that the nodes agreed on: the
// order is executed once more by a replica of its own, and every reply must be the one that came out
// at the write's index, or for a read at some index between what was acknowledged before it was
// asked and what was ordered before it was answered. Reads that do not overlap never go back.
type history struct {
	w        *world
	all      []*operation
	byOp     map[*op.Op]*operation
	byIndex  map[wire.Position]*operation // in the epoch that ordered them
	clusters []*lineage
	seen     uint64
	indexed  map[uint64][]*operation // of history cluster
	cluster  uint64
}

// lineage is one history, from an empty keyspace on.
type lineage struct {
	id   uint64
	view replication.View // the last durable one
	cuts []cut
}

// cut: what was answered up to then, and depends on what is behind index, may be lost.
type cut struct {
	seen  uint64
	index uint64
}

// lost: the copies went on from index, without what was behind it.
func (h *history) lost(cluster, index uint64) {
	h.seen++
	for _, l := range h.clusters {
		if l.id == cluster {
			l.cuts = append(l.cuts, cut{h.seen, index})
		}
	}
}

// mayBeLost: x was answered before a cut, and saw or is something behind it.
func (l *lineage) mayBeLost(x *operation) bool {
	for _, c := range l.cuts {
		if x.responded < c.seen && (x.o.Kind == op.Read && x.tail > c.index || x.o.Kind != op.Read && x.o.Index > c.index) {
			return true
		}
	}
	return false
}

func (h *history) init(w *world) {
	*h = history{w: w, byOp: map[*op.Op]*operation{}, byIndex: map[wire.Position]*operation{}}
}

func (h *history) viewDurable(v replication.View) {
	if v.ClusterID == 0 || len(v.History) == 0 {
		return
	}
	for _, l := range h.clusters {
		if l.id == v.ClusterID {
			if len(v.History) > len(l.view.History) {
				h.w.stats.Eras++
			}
			l.view = v
			return
		}
	}
	h.clusters = append(h.clusters, &lineage{id: v.ClusterID, view: v})
	h.w.stats.Eras++
	h.byIndex = map[wire.Position]*operation{} // a new history may begin in the same epoch
	for _, c := range h.w.clients {
		c.ordered = nil
	}
	h.w.check.writes = map[uint64][]uint64{}
}

func (h *history) submit(c *client, o *op.Op) {
	h.seen++
	x := &operation{o: o, client: c, invoked: h.seen, invokedUs: h.w.nowUs, invokedMs: h.w.broker.clockUs() / 1000}
	h.all = append(h.all, x)
	h.byOp[o] = x
	h.w.stats.Ops++
	if h.w.tracing() {
		h.w.tracef("client %d: %s", c.index, text(o))
	}
}

func text(o *op.Op) string {
	if o.Kind == op.Barrier {
		return fmt.Sprintf("WAIT index=%d copies=%d", o.Index, o.Copies)
	}
	return strings.ReplaceAll(string(o.Body), "\r\n", " ")
}

// ordered is told what the core has made of an operation that was submitted.
func (h *history) ordered(o *op.Op) {
	x := h.byOp[o]
	if o.Kind == op.Read || o.Kind == op.Barrier || o.Index == 0 {
		return
	}
	epoch, _, _, _ := h.w.broker.core.Indexes()
	x.epoch = epoch
	if c := x.client; c != nil && h.w.plan.Broker.Memory.LimitBytes == 0 { // at a limit a pipeline waits as a batch, which there is none of here
		c.checkPipeline(x)
	}
	h.byIndex[wire.Position{Era: epoch, Index: o.Index}] = x
	h.w.check.written(o)
}

func (h *history) at(era, index uint64) *operation {
	return h.byIndex[wire.Position{Era: era, Index: index}]
}

// The errors that mean that nothing was ordered, and the one that leaves it open.
var definite = []string{"-LOADING ", "-CLUSTERDOWN ", "-NOREPLICAS ", "-TRYAGAIN ", "-OOM ", "-EXECABORT "}

// answered takes an answer; it returns nil when nobody waits for it.
func (h *history) answered(o *op.Op) *operation {
	w := h.w
	x := h.byOp[o]
	if x == nil {
		w.failf("6: an answer to nobody")
		return nil
	}
	if x.outcome != open {
		w.failf("6: answered twice: %s", text(o))
		return nil
	}
	h.seen++
	x.respondedUs = w.nowUs
	x.responded, x.respondedMs = h.seen, max(w.broker.clockUs()/1000, w.check.lastMs)
	x.reply = bytes.Clone(o.Reply)
	x.cluster = w.broker.view.ClusterID
	epoch, tail, _, _ := w.broker.core.Indexes()
	x.tail = tail
	if x.epoch == 0 {
		x.epoch = epoch
	}
	isDefinite := slices.ContainsFunc(definite, func(p string) bool { return bytes.HasPrefix(o.Reply, []byte(p)) })
	switch {
	case isDefinite:
		x.outcome = refused
		w.stats.Refused++
		if o.Kind != op.Read && o.Kind != op.Barrier && o.Index != 0 {
			w.failf("6: %s was answered %q and has index %d", text(o), x.reply, o.Index)
		}
	case bytes.HasPrefix(o.Reply, []byte("-UNCERTAIN ")), bytes.HasPrefix(o.Reply, []byte("-ERR the read did not get an answer")):
		x.outcome = unknown
		w.stats.Unknown++
	default:
		x.outcome = ok
		w.stats.OK++
		if o.Kind == op.Read {
			w.stats.Reads++
		} else {
			w.stats.Writes++
		}
	}
	narrow := w.plan.Broker.WindowBytesMax < 16<<10 && bytes.HasPrefix(o.Reply, []byte("-TRYAGAIN"))
	full := w.plan.mayBeFull() && o.DenyOOM && x.outcome == refused
	if w.check.calm && x.outcome != ok && !narrow && !full && !(o.Kind != op.Read && bytes.HasPrefix(o.Reply, []byte("-NOREPLICAS")) && h.fewNodes(o)) {
		w.failf("9: after healing, %s was answered %q", text(o), x.reply)
	}
	w.mark('r', uint64(len(x.reply)), uint64(x.outcome), x.invoked)
	if w.tracing() {
		w.tracef("client %d: %q to %s", x.client.index, x.reply, text(o))
	}
	if o.Index > 0 && o.Kind != op.Barrier {
		x.client.last = max(x.client.last, o.Index)
	}
	if len(o.Client) > 0 && x.outcome == ok {
		x.client.ids.answered(o.Number)
	}
	x.client.answered()
	return x
}

// fewNodes: fewer nodes are alive than the write asks for.
func (h *history) fewNodes(o *op.Op) bool {
	alive := 0
	for _, n := range h.w.nodes {
		if n.alive {
			alive++
		}
	}
	return alive < h.w.plan.Broker.MinInSync || alive < int(o.Ack)
}

// open counts the requests without an answer that still may get one.
func (h *history) open() int {
	k := 0
	for _, c := range h.w.clients {
		k += c.inFlight
	}
	return k
}

// verify checks every history.
func (h *history) verify() {
	for _, l := range h.clusters {
		if h.w.err == nil {
			h.verifyLineage(l)
		}
	}
}

// verifyLineage executes the order of one history again and looks for every answer in it.
func (h *history) verifyLineage(l *lineage) {
	w := h.w
	eraOf := func(index uint64) uint64 {
		era := uint64(0)
		for _, e := range l.view.History {
			if e.Start <= index {
				era = e.Era
			}
		}
		return era
	}
	entry := func(index uint64) []byte {
		return w.check.entries[place{l.id, wire.Position{Era: eraOf(index), Index: index}}]
	}
	end := uint64(0)
	for entry(end+1) != nil {
		end++
	}
	events, reads := h.answeredIn(l, end, eraOf)
	if w.err != nil {
		return
	}
	h.bounds(events, reads, end, l)
	o := newOracle(w)
	o.begin(l.id)
	ids := idModel{}
	next := 0
	snapshots := w.reader.of(l, end, eraOf)
	var active []*operation
	for index := uint64(0); ; index++ {
		if index > 0 {
			at := wire.Position{Era: eraOf(index), Index: index}
			reply := ids.follow(o, at, entry(index))
			if w.err != nil {
				return
			}
			if want, known := w.check.digests[place{l.id, at}]; known && want != o.digest() {
				w.failf("2: executed again, the order gives another state at %v than the nodes had", at)
				return
			}
			if x := h.inLineage(l, at); x != nil && x.outcome == ok && !bytes.Equal(x.reply, reply) {
				w.failf("6: %s was answered %q, its entry %v gives %q", text(x.o), x.reply, at, reply)
				return
			}
		}
		for i := range snapshots[index] {
			snapshots[index][i].verify(o, l)
		}
		for next < len(reads) && reads[next].low <= index {
			active = append(active, reads[next])
			next++
		}
		active = h.place(o, active)
		for _, x := range active {
			if x.tail <= index {
				w.failf("read (linearizability): %s was answered %q, which is no state between index %d and %d", text(x.o), x.reply, x.low, x.tail)
				return
			}
		}
		if index == end {
			break
		}
	}
	if next < len(reads) || len(active) > 0 {
		w.failf("read (linearizability): reads show more than the order has")
	}
}

// answeredIn returns the operations of one history that were answered, and the reads of them. A write among them that the order
// does not have was lost.
func (h *history) answeredIn(l *lineage, end uint64, eraOf func(index uint64) uint64) (events, reads []*operation) {
	for _, x := range h.all {
		if x.cluster != l.id || x.o.Kind == op.Barrier || x.outcome != ok {
			continue
		}
		if l.mayBeLost(x) {
			h.w.stats.LostOnDisk++
			x.outcome = unknown
			continue
		}
		events = append(events, x)
		if x.o.Kind == op.Read {
			reads = append(reads, x)
			continue
		}
		kept := x.o.Index <= end && eraOf(x.o.Index) == x.epoch
		if kept {
			continue
		}
		if ack := x.o.Ack; ack == op.AckPrimary || ack > 0 {
			h.w.stats.LostUnsafe++
			x.outcome = unknown
			continue
		}
		h.w.failf("3: acknowledged and lost: %s at era %d index %d (the order ends at %d)", text(x.o), x.epoch, x.o.Index, end)
		return nil, nil
	}
	return events, reads
}

// inLineage returns the operation of an entry, if it was answered in that history.
func (h *history) inLineage(l *lineage, at wire.Position) *operation {
	for _, x := range h.perIndex(l)[at.Index] {
		if x.epoch == at.Era {
			return x
		}
	}
	return nil
}

func (h *history) perIndex(l *lineage) map[uint64][]*operation {
	if h.cluster != l.id {
		h.cluster = l.id
		h.indexed = map[uint64][]*operation{}
		for _, x := range h.all {
			if x.cluster == l.id && x.o.Kind != op.Read && x.o.Kind != op.Barrier && x.o.Index > 0 {
				h.indexed[x.o.Index] = append(h.indexed[x.o.Index], x)
			}
		}
	}
	return h.indexed
}

// bounds sets between which indexes each read must find its state, and checks that writes are
// ordered behind all that was acknowledged before they were asked for.
func (h *history) bounds(events, reads []*operation, end uint64, l *lineage) {
	type moment struct {
		at    uint64
		x     *operation
		reply bool
	}
	var ms []moment
	for _, x := range events {
		ms = append(ms, moment{x.invoked, x, false})
		if x.outcome == ok {
			ms = append(ms, moment{x.responded, x, true})
		}
	}
	sort.Slice(ms, func(i, j int) bool { return ms[i].at < ms[j].at })
	low := uint64(0)
	for _, m := range ms {
		x := m.x
		switch {
		case x.o.Kind == op.Read && !m.reply:
			x.low = low
		case x.o.Kind == op.Read:
			// The order that it saw goes at most to the end of its own reign.
			x.tail = min(x.tail, end)
			for _, e := range l.view.History {
				if e.Era > x.epoch {
					x.tail = min(x.tail, e.Start-1)
				}
			}
		case m.reply:
			low = max(low, x.o.Index)
		case x.outcome == ok && x.o.Index <= low:
			h.w.failf("4: %s has index %d, but %d was acknowledged before it was asked for", text(x.o), x.o.Index, low)
		}
	}
	sort.SliceStable(reads, func(i, j int) bool { return reads[i].invoked < reads[j].invoked })
}

// place gives reads their point in the order, as early as may be, and returns those that have none yet.
func (h *history) place(o *oracle, active []*operation) []*operation {
	for again := true; again; {
		again = false
		rest := active[:0]
		for i, x := range active {
			behind := false // of a read that was over before this one began, and has no place yet
			for _, y := range active[:i] {
				if !y.chosen && y.responded < x.invoked {
					behind = true
				}
			}
			if !behind && o.answers(x) {
				x.chosen = true
				again = true
			}
		}
		for _, x := range active {
			if !x.chosen {
				rest = append(rest, x)
			}
		}
		active = rest
	}
	return active
}

const oracleSession = 1
