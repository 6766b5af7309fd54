package sim

import (
	"strings"
	"testing"

	"brainer/broker/replication"
	"brainer/internal/op"
	"brainer/node/replica"
)

// planted is a mistake, and the check that has to find it within so many seeds.
type planted struct {
	name   string
	broker replication.Fault
	node   replica.Fault
	within uint64
	found  string // what the failure begins with; several are parted by |
	change func(*Plan)
}

func plantedFaults() []planted {
	type b = replication.Fault
	type n = replica.Fault
	return []planted{
		{name: "AckEarly", broker: b{AckEarly: true}, within: 20},
		{name: "NoReadHold", broker: b{NoReadHold: true}, within: 2000},
		{name: "HoldOnce", broker: b{HoldOnce: true}, within: 2000},
		{name: "EjectNotDurable", broker: b{EjectNotDurable: true}, within: 200},
		{name: "JoinerUncounted", broker: b{JoinerUncounted: true}, within: 1000},
		{name: "IgnoreDataID", broker: b{IgnoreDataID: true}, within: 200},
		{name: "AddEarly", broker: b{AddEarly: true}, within: 200},
		{name: "TrimEarly", broker: b{TrimEarly: true}, within: 1000},
		{name: "ResumeByIndex", broker: b{ResumeByIndex: true}, within: 2000},
		{name: "OldSessions", broker: b{OldSessions: true}, within: 500},
		{name: "ReadAnywhere", broker: b{ReadAnywhere: true}, within: 20},
		{name: "OrderAgain", broker: b{OrderAgain: true}, within: 200},
		{name: "SafeGoesBack", broker: b{SafeGoesBack: true}, within: 2000},
		{name: "NoFloor", broker: b{NoFloor: true}, within: 2000},
		{name: "ClockBack", broker: b{ClockBack: true}, within: 2000},
		{name: "ReplyMixUp", broker: b{ReplyMixUp: true}, within: 50},
		{name: "ApplyTwice", node: n{ApplyTwice: true}, within: 50},
		{name: "NoGapCheck", node: n{NoGapCheck: true}, within: 100},
		{name: "IgnoreEpoch", node: n{IgnoreEpoch: true}, within: 2000},
		{name: "WallClock", node: n{WallClock: true}, within: 50},
		{name: "OwnSeed", node: n{OwnSeed: 12345}, within: 50},
		{name: "KeepDataID", node: n{KeepDataID: true}, within: 2000},
		{name: "SkipChunk", node: n{SkipChunk: true}, within: 200},
		{name: "LateSnap", node: n{LateSnap: true}, within: 200},
	}
}

var _ = op.AckAll

// TestPlantedFaultsAreFound shows that the checks can fail, each for its reason.
func TestPlantedFaultsAreFound(t *testing.T) {
	for _, f := range plantedFaults() {
		t.Run(f.name, func(t *testing.T) {
			var first Result
			ran := 0
			runSeeds(1, f.within, func(seed uint64) Options {
				return Options{Seed: seed, Broker: f.broker, Node: f.node, Change: f.change, Table: table}
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
			if f.found != "" {
				for _, want := range strings.Split(f.found, "|") {
					if strings.HasPrefix(first.Err.Error(), want) {
						return
					}
				}
				t.Errorf("found by another check than %q", f.found)
			}
		})
	}
}
