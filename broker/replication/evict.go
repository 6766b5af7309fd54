package replication

import (
	"strconv"

	"brainer/internal/eviction"
	"brainer/internal/op"
	"brainer/internal/wire"
)

// An eviction is decided once. Each node names keys of which it is the primary, as it sees their reads, the worst of a
// sample. What it names is evicted at once or not at all, by an entry that removes the keys like any write: so all copies
// stay equal whatever reads they have seen, reads of these keys wait until it is safe, and the near cache drops them. As
// the keys are spread over the nodes by their hash, the worst of one node are about as bad as those of another, and
// nothing has to be compared.

// nominates: it can be asked to name keys.
func (n *node) nominates() bool { return n.version != wire.VersionBefore }

// over is how much is to be evicted before the reserve is there twice.
func (m *memory) over() int64 { return -(m.room - 2*m.limit/memoryReserve) }

// evicts: the reserve is not there any more, and the policy lets keys go.
func (c *Core) evicts() bool {
	m := &c.memory
	return m.limit > 0 && m.settings.Policy != eviction.NoEviction && m.room < m.limit/memoryReserve
}

// asksMemory says whether n is to be asked in its next turn what it takes, and for how many bytes it is to name keys.
func (c *Core) asksMemory(n *node) (wantBytes int64, ask bool) {
	m := &c.memory
	if m.limit == 0 || n.memory.asked || !n.inSync() || !n.nominates() {
		return 0, false
	}
	if c.evicts() && !n.suspect && n.leave == "" && !c.namedNothing(n) {
		nominators := int64(0)
		for _, x := range c.usable {
			if x.nominates() {
				nominators++
			}
		}
		return min(m.over(), evictBytesMax)/max(nominators, 1) + 1, true
	}
	grown := m.taken - n.memory.base
	if m.estimate(&n.memory) < m.limit-m.limit/memoryNear {
		return 0, false
	}
	return 0, grown > m.limit/memoryAskShare || len(m.held) > 0 && (grown != 0 || n.memory.at < m.heldAt)
}

// namedNothing: n could name no key just now, and nobody has come since who waits for room.
func (c *Core) namedNothing(n *node) bool {
	m := &n.memory
	return m.empty && c.nowUs-m.emptyUs < evictAgainUs && m.emptyAt >= c.memory.taken && (len(c.memory.held) == 0 || m.emptyUs >= c.memory.heldUs)
}

// appendMemoryAsk puts the question into n's turn.
func (c *Core) appendMemoryAsk(b []byte, n *node, wantBytes int64) []byte {
	n.memory.asked, n.memory.askedUs = true, c.nowUs
	s := &c.memory.settings
	ask := wire.AskMemory{TimeMs: c.stampMs(), Policy: uint8(s.Policy), Samples: uint16(min(s.Samples, 1<<16-1)), WantBytes: uint32(wantBytes)}
	if wantBytes > 0 {
		for _, x := range c.usable {
			if !x.nominates() {
				continue
			}
			if x == n {
				ask.Own = uint16(len(ask.Salts))
			}
			ask.Salts = append(ask.Salts, x.salt)
		}
	}
	n.memory.wanted = wantBytes > 0
	return wire.AppendMemoryItem(b, &ask)
}

// memoryReplied takes what a node takes that has applied up to an index, and evicts what it names.
func (c *Core) memoryReplied(n *node, bytes uint64, named []byte, at uint64) {
	n.memory.asked = false
	if n.memory.wanted {
		n.memory.empty, n.memory.emptyUs = len(named) == 0, n.memory.askedUs
		n.memory.emptyAt, n.memory.emptyTo = c.memory.takenUpTo(at), at
	}
	c.reportsMemory(n, int64(min(bytes, 1<<62)), at)
	if c.evicts() && n.inSync() {
		c.evict(named, at)
	}
	c.goOnHeld()
}

// evict orders evictions of keys that were named when entries up to an index had been applied: as many as are needed.
func (c *Core) evict(named []byte, at uint64) {
	m := &c.memory
	left := m.over()
	var o *op.Op
	var keys [][]byte
	var gives int64
	end := func() {
		if o != nil {
			c.orderEviction(o, keys, gives)
		}
		o, keys, gives = nil, nil, 0
	}
	for len(named) > 0 && left > 0 {
		k, rest, err := wire.NextNomination(named)
		if err != nil {
			return
		}
		named = rest
		m.named++
		if c.keyLast[k.Hash] > at || c.keptNear(k.Hash) {
			continue // it is used
		}
		if o != nil && o.DB != k.DB {
			end()
		}
		if o == nil {
			o = &op.Op{Kind: op.Write, DB: k.DB, Proto: 2, NoTouch: true, Hold: op.Hold{Notified: true, OrderedUs: c.nowUs}}
		}
		o.Keys = append(o.Keys, k.Hash)
		keys = append(keys, k.Key)
		gives += int64(k.Bytes)
		left -= int64(k.Bytes)
	}
	end()
}

// orderEviction orders a write that removes keys and gives back about so many bytes. Nobody waits for it.
func (c *Core) orderEviction(o *op.Op, keys [][]byte, gives int64) {
	if c.refuse(o) != "" {
		return
	}
	m, policy := &c.memory, c.memory.settings.Policy
	o.Body = c.cfg.Unlink(keys)
	o.OnSafe = func(o *op.Op) {
		if n, err := strconv.ParseUint(string(o.Reply[1:max(1, len(o.Reply)-2)]), 10, 64); err == nil {
			m.evicted[policy] += n
		}
	}
	c.order(o)
	c.takesMemory(-gives)
	m.evictedTo = c.tail
}

// keptNear says whether the near cache has answered reads of a key since its node heard of them; it tells it then.
func (c *Core) keptNear(key uint64) bool {
	if !c.near.on() {
		return false
	}
	r, ok := c.near.replies.Peek(key)
	if !ok || r.hits == 0 {
		return false
	}
	c.askNearAgain(key, r)
	return true
}
