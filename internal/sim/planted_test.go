package sim

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"brainer/broker/replication"
	"brainer/internal/eviction"
	"brainer/node/replica"
)

// planted is a mistake, and the check that has to find it within so many seeds.
type planted struct {
	name   string
	broker replication.Fault
	node   replica.Fault
	late   bool // Options.SyncLate
	within uint64
	found  string // which check: the number of its invariant; several are parted by |
	change func(*Plan)
}

func plantedFaults() []planted {
	type b = replication.Fault
	type n = replica.Fault
	// Small plans bring a fault's circumstances about more often.
	lossy := func(p *Plan) { p.Loss, p.Keys, p.Clients, p.ThinkUs, p.FrameBytesMax = 0.03, 1, 5, 5000, 1<<20 }
	narrow := func(p *Plan) {
		p.Nodes, p.FirstNodes, p.Embedded, p.ThinkUs, p.ValueBytesMax, p.Keys, p.Clients = 3, 1, false, 1000, 300, 12, 6
		p.LatencyUs, p.JitterUs, p.QuietAtEnd = 4000, 300, false
		p.Node.ChunkBytes, p.Node.ChunkCredit, p.Node.PartBytes = 1, 1, 1<<20
		p.Broker.WindowBytesMax, p.Broker.JoinPinBytes, p.Broker.ChunkBytes, p.Broker.MinInSync = 4<<10, 1<<20, 256, 1
	}
	reigns := func(p *Plan) {
		p.Nodes, p.FirstNodes, p.Embedded, p.Loss = 3, 3, false, 0
		p.Only, p.FaultEveryUs, p.ThinkUs = []fault{crashBroker, partitionNode, pauseNode}, 200_000, 5000
		p.LatencyUs, p.JitterUs, p.Broker.RecoverWaitMs = 1000, 3000, 50
	}
	adding := func(p *Plan) {
		p.Nodes, p.FirstNodes = 4, min(p.FirstNodes, 4)
		p.Only, p.FaultEveryUs, p.StoreUs = []fault{breakConnection, crashNode, joinNode, slowStore}, 100_000, 20_000
	}
	ids := func(p *Plan) {
		p.IDs, p.Clients, p.ThinkUs, p.Broker.IDKeepMs = true, 5, 5000, 900_000
	}
	idsJoining := func(p *Plan) {
		ids(p)
		p.Nodes, p.FirstNodes, p.Only, p.FaultEveryUs = 3, 3, []fault{crashNode, joinNode}, 300_000
	}
	idsShort := func(p *Plan) {
		ids(p)
		p.Nodes, p.FirstNodes, p.Broker.IDKeepMs = 3, 3, 100
	}
	comparing := func(p *Plan) {
		p.Nodes, p.FirstNodes, p.Keys, p.commands = 3, 3, 40, func(c *client) []string {
			return []string{"SET", "s" + strconv.Itoa(c.w.rng.IntN(40)), "v"} // nobody reads
		}
		p.Broker.VerifyEveryMs, p.Broker.VerifyRangeKeys = 300, 3
	}
	hedging := func(p *Plan) {
		p.Nodes, p.FirstNodes, p.Embedded, p.Keys, p.Clients, p.ThinkUs, p.Loss = 3, 3, false, 1, 5, 3000, 0
		p.Broker.HedgePercentile, p.Only, p.FaultEveryUs = 50, []fault{slowNode}, 100_000
	}
	busyJoins := func(p *Plan) {
		p.Nodes, p.FirstNodes, p.Embedded, p.Clients, p.ThinkUs, p.Loss, p.QuietAtEnd = 3, 1, false, 5, 5000, 0, false
		p.Only, p.FaultEveryUs, p.Broker.JoinFloorBytes, p.Broker.WindowBytesMax = []fault{joinNode, crashNode, slowNode}, 300_000, 20_000, 4<<10
	}
	near := func(p *Plan) {
		p.Keys, p.Clients, p.ThinkUs, p.Broker.NearBytes, p.Versions = 2, 6, 2000, 1<<20, false
	}
	nearSlow := func(p *Plan) {
		near(p)
		p.Nodes, p.FirstNodes, p.Embedded, p.Loss, p.Only, p.FaultEveryUs = 3, 3, false, 0, []fault{slowNode}, 100_000
		p.commands = func(c *client) []string {
			if c.w.chance(0.1) {
				c.serial++
				return []string{"SET", "s0", fmt.Sprint(c.index, c.serial)}
			}
			return []string{"GET", "s0"}
		}
	}
	evicting := func(p *Plan) {
		near(p)
		p.Nodes, p.FirstNodes, p.Embedded, p.Keys, p.Loss = 3, 3, false, 5, 0
		p.Broker.Memory.LimitBytes, p.Broker.Memory.Policy, p.Node.CountLogical = 250, eviction.AllKeysLRU, true
	}
	disks := func(p *Plan) {
		p.Nodes, p.FirstNodes, p.Embedded, p.Disks, p.Always, p.Loss, p.ThinkUs, p.Clients = 3, 3, false, 3, true, 0, 3000, 5
		p.Only, p.FaultEveryUs, p.Broker.MinInSync, p.Versions = []fault{crashAll, crashAll, crashNode}, 600_000, 1, false
	}
	lazyDisks := func(p *Plan) {
		disks(p)
		p.Always = false
	}
	fullDisks := func(p *Plan) {
		disks(p)
		p.Only, p.FaultEveryUs = []fault{fullDisk, crashAll}, 400_000
	}
	return []planted{
		{name: "AckEarly", broker: b{AckEarly: true}, within: 10, found: "3"},
		{name: "NoReadHold", broker: b{NoReadHold: true}, within: 20, found: "8"},
		{name: "HoldOnce", broker: b{HoldOnce: true}, within: 200, found: "8|read", change: lossy},
		{name: "NoFloor", broker: b{NoFloor: true}, within: 50, found: "8"},
		{name: "EjectNotDurable", broker: b{EjectNotDurable: true}, within: 50, found: "3|8|9"},
		{name: "JoinerUncounted", broker: b{JoinerUncounted: true}, within: 200, found: "3|5|8", change: adding},
		{name: "AddEarly", broker: b{AddEarly: true}, within: 20, found: "3|8"},
		{name: "IgnoreDataID", broker: b{IgnoreDataID: true}, within: 50},
		{name: "TrimEarly", broker: b{TrimEarly: true}, within: 50, found: "9", change: narrow},
		{name: "ResumeByIndex", broker: b{ResumeByIndex: true}, within: 300, change: reigns},
		{name: "ReadAnywhere", broker: b{ReadAnywhere: true}, within: 20, found: "5"},
		{name: "OrderAgain", broker: b{OrderAgain: true}, within: 20, found: "6"},
		{name: "SafeGoesBack", broker: b{SafeGoesBack: true}, within: 20, found: "8"},
		{name: "ClockBack", broker: b{ClockBack: true}, within: 50, found: "1", change: reigns},
		{name: "ReplyMixUp", broker: b{ReplyMixUp: true}, within: 20, found: "read|8|6"},
		{name: "ReadGaps", broker: b{ReadGaps: true}, within: 50, found: "snapshot", change: lossy},
		{name: "HedgeHold", broker: b{HedgeHold: true}, within: 100, found: "8|read", change: hedging},
		{name: "OwnVersion", broker: b{OwnVersion: true}, within: 10, change: func(p *Plan) { p.Versions = true }},
		{name: "TwoAnswers", broker: b{TwoAnswers: true}, within: 20, found: "6|8", change: hedging},
		{name: "PaceNoFloor", broker: b{PaceNoFloor: true}, within: 20, found: "9", change: busyJoins},
		{name: "NearKeeps", broker: b{NearKeeps: true}, within: 20, found: "read", change: near},
		{name: "NearStale", broker: b{NearStale: true}, within: 50, found: "read", change: near},
		{name: "NearUnsafe", broker: b{NearUnsafe: true}, within: 50, found: "8", change: nearSlow},
		{name: "NearNoDeadline", broker: b{NearNoDeadline: true}, within: 50, found: "read", change: near},
		{name: "EvictKeepsNear", broker: b{EvictKeepsNear: true}, within: 50, found: "read", change: evicting},
		{name: "OwnEviction", node: n{OwnEviction: true}, within: 20, found: "2|read", change: evicting},
		{name: "EvictIdle", node: n{EvictIdle: true}, within: 50, found: "2", change: evicting},
		{name: "ApplyTwice", node: n{ApplyTwice: true}, within: 20, found: "1"},
		{name: "WallClock", node: n{WallClock: true}, within: 10, found: "2"},
		{name: "OwnSeed", node: n{OwnSeed: 12345}, within: 10, found: "2"},
		{name: "FlipBit", node: n{FlipBit: true}, within: 50, found: "2", change: comparing},
		{name: "MapOrder", node: n{MapOrder: true}, within: 20, found: "2"},
		{name: "KeepDataID", node: n{KeepDataID: true}, within: 200, found: "1|3"},
		{name: "SkipChunk", node: n{SkipChunk: true}, within: 50, found: "2|9"},
		{name: "ForgetIDs", node: n{ForgetIDs: true}, within: 10, found: "11", change: ids},
		{name: "SnapNoIDs", node: n{SnapNoIDs: true}, within: 20, found: "2", change: idsJoining},
		{name: "IDSkew", node: n{IDSkewMs: 20}, within: 10, found: "2", change: idsShort},
		{name: "SyncLate", late: true, within: 20, found: "3|7", change: disks},
		{name: "ForgetPromise", node: n{ForgetPromise: true}, within: 20, found: "7", change: disks},
		{name: "SkipEntry", node: n{SkipEntry: true}, within: 20, found: "2", change: disks},
		{name: "SameName", node: n{SameName: true}, within: 50, found: "3", change: fullDisks},
		{name: "TrustUnclean", node: n{TrustUnclean: true}, within: 20, found: "3", change: lazyDisks},
		{name: "FirstReturned", broker: b{FirstReturned: true}, within: 20, found: "3", change: lazyDisks},
		{name: "AllReturned", broker: b{AllReturned: true}, within: 50, found: "3", change: lazyDisks},
		{name: "LateSnap", node: n{LateSnap: true}, within: 50, found: "2"},
	}
}

// TestPlantedFaultsAreFound shows that the checks can fail, each for its reason.
func TestPlantedFaultsAreFound(t *testing.T) {
	for _, f := range plantedFaults() {
		t.Run(f.name, func(t *testing.T) {
			if f.within > plantedWithin {
				t.Skip("it takes too many seeds under the race detector")
			}
			var first Result
			ran := 0
			runSeeds(1, f.within, func(seed uint64) Options {
				return Options{Seed: seed, Broker: f.broker, Node: f.node, SyncLate: f.late, Change: f.change, Table: table}
			}, func(r Result) bool {
				ran++
				if r.Err != nil && (first.Err == nil || r.Seed < first.Seed) {
					first = r
				}
				return first.Err == nil
			})
			if first.Err == nil {
				t.Fatalf("not found within %d seeds", f.within)
			}
			text := first.Err.Error()
			if len(text) > 250 {
				text = text[:250]
			}
			t.Logf("found by seed %d: %v", first.Seed, text)
			if r := Run(Options{Seed: first.Seed, Change: f.change, Table: table}); r.Err != nil {
				t.Fatalf("seed %d fails without the fault too: %v", first.Seed, r.Err)
			}
			if f.found != "" {
				for _, want := range strings.Split(f.found, "|") {
					if strings.HasPrefix(first.Err.Error(), "invariant "+want) {
						return
					}
				}
				t.Errorf("found by another check than %q", f.found)
			}
		})
	}
}
