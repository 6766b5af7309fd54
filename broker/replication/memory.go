package replication

import (
	"sort"

	"brainer/internal/eviction"
	"brainer/internal/op"
	"brainer/internal/wire"
)

// The memory limit. Nothing here knows what is in the keyspace: each node says what its data takes (with its heartbeats,
// and when it is asked in its stream), what was ordered since is added as if all of it were to stay, and the node that
// takes most counts, against the smallest limit of all. So an estimate is never below what is taken, but for commands
// that make much of few bytes (COPY, SETRANGE far beyond the end).
//
// A write that may take memory is ordered while the estimate is within the limit. Beyond it, it waits: until nodes have
// said how much it really is (all that was ordered before may have given some back), and until evictions have made room.
// It is refused, with nothing done, when it is certain that there is no room and that nobody can make any: nodes that are
// slow, or silent for a moment, make nothing certain. After Config.WriteTimeoutMs, as a write that was ordered, it is
// to be tried again. What other operations wait for it are those of the same pipeline behind it; reads of others never do.
const (
	// Beyond that part of the limit nodes are asked in their streams what they take: heartbeats come late.
	memoryNear     = 8
	memoryAskShare = 256 // and again when what was ordered may have taken that share
	// Evictions begin at a reserve below the limit, and go on until there are two.
	memoryReserve = 128
	// A round of nominations brings no more than that together.
	evictBytesMax = 1 << 20
	evictAgainUs  = 100_000 // a node that could name nothing is asked again
	// So many steps are kept, and those that a node has not applied yet.
	memoryStepsMax = 1024
)

// memory is the core's share of the limit.
type memory struct {
	settings  eviction.Settings
	limit     int64 // the smallest, 0: there is none
	room      int64 // below it, as far as is known; negative beyond it
	taken     int64 // what all entries so far may have taken
	before    int64 // of it, what those before the first step have
	steps     []memoryStep
	heldUs    int64    // when the last of these came
	heldAt    uint64   // the tail then
	held      []*op.Op // writes for which there is no room, and what stands behind them in their pipelines
	batches   map[*op.Batch]int
	evicted   map[eviction.Policy]uint64 // keys
	evictedTo uint64                     // the last entry that evicts
	named     uint64                     // nominations
	refused   uint64                     // writes
}

// memoryStep is what entries up to an index may have taken in all.
type memoryStep struct {
	index uint64
	taken int64
}

// nodeMemory is what is known of one node.
type nodeMemory struct {
	limit   int64 // its own; 0: none
	known   bool
	bytes   int64 // that it said it takes
	at      uint64
	base    int64 // memory.taken when that was so
	asked   bool  // in its stream, in this session, and it has not answered
	askedUs int64
	wanted  bool // it was asked for keys, too
	empty   bool // it could name nothing when it was asked last
	emptyUs int64
	emptyAt int64  // memory.taken that it had applied then
	emptyTo uint64 // the entries that it had
}

// estimate is what the node takes when it has applied all that was ordered.
func (m *memory) estimate(n *nodeMemory) int64 {
	if !n.known {
		return m.limit + 1 // it will say so in a moment
	}
	return n.bytes + m.taken - n.base
}

// SetMemory changes the settings at run time; the nodes hear of them with a heartbeat.
func (c *Core) SetMemory(nowUs int64, change func(*eviction.Settings)) {
	c.setNow(nowUs)
	change(&c.memory.settings)
	c.recountMemory()
	for _, n := range c.nodes {
		n.memory.empty = false
		if n.connected() {
			c.tellTerms(n)
		}
	}
	c.goOnHeld()
}

// terms are what the nodes are told of the settings.
func (c *Core) terms() (limit int64, counts wire.Counts) {
	s := &c.memory.settings
	return c.memory.limit, wire.Counts{LFU: s.Policy.LFU(), LogFactor: uint32(s.LogFactor), DecayMinutes: uint32(s.DecayMinutes)}
}

// recountMemory finds the limit and the room below it again.
func (c *Core) recountMemory() {
	m := &c.memory
	m.limit = m.settings.LimitBytes
	for _, n := range c.nodes {
		if l := n.memory.limit; n.required() && l > 0 && (m.limit == 0 || l < m.limit) {
			m.limit = l
		}
	}
	if m.limit == 0 {
		m.steps, m.before = nil, m.taken
		return
	}
	m.room = m.limit - c.mostMemory()
}

// mostMemory is what the node takes that takes most.
func (c *Core) mostMemory() (most int64) {
	for _, n := range c.nodes {
		if n.required() {
			most = max(most, c.memory.estimate(&n.memory))
		}
	}
	return most
}

// takesMemory counts what the entry at the tail may take or, if it is negative, gives back.
func (c *Core) takesMemory(bytes int64) {
	m := &c.memory
	if m.limit == 0 {
		return
	}
	m.taken += bytes
	m.room -= bytes
	m.steps = append(m.steps, memoryStep{c.tail, m.taken})
}

// resetMemory: the indexes so far mean nothing any more.
func (c *Core) resetMemory() {
	m := &c.memory
	m.steps, m.before, m.evictedTo = nil, m.taken, 0
	for _, n := range c.nodes {
		n.memory.at, n.memory.base = 0, m.taken
	}
	c.recountMemory()
}

// takenUpTo is what the entries up to an index may have taken.
func (m *memory) takenUpTo(index uint64) int64 {
	i := sort.Search(len(m.steps), func(i int) bool { return m.steps[i].index > index })
	if i == 0 {
		return m.before
	}
	return m.steps[i-1].taken
}

// reportsMemory is told what a node takes that has applied up to an index.
func (c *Core) reportsMemory(n *node, bytes int64, at uint64) {
	if at < n.memory.at || at > c.tail {
		return // it is late, or of another history
	}
	m := &c.memory
	n.memory.known, n.memory.bytes, n.memory.at, n.memory.base = true, bytes, at, m.takenUpTo(at)
	if len(m.steps) > memoryStepsMax {
		for _, x := range c.nodes {
			if x.required() {
				at = min(at, x.memory.at)
			}
		}
		if i := sort.Search(len(m.steps), func(i int) bool { return m.steps[i].index > at }); i > 0 {
			m.before = m.steps[i-1].taken
			m.steps = append(m.steps[:0], m.steps[i:]...)
		}
	}
	c.recountMemory()
	c.goOnHeld()
}

// holdForMemory keeps o until there is room for it, and says whether it did.
func (c *Core) holdForMemory(o *op.Op) bool {
	m := &c.memory
	if m.limit == 0 || c.state != active {
		return false
	}
	b := o.Batch()
	if behind := b != nil && m.batches[b] > 0; !behind && (!o.DenyOOM || m.room >= 0 || c.refuse(o) != "") {
		return false
	}
	o.Hold.Tail = c.tail
	m.held, m.heldUs, m.heldAt = append(m.held, o), c.nowUs, c.tail
	if b != nil {
		if m.batches == nil {
			m.batches = map[*op.Batch]int{}
		}
		m.batches[b]++
	}
	if len(m.held) == 1 {
		c.goOnHeld()
	}
	return true
}

// goOnHeld orders, or refuses, the operations that wait for memory, as far as they need not wait any more.
func (c *Core) goOnHeld() {
	m := &c.memory
	for len(m.held) > 0 {
		o := m.held[0]
		noRoom := o.DenyOOM && m.limit > 0 && m.room < 0
		short := noRoom && c.memoryIsShort(o.Hold.OrderedUs, o.Hold.Tail)
		if noRoom && !short && c.nowUs-o.Hold.OrderedUs < c.cfg.WriteTimeoutMs*1000 {
			return
		}
		m.held[0] = nil
		m.held = m.held[1:]
		if b := o.Batch(); b != nil {
			if m.batches[b]--; m.batches[b] == 0 {
				delete(m.batches, b)
			}
		}
		switch {
		case short:
			m.refused++
			c.answerError(o, outOfMemory(o))
		case noRoom:
			c.answerError(o, errNoRoomYet)
		default:
			c.take(o)
		}
	}
	m.held = nil
}

// memoryIsShort says whether it is certain that there is no room, and that nobody will make any: each was asked since
// then and could name no key. What they say counts if they had applied all that was ordered before: it may have given
// memory back.
func (c *Core) memoryIsShort(sinceUs int64, before uint64) bool {
	m := &c.memory
	before = max(before, m.evictedTo)
	over := false
	for _, n := range c.nodes {
		if n.required() && n.memory.known && m.estimate(&n.memory) > m.limit && m.taken <= n.memory.base && n.memory.at >= before {
			over = true
		}
	}
	if !over || m.settings.Policy == eviction.NoEviction {
		return over
	}
	for _, n := range c.nodes {
		if n.required() && !n.inSync() {
			return false // it comes back, or leaves the set
		}
		if n.inSync() && n.nominates() && !(n.memory.empty && n.memory.emptyUs >= sinceUs && n.memory.emptyAt >= m.taken && n.memory.emptyTo >= before) {
			return false
		}
	}
	return true
}

// OutOfMemory says whether a write that may take memory would be refused.
func (c *Core) OutOfMemory() bool {
	return c.memory.limit > 0 && c.memory.room < 0 && c.memoryIsShort(0, c.tail)
}

func outOfMemory(o *op.Op) string {
	if o.Kind == op.Txn {
		return errExecOOM
	}
	return errOOM
}

// tickMemory refuses what has waited for too long.
func (c *Core) tickMemory() {
	c.recountMemory()
	c.goOnHeld()
}

// refuseHeld answers all that waits, as nothing is ordered any more.
func (c *Core) refuseHeld(text string) {
	held := c.memory.held
	c.memory.held, c.memory.batches = nil, nil
	for _, o := range held {
		c.answerError(o, text)
	}
}

func (c *Core) memoryStatus() op.Memory {
	m := &c.memory
	s := op.Memory{Settings: m.settings, SmallestBytes: m.limit, Waiting: len(m.held), Nominated: m.named, Refused: m.refused,
		EvictedBy: map[string]uint64{m.settings.Policy.String(): 0}}
	for _, n := range c.nodes {
		if n.required() {
			s.UsedBytes = max(s.UsedBytes, n.memory.bytes)
		}
	}
	for policy, keys := range m.evicted {
		s.Evicted += keys
		s.EvictedBy[policy.String()] = keys
	}
	return s
}
