package sim

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"brainer/broker/replication"
	"brainer/internal/op"
	"brainer/internal/wire"
)

// place is a position in one history.
type place struct {
	cluster uint64
	wire.Position
}

// checker looks at the invariants while the run goes on.
type checker struct {
	w    *world
	calm bool // everything is healed: no request may fail

	digests  map[place]uint64
	entries  map[place][]byte           // encoded, as it was sent
	turns    map[string]*wire.Assembler // of fragments, by peer
	aheads   map[aheadTo][]byte
	copies   map[uint64]*copyState // by data id
	acked    map[uint64]uint64     // cluster -> highest index acknowledged under ack all
	safe     map[uint64]uint64     // cluster -> highest safe index of a serving broker
	coreSafe uint64                // of this core, this history
	coreIn   uint64                // the history
	promised map[*nodeHost]uint64  // by process
	before   map[*nodeHost]wire.Position
	lastMs   int64 // the highest time that the broker has given to an entry or a read
	longest  int64 // entry

	reads  map[asked]wire.Position  // where reads were executed
	shown  map[uint64]wire.Position // the same, of those whose answer has reached this broker
	writes map[uint64][]uint64      // key -> where it was written in the present reign, ascending; 0: keyless
}

// copyState is one copy of the data: a data id in a process.
type copyState struct{ last wire.Position }

func (c *checker) init(w *world) {
	*c = checker{w: w, turns: map[string]*wire.Assembler{}, aheads: map[aheadTo][]byte{}, digests: map[place]uint64{}, entries: map[place][]byte{}, copies: map[uint64]*copyState{},
		acked: map[uint64]uint64{}, safe: map[uint64]uint64{}, promised: map[*nodeHost]uint64{}, reads: map[asked]wire.Position{}, before: map[*nodeHost]wire.Position{}}
}

func (c *checker) newReign() {
	c.coreSafe, c.coreIn = 0, 0
	c.shown, c.writes = map[uint64]wire.Position{}, map[uint64][]uint64{}
}

// asked is a read as a node was asked it.
type asked struct {
	session, turn, id uint64
}

// executed: a node has executed a read.
func (c *checker) executed(n *nodeHost, id uint64, p wire.Position) {
	c.reads[asked{n.session, n.turn, id}] = p
	c.reads[asked{n.session, 0, id}] = p // a long one is answered outside of turns
}

// receivedDone notes the reads whose answers have come.
func (c *checker) receivedDone(frame []byte) {
	if frameType(frame) != wire.TDone {
		return
	}
	h, body, err := wire.Decode(frame)
	if err != nil {
		return
	}
	d, err := wire.DecodeDone(body)
	if epoch, _, _, _ := c.w.broker.core.Indexes(); err != nil || h.Epoch != epoch {
		return // of an earlier reign, whose reads had the same numbers
	}
	for {
		kind, id, _, ok := d.Next()
		if !ok {
			return
		}
		if kind == wire.ReplyRead || kind == wire.ReplyDue {
			if p, known := c.reads[asked{h.Session, h.Seq, id}]; known {
				c.shown[id] = p
			}
		}
	}
}

// written notes that an operation has an index.
func (c *checker) written(o *op.Op) {
	for _, k := range o.Keys {
		c.writes[k] = append(c.writes[k], o.Index)
	}
	if o.Keyless {
		c.writes[0] = append(c.writes[0], o.Index)
	}
}

// showsSafe: invariant 8. What a read shows is on every copy: the last write to its keys that it has
// seen is safe.
func (c *checker) showsSafe(o *op.Op) {
	p, known := c.shown[o.Hold.Asked]
	if !known {
		return // the answer came in fragments
	}
	_, _, safe, _ := c.w.broker.core.Indexes()
	last := func(key uint64) uint64 {
		at := c.writes[key]
		for i := len(at) - 1; i >= 0; i-- {
			if at[i] <= p.Index {
				return at[i]
			}
		}
		return 0
	}
	seen := last(0)
	for _, k := range o.Keys {
		seen = max(seen, last(k))
	}
	if o.Keyless {
		for k := range c.writes {
			seen = max(seen, last(k))
		}
	}
	if seen > safe {
		c.w.failf("8: %s shows the write at %d, executed at %d, and only %d is safe", text(o), seen, p.Index, safe)
	}
}

// nodeStarted: what came from a disk is a copy of its own position, and under its name it holds what it must.
func (c *checker) nodeStarted(n *nodeHost) {
	c.promised[n] = 0
	dataID, _, p, _ := n.replica.Copy()
	if n.disk == nil {
		return
	}
	if k := c.copies[dataID]; k != nil {
		k.last = p
	} else {
		c.copies[dataID] = &copyState{last: p}
	}
	c.durable()
}

// fromDisks: the broker goes on with what was left of the members, when none is whole: it knows of each that could
// hold more what has become of it. What was acknowledged beyond that is lost.
func (c *checker) fromDisks(base string, index uint64) {
	w := c.w
	v := &w.broker.view
	for _, m := range v.Members {
		for _, n := range w.nodes {
			if n.id != m.NodeID || n.embedded && !m.Disk {
				continue
			}
			unseen := n.diedUs < w.broker.startedUs || w.nowUs-n.diedUs > 1_500_000 // by this broker, or for long
			if !n.alive && unseen || n.alive && isCopy(n, m) {
				w.failf("3: the broker goes on with what %s has on its disk although %s may hold more", base, n.id)
			}
		}
	}
	w.stats.FromDisks++
	c.acked[v.ClusterID] = min(c.acked[v.ClusterID], index)
	c.safe[v.ClusterID] = min(c.safe[v.ClusterID], index)
	c.coreSafe = min(c.coreSafe, index)
	for key, at := range c.writes { // by a broker that was there before, too
		c.writes[key] = slices.DeleteFunc(at, func(i uint64) bool { return i > index })
	}
	w.history.lost(v.ClusterID, index)
}

// applied: invariants 1 and 2. A copy applies index i+1 only after i; the same position is the same
// state everywhere.
func (c *checker) applied(n *nodeHost, p wire.Position, digest uint64) {
	w := c.w
	dataID, cluster, _, _ := n.replica.Copy()
	k := c.copies[dataID]
	if k == nil {
		k = &copyState{}
		c.copies[dataID] = k
	}
	if k.last.Index > 0 && (p.Index != k.last.Index+1 || p.Era < k.last.Era) {
		w.failf("1: %s applied %v after %v", n.id, p, k.last)
	}
	k.last = p
	at := place{cluster, p}
	if was, ok := c.digests[at]; !ok {
		c.digests[at] = digest
		w.stats.Entries++
	} else if was != digest {
		w.failf("2: %s has another state than others at %v", n.id, p)
	}
	w.mark('a', p.Index, digest, uint64(n.index))
	c.keepsLimit(n, p)
}

// receives and received: invariant 7, and frames of other sessions change nothing.
func (c *checker) receives(n *nodeHost) {
	_, _, p, _ := n.replica.Copy()
	c.before[n] = p
}

func (c *checker) received(n *nodeHost, frame []byte) {
	w := c.w
	session, promised := n.replica.Session()
	if promised < c.promised[n] {
		w.failf("7: %s promised epoch %d after %d", n.id, promised, c.promised[n])
	}
	c.promised[n] = promised
	_, _, p, _ := n.replica.Copy()
	if p == c.before[n] {
		return
	}
	if h, _, err := wire.Decode(frame); err != nil || h.Session != session || h.Epoch != promised {
		w.failf("7: %s was moved from %v to %v by a frame of session %x epoch %d; it is in session %x, epoch %d",
			n.id, c.before[n], p, h.Session, h.Epoch, session, promised)
	}
}

func nodeOf(w *world, peer string) *nodeHost {
	id, _, _ := strings.Cut(strings.TrimPrefix(peer, "n-"), "-")
	for _, n := range w.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

// turnSent: one position is one entry, for ever; and invariant 5.
func (c *checker) turnSent(peer string, frame []byte) {
	w := c.w
	h, body, err := wire.Decode(frame)
	if err != nil {
		w.failf("the broker sent a turn that cannot be decoded: %v", err)
		return
	}
	if c.turns[peer] == nil {
		c.turns[peer] = &wire.Assembler{}
	}
	h, body, whole, err := c.turns[peer].Add(h, body)
	if err != nil {
		w.failf("the broker sent fragments that do not fit: %v", err)
	}
	if !whole {
		return
	}
	t, err := wire.DecodeTurn(body)
	if err != nil {
		w.failf("the broker sent a turn that cannot be decoded: %v", err)
		return
	}
	n := nodeOf(w, peer)
	cluster := w.broker.view.ClusterID
	index := t.Prev.Index
	var it wire.Item
	for t.Next(&it) {
		switch it.Kind {
		case wire.ItemEntries:
			b := it.Entries
			for i := 0; i < it.Count; i++ {
				var e wire.Entry
				rest, err := wire.NextEntry(b, &e)
				if err != nil {
					w.failf("the broker sent an entry that cannot be decoded: %v", err)
					return
				}
				index++
				c.lastMs = max(c.lastMs, e.TimeMs)
				c.entrySent(place{cluster, wire.Position{Era: t.Era, Index: index}}, b[:len(b)-len(rest)], &e)
				b = rest
			}
		case wire.ItemAhead:
			var e wire.Entry
			encoded := bytes.Clone(c.aheads[aheadTo{peer, it.ID}])
			copy(encoded, it.Entries)
			if _, err := wire.NextEntry(encoded, &e); err != nil {
				w.failf("the broker names an entry that it has not sent ahead: %v", err)
				return
			}
			index++
			c.lastMs = max(c.lastMs, e.TimeMs)
			c.entrySent(place{cluster, wire.Position{Era: t.Era, Index: index}}, encoded, &e)
		case wire.ItemRead:
			c.lastMs = max(c.lastMs, it.Read.TimeMs)
			if n != nil && n.session == h.Session && !c.inView(n, &w.broker.view) {
				w.failf("5: %s is asked to read and is not in the in-sync set", n.id)
			}
		}
	}
	if t.Err() != nil {
		w.failf("the broker sent a turn that is damaged")
	}
}

// aheadTo names what was sent ahead on one connection.
type aheadTo struct {
	peer   string
	number uint64
}

// aheadSent looks at a fragment of an entry that is not ordered yet.
func (c *checker) aheadSent(peer string, frame []byte) {
	h, body, err := wire.Decode(frame)
	if err != nil {
		c.w.failf("the broker sent a fragment that cannot be decoded: %v", err)
		return
	}
	to := aheadTo{peer, h.Seq}
	if part, fragment := h.Fragment(); part == 0 || !fragment {
		delete(c.aheads, to)
	}
	c.aheads[to] = append(c.aheads[to], body...)
}

// inView: some copy of the node is a member.
func (c *checker) inView(n *nodeHost, v *replication.View) bool {
	for _, m := range v.Members {
		if m.NodeID == n.id {
			return !n.alive || isCopy(n, m)
		}
	}
	return false
}

// isCopy says whether a living node holds the copy that a record names.
func isCopy(n *nodeHost, m replication.Member) bool {
	dataID, _, _, _ := n.replica.Copy()
	was, renamed := n.replica.Before()
	return dataID == m.DataID || renamed && was == m.DataID
}

func (c *checker) entrySent(at place, encoded []byte, e *wire.Entry) {
	if was, ok := c.entries[at]; ok {
		if !bytes.Equal(was, encoded) {
			c.w.failf("2: two entries at %v", at.Position)
		}
		return
	}
	c.entries[at] = bytes.Clone(encoded)
	c.longest = max(c.longest, int64(len(encoded)))
	if e.Kind == wire.EntryTick || e.Kind == wire.EntryNoop {
		return
	}
	x := c.w.history.at(at.Era, at.Index)
	if x == nil && c.maybeEviction(at, e) {
		return
	}
	if x == nil || !bytes.Equal(x.o.Body, e.Body) || !bytes.Equal(x.o.Client, e.ID.Client) || x.o.Number != e.ID.Number {
		c.w.failf("6: the entry at %v is not what was submitted for it", at.Position)
	}
}

// eachMember visits the living copies that a record names.
func (c *checker) eachMember(v *replication.View, visit func(n *nodeHost, p wire.Position)) {
	for _, m := range v.Members {
		for _, n := range c.w.nodes {
			if n.id != m.NodeID || !n.alive {
				continue
			}
			if isCopy(n, m) {
				_, _, p, _ := n.replica.Copy()
				visit(n, p)
			}
		}
	}
}

// answered: invariants 3, 4 and 6.
func (c *checker) answered(o *op.Op) {
	w := c.w
	x := w.history.answered(o)
	if x == nil {
		return
	}
	b := w.broker
	if x.outcome == ok && o.Kind == op.Read {
		c.showsSafe(o)
	}
	if x.outcome == ok && o.Kind != op.Read && o.Kind != op.Barrier {
		ack := o.Ack
		if ack == op.AckDefault {
			ack = w.plan.Ack
		}
		switch {
		case ack == op.AckAll:
			if o.Index > c.acked[b.view.ClusterID] {
				c.acked[b.view.ClusterID] = o.Index
			}
			c.holdsAll(&b.disk, o.Index, "acknowledged")
			if b.storing != nil {
				c.holdsAll(b.storing, o.Index, "acknowledged, and the record that is being written")
			}
		case ack > 0:
			c.holdsSome(o.Index, int(ack), "acknowledged by")
		}
	}
	if o.Kind == op.Barrier && x.outcome == ok {
		var copies int
		if _, err := fmt.Sscanf(string(x.reply), ":%d\r\n", &copies); err != nil {
			w.failf("6: WAIT answered %q", x.reply)
		} else if copies > 0 {
			c.holdsSome(o.Index, copies+1, "WAIT counted")
		}
	}
}

func (c *checker) holdsAll(v *replication.View, index uint64, what string) {
	c.eachMember(v, func(n *nodeHost, p wire.Position) {
		if p.Index < index {
			c.w.failf("3: %d is %s; member %s is at %v", index, what, n.id, p)
		}
	})
}

// holdsSome: that many copies of the set have applied index, or had and are dead.
func (c *checker) holdsSome(index uint64, want int, what string) {
	without := 0
	v := &c.w.broker.view
	c.eachMember(v, func(n *nodeHost, p wire.Position) {
		if p.Index < index {
			without++
		}
	})
	if have := len(v.Members) - without; have < want {
		c.w.failf("3: %d is %s %d nodes, at most %d hold it", index, what, want, have)
	}
}

// durable: whoever is in the record holds what was acknowledged before.
func (c *checker) durable() {
	v := &c.w.broker.disk
	c.holdsAll(v, c.acked[v.ClusterID], "acknowledged before the record was durable")
}

// afterLoop: invariant 8 and the safe index's meaning.
func (c *checker) afterLoop() {
	w := c.w
	b := w.broker
	_, tail, safe, serving := b.core.Indexes()
	w.mark('b', tail, safe, 0)
	cluster := b.view.ClusterID
	if cluster != c.coreIn {
		c.coreIn, c.coreSafe = cluster, 0
	}
	if !serving {
		return
	}
	if safe < c.coreSafe {
		w.failf("8: the safe index went from %d back to %d", c.coreSafe, safe)
	}
	c.coreSafe = safe
	if safe < c.safe[cluster] {
		w.failf("8: a new reign serves with safe index %d, it was %d", safe, c.safe[cluster])
	}
	c.safe[cluster] = safe
	c.eachMember(&b.view, func(n *nodeHost, p wire.Position) {
		if p.Index < safe {
			w.failf("8: the safe index is %d, member %s is at %v", safe, n.id, p)
		}
	})
}

// unsettled says what is missing of "everything is in sync and nothing is under way".
func (c *checker) unsettled() string {
	w := c.w
	b := w.broker
	if !b.alive || !b.told {
		return "the broker is not up"
	}
	s := b.core.Status(b.clockUs())
	if s.State != "active" {
		return fmt.Sprintf("the broker is %s: %s", s.State, s.Detail)
	}
	if w.faults.starting > 0 {
		return "a node has yet to start"
	}
	inSync := map[string]bool{}
	var states []string
	for _, n := range s.Nodes {
		inSync[n.ID] = n.InSync && n.State == "live"
		states = append(states, fmt.Sprintf("%s=%s(%v,%s,%d)", n.ID, n.State, n.InSync, n.Reason, n.Applied))
	}
	for _, n := range w.nodes {
		if n.alive && !n.leaving && !inSync[n.id] {
			return fmt.Sprintf("%s is not in sync; index=%d safe=%d %s", n.id, s.Index, s.Safe, strings.Join(states, " "))
		}
		if n.alive && n.leaving {
			return n.id + " has not left yet"
		}
	}
	if w.plan.QuietAtEnd {
		if s.Safe != s.Index {
			return fmt.Sprintf("index=%d safe=%d %s", s.Index, s.Safe, strings.Join(states, " "))
		}
		if k := w.history.open(); k > 0 {
			return fmt.Sprintf("%d requests have no answer", k)
		}
	}
	return ""
}

// copyLost: no member of the record is alive with its memory.
func (c *checker) copyLost() bool {
	lost := true
	c.eachMember(&c.w.broker.disk, func(*nodeHost, wire.Position) { lost = false })
	return lost
}

// atEnd: invariants 6 and 9.
func (c *checker) atEnd() {
	w := c.w
	if why := c.unsettled(); why != "" {
		w.failf("9: at the end %s", why)
		return
	}
	if k := w.history.open(); k > 0 {
		w.failf("6: %d requests were never answered", k)
		return
	}
	if s := w.broker.core.Status(w.broker.clockUs()); s.PendingReads != 0 {
		w.failf("6: every request is answered, and the broker counts %d reads that are not", s.PendingReads)
		return
	}
	w.broker.collect()
	_, tail, _, _ := w.broker.core.Indexes()
	var first uint64
	var firstNode *nodeHost
	for _, n := range w.nodes {
		if !n.alive {
			continue
		}
		_, _, p, _ := n.replica.Copy()
		d := n.replica.StateDigest(w.nowUs / 1000)
		if p.Index != tail {
			w.failf("9: %s ends at %v, the order at %d", n.id, p, tail)
		}
		if firstNode == nil {
			first, firstNode = d, n
		} else if d != first {
			w.failf("9: %s and %s differ at the end, both at %d", n.id, firstNode.id, tail)
		}
		if s := n.replica.Status(); s.Faults > 0 {
			w.failf("a command panicked on %s", n.id)
		}
	}
	w.mark('z', tail, first, xxhash.Sum64String("end"))
}
