package sim

import (
	"math/rand/v2"

	"brainer/broker/replication"
	"brainer/internal/eviction"
	"brainer/internal/op"
	"brainer/internal/wire"
	"brainer/node/replica"
)

// Plan is what a seed draws before it runs.
type Plan struct {
	Nodes, FirstNodes, Clients int
	Embedded                   bool // node 0 lives in the broker's process
	Keys                       int
	WarmUpUs, FaultsUs         int64
	FaultEveryUs               int64
	ThinkUs                    int64 // of a client between operations
	LatencyUs, JitterUs        int64
	Loss                       float64 // of single messages
	FrameBytesMax              int
	ValueBytesMax              int
	StoreUs                    int64
	Disks                      int  // nodes that keep their copy on a disk, the first ones
	Always                     bool // and sync before they acknowledge
	QuietAtEnd                 bool
	Ack                        op.Ack
	OtherAcks                  float64                // share of writes with another rule than all
	SingleKeysOnly             bool                   // for porcupine
	Versions                   bool                   // some processes speak only the protocol version before
	IDs                        bool                   // clients send some writes with ids, and again
	Only                       []fault                // nil: all kinds
	schedule                   func(*world)           // instead of faults by chance
	commands                   func(*client) []string // instead of all kinds
	Broker                     replication.Config
	Node                       replica.Config
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func drawPlan(r *rand.Rand) Plan {
	p := Plan{
		Nodes:         pick(r, 1, 2, 2, 3, 3, 3, 3, 4, 5),
		Clients:       2 + r.IntN(4),
		Embedded:      r.IntN(4) == 0,
		Keys:          1 + r.IntN(5),
		WarmUpUs:      700_000,
		FaultsUs:      pick[int64](r, 3, 5, 8) * 1_000_000,
		FaultEveryUs:  pick[int64](r, 40, 100, 300, 600, 1200) * 1000,
		ThinkUs:       pick[int64](r, 5, 20, 40) * 1000,
		LatencyUs:     pick[int64](r, 30, 200, 1000),
		JitterUs:      pick[int64](r, 10, 300, 3000),
		FrameBytesMax: wire.FrameBytesMax,
		ValueBytesMax: pick(r, 8, 40, 300),
		StoreUs:       pick[int64](r, 300, 3000, 20_000),
		QuietAtEnd:    r.IntN(2) == 0,
		Ack:           op.AckAll,
		OtherAcks:     pick(r, 0, 0, 0.15, 0.4),
		Broker:        replication.DefaultConfig(),
		Node:          replica.DefaultConfig(),
	}
	p.FirstNodes = 1 + r.IntN(p.Nodes)
	p.Versions = r.IntN(4) == 0
	p.Broker.HedgePercentile = pick[float64](r, 0, 0, 50, 95)
	switch r.IntN(4) {
	case 0:
		p.Loss = pick(r, 0.0005, 0.003, 0.01)
	case 1:
		p.FrameBytesMax = pick(r, 200, 400) // a hello is in one piece
	}
	b := &p.Broker
	b.ChunkBytes = pick(r, 256, 1024)
	b.WindowBytesMax = pick[int64](r, 4<<10, 16<<10, 1<<20)
	b.JoinPinBytes = 4 * b.WindowBytesMax
	b.WindowMs = pick[int64](r, 0, 1000, 600_000)
	b.TurnBytesMax = pick(r, 1200, 1<<20)
	b.TurnReadsMax = pick(r, 2, 4096)
	b.VerifyEveryMs = pick[int64](r, 0, 300, 2000)
	b.VerifyRangeKeys = pick(r, 1, 3, 1000)
	b.JoinLagEntries = pick[uint64](r, 0, 5, 1000)
	b.JoinStallMs = 1500
	b.HotEvery, b.HotReads = 1, pick[int64](r, 0, 5)
	b.NearBytes = pick[int64](r, 0, 600, 1<<20)
	b.JoinFloorBytes = pick[int64](r, 20_000, 4<<20)
	b.RecoverWaitMs = pick[int64](r, 50, 2000, 2000)
	if r.IntN(4) == 0 {
		b.WriteTimeoutMs, b.ReadTimeoutMs = 400, 400
	}
	b.MinInSync = pick(r, 1, 1, 1, 2)
	b.MinInSync = min(b.MinInSync, p.Nodes)
	b.AheadBytes = []int{0, 1, 60}[(p.Clients+p.Keys)%3]
	n := &p.Node
	if r.IntN(3) == 0 {
		b.Memory.LimitBytes = pick[int64](r, 100, 250, 600)
		b.Memory.Policy = eviction.Policy(r.IntN(8))
		n.CountLogical = true
	}
	n.RingBytesMax = pick[int64](r, 0, 2<<10, 1<<20)
	n.ChunkBytes = pick(r, 1, 60, 1000)
	n.ChunkCredit = pick[uint32](r, 1, 2, 8)
	n.ReclaimPerEntry = pick(r, 0, 1, 20)
	n.Scribble = true
	n.RegionMin = 1 + (p.Clients+p.Keys)%3/2*(1<<20) // what is sent ahead is its value's memory
	n.TailBytes = 20 + p.Nodes%2*(64<<10)            // a reply of 20 bytes is a large one
	n.AgainBytes = p.Nodes % 2 * 100                 // 0: the body of every turn is used again
	n.PartBytes = 20 + p.Keys%2*1000                 // a value of more comes to a joiner in parts
	n.SliceElements = p.Keys % 3                     // 0: long reads are executed in one piece
	n.StepBytes = pick(r, 100, 300, 1<<20)           // a Done without replies has 81
	return p
}
