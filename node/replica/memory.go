package replica

import (
	"math"

	"brainer/internal/command"
	"brainer/internal/eviction"
	"brainer/internal/keyspace"
	"brainer/internal/wire"
)

// memory is what the copy knows of limits. Nothing is ever evicted here: keys are named, the broker orders.
type memory struct {
	outsideBytes int64 // of the process, besides the data
	limitBytes   int64 // the smallest of all nodes', as the broker says; 0: none
	counts       wire.Counts
}

// outsideShare of the limit at most is taken by what is not data: a limit below what the process itself needs
// would leave no room for any.
const outsideShare = 2

// ringShare of the limit at most is taken by entries that are kept for a broker that restarts, and as much by free mappings
// of large values.
const ringShare = 64

// SetOutside says what the process takes besides the data.
func (r *Replica) SetOutside(bytes int64) { r.memory.outsideBytes = bytes }

// takeTerms takes from the broker's heartbeat how accesses are to be counted, the limit, and whether to keep a snapshot.
func (r *Replica) takeTerms(m *wire.Beat) {
	if r.memory.limitBytes != m.LimitBytes {
		r.memory.limitBytes = m.LimitBytes
		r.keepFree()
	}
	r.keeping.wanted = m.Keep
	if r.version != wire.VersionBefore && m.Counts != r.memory.counts {
		r.memory.counts = m.Counts
		r.setLFU()
	}
}

func (r *Replica) setLFU() {
	if c := r.memory.counts; c != (wire.Counts{}) {
		r.ks.SetLFU(keyspace.LFU{LogFactor: c.LogFactor, DecayMinutes: c.DecayMinutes})
	}
}

// keepFree has little kept that is free when memory is short.
func (r *Replica) keepFree() {
	if limit := r.memory.limitBytes; limit > 0 {
		r.ks.KeepFree(limit / ringShare)
	} else {
		r.ks.KeepFree(math.MaxInt64)
	}
}

// MemoryLimit is the smallest limit of all nodes, as far as this one has heard; 0: none.
func (r *Replica) MemoryLimit() int64 { return r.memory.limitBytes }

// ringBytes is what the ring may keep: less than it might if memory is short.
func (r *Replica) ringBytes() int64 {
	if limit := r.memory.limitBytes; limit > 0 {
		return min(r.cfg.RingBytesMax, limit/ringShare)
	}
	return r.cfg.RingBytesMax
}

// MemoryBytes is what is compared with a limit.
func (r *Replica) MemoryBytes() int64 {
	outside := r.memory.outsideBytes
	if limit := r.memory.limitBytes; limit > 0 {
		outside = min(outside, limit/outsideShare)
	}
	if r.cfg.CountLogical {
		return r.usedBytes() + outside
	}
	return r.ks.MemoryBytes() + r.ids.bytes + outside
}

// DataBytes is what the data takes of the process, what is free and kept for it included.
func (r *Replica) DataBytes() int64 { return r.ks.MemoryBytes() + r.ks.FreeBytes() + r.ids.bytes }

// answerMemory tells what the data takes, and names keys to evict of those that this node is the primary of.
func (r *Replica) answerMemory(m *wire.AskMemory) {
	r.done = wire.BeginReply(r.done, wire.ReplyMemory, uint64(r.MemoryBytes()))
	start := len(r.done)
	if policy := eviction.Policy(m.Policy); m.WantBytes > 0 && policy.Valid() {
		salts, own := m.Salts, int(m.Own)
		mine := func(db int, key []byte) bool { return eviction.Mine(command.KeyHash(db, key), salts, own) }
		all := func(int, []byte) bool { return true }
		if len(salts) == 1 {
			mine = all
		}
		named := r.ks.Nominate(policy, int64(m.WantBytes), int(m.Samples), m.TimeMs, mine)
		if len(named) == 0 { // there are few keys, and what there is must not hide behind another node
			named = r.ks.Nominate(policy, int64(m.WantBytes), int(m.Samples), m.TimeMs, all)
		}
		for _, n := range named {
			r.done = wire.AppendNomination(r.done, wire.Nomination{DB: uint8(n.DB), Hash: command.KeyHash(n.DB, n.Key),
				Bytes: uint32(min(n.Bytes, math.MaxUint32)), Key: n.Key})
		}
	}
	wire.EndReply(r.done, start)
}
