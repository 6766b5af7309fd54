package replica

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"brainer/internal/wire"
)

// journal is a storage that forgets nothing.
type journal struct {
	log, since, snapshot, next [][]byte
	writing                    bool
}

func (j *journal) take(changes []Change) {
	for _, c := range changes {
		b := bytes.Clone(c.Bytes)
		switch c.Kind {
		case ChangeEntry:
			j.append(AppendEntries(nil, c.Position, [][]byte{b}))
		case ChangeRecord:
			j.append(b)
		case ChangeSnapshot:
			j.writing, j.next, j.since = true, [][]byte{b}, nil
		case ChangeChunk:
			j.next = append(j.next, b)
		case ChangeSnapshotEnd:
			j.snapshot, j.log, j.writing = append(j.next, b), j.since, false
		case ChangeSnapshotAbort:
			j.writing = false
		}
	}
}

func (j *journal) append(record []byte) {
	j.log = append(j.log, record)
	j.since = append(j.since, record)
}

// revive is the next life of a node that had kept j.
func revive(t testing.TB, j *journal, change func(*Config), durable bool) *hand {
	t.Helper()
	h := &hand{t: t, epoch: 1, session: 1, era: 1, nowMs: 1_700_000_000_000, drawn: 500 + 10*uint64(len(j.log))}
	cfg := DefaultConfig()
	cfg.NodeID, cfg.Incarnation, cfg.Table, cfg.Keep = "n", 2, table, true
	cfg.Rand = func() uint64 { h.drawn++; return h.drawn * 1000 }
	if change != nil {
		change(&cfg)
	}
	h.r = New(cfg)
	if err := h.restore(j, durable); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *hand) restore(j *journal, durable bool) error {
	h.r.BeginRestore()
	for _, records := range [][][]byte{j.snapshot, j.log} {
		for _, r := range records {
			if err := h.r.Restore(bytes.Clone(r)); err != nil {
				return err
			}
		}
	}
	_, err := h.r.EndRestore(durable, true)
	j.take(h.r.TakeChanges(nil))
	return err
}

// revivals lets a copy live several times, with snapshots in between, beside one that never dies, and says how they differ.
func revivals(t testing.TB, seed uint64, fault Fault) error {
	r := rand.New(rand.NewPCG(seed, 4))
	chunk := []int{1, 100, 5000}[r.IntN(3)]
	change := func(c *Config) {
		c.ChunkBytes, c.PartBytes, c.Keep, c.Fault = chunk, 3+r.IntN(10), true, fault
	}
	steady := begun(t, func(c *Config) { c.ReclaimPerEntry = 20 })
	j := &journal{}
	mortal := revive(t, j, change, true)
	mortal.r.Open(1)
	mortal.r.Receive(wire.Prepare{BrokerRun: 9, Number: ownNumber}.Append(nil, mortal.head()))
	mortal.r.Receive(wire.Load{ClusterID: cluster}.Append(nil, mortal.head()))
	for range 4 {
		for range r.IntN(150) {
			steady.nowMs += int64(r.IntN(5))
			var one []item
			steady.send(record(randomEntry(r), &one))
			mortal.nowMs = steady.nowMs
			mortal.send(one[0])
			if r.IntN(40) == 0 {
				mortal.r.KeepSnapshot()
			}
			if mortal.r.KeepsSnapshot() && r.IntN(2) == 0 {
				mortal.r.PumpKept()
			}
			j.take(mortal.r.TakeChanges(nil))
		}
		id, _, _, _ := mortal.r.Copy()
		_, promised := mortal.r.Session()
		pos, era := mortal.pos, mortal.era
		mortal = revive(t, j, change, true)
		mortal.pos, mortal.era = pos, era
		again, c, p, digest := mortal.r.Copy()
		_, _, want, wantDigest := steady.r.Copy()
		for laterMs := int64(0); laterMs < 3000; laterMs += 100 {
			if a, b := steady.r.StateDigest(steady.nowMs+laterMs), mortal.r.StateDigest(steady.nowMs+laterMs); a != b {
				return fmt.Errorf("%d ms later the states differ", laterMs)
			}
		}
		switch _, s := mortal.r.Session(); {
		case p != want || digest != wantDigest || c != cluster:
			return fmt.Errorf("at %v %x of %d, want %v %x", p, digest, c, want, wantDigest)
		case again != id:
			return fmt.Errorf("the data id was %d and is %d", id, again)
		case s != promised:
			return fmt.Errorf("promised %d, and then %d", promised, s)
		}
		mortal.r.Open(1)
		mortal.r.Receive(wire.Prepare{BrokerRun: 9, Number: ownNumber}.Append(nil, mortal.head()))
	}
	return nil
}

func TestACopyComesBackWhereItWas(t *testing.T) {
	for seed := uint64(1); seed <= 40; seed++ {
		if err := revivals(t, seed, Fault{}); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func TestPlantedFaultsOfKeepingAreFound(t *testing.T) {
	for name, f := range map[string]Fault{"SkipEntry": {SkipEntry: true}, "ForgetTTL": {ForgetTTL: true}, "ForgetPromise": {ForgetPromise: true},
		"SnapNoIDs": {SnapNoIDs: true}} {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); seed <= 40; seed++ {
				if err := revivals(t, seed, f); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Error("not found")
		})
	}
}

func TestACopyThatMayLackSomethingIsAnotherCopy(t *testing.T) {
	for _, c := range []struct {
		name           string
		durable, clean bool
		same           bool
	}{
		{"fsync always", true, false, true},
		{"a clean end", false, true, true},
		{"a clean end under fsync always", true, true, true},
		{"killed", false, false, false},
	} {
		j := &journal{}
		h := revive(t, j, nil, c.durable)
		first, _, _, _ := h.r.Copy()
		h.r.Open(1)
		h.r.Receive(wire.Prepare{BrokerRun: 9, Number: ownNumber}.Append(nil, h.head()))
		h.r.Receive(wire.Load{ClusterID: cluster}.Append(nil, h.head()))
		h.send(do("SET", "a", "1"))
		j.take(h.r.TakeChanges(nil))
		if c.clean {
			j.append(EndRecord())
		}
		again := revive(t, j, nil, false)
		second, _, p, _ := again.r.Copy()
		if (first == second) != c.same || p.Index != 1 {
			t.Errorf("%s: data id %d, then %d, at %v", c.name, first, second, p)
		}
		third, _, _, _ := revive(t, j, nil, false).r.Copy()
		if third == second {
			t.Errorf("%s: the life after was killed, and is taken for whole", c.name)
		}
	}
}

// A snapshot that a joiner takes is kept as it comes, and counts when it is whole.
func TestAJoinersSnapshotIsKept(t *testing.T) {
	donor := begun(t, nil)
	for i := range 50 {
		donor.send(do("SET", fmt.Sprint("k", i), strings.Repeat("v", i)))
	}
	small := func(c *Config) { c.ChunkBytes = 100; c.Keep = true }
	donor.r.cfg.ChunkBytes = 100
	for _, whole := range []bool{true, false} {
		j := &journal{}
		joiner := revive(t, j, small, true)
		joiner.r.Open(1)
		joiner.r.Receive(wire.Prepare{BrokerRun: 9, Number: ownNumber}.Append(nil, joiner.head()))
		x := begin(t, donor, joiner, 600)
		for range 3 {
			x.step()
		}
		for whole && !x.loaded && x.step() {
		}
		id, _, _, _ := joiner.r.Copy()
		j.take(joiner.r.TakeChanges(nil))
		again, _, p, _ := revive(t, j, small, true).r.Copy()
		if whole && (p != donor.pos || again != id) || !whole && (p.Index != 0 || again == id) {
			t.Errorf("whole %v: copy %d at %v comes back as %d", whole, id, p, again)
		}
		donor.r.closeDonations()
	}
}

func TestWhatDoesNotFitIsNotRestored(t *testing.T) {
	j := &journal{}
	h := revive(t, j, nil, true)
	h.r.Open(1)
	h.r.Receive(wire.Prepare{BrokerRun: 9, Number: ownNumber}.Append(nil, h.head()))
	h.r.Receive(wire.Load{ClusterID: cluster}.Append(nil, h.head()))
	for range 5 {
		h.send(do("INCR", "a"))
	}
	j.take(h.r.TakeChanges(nil))
	other := func(c *Config) { c.NodeID = "m" }
	fresh := func(change func(*Config)) *hand {
		h := begun(t, change)
		h.r.cfg.Keep = true
		return h
	}
	if err := fresh(other).restore(j, true); err == nil || !strings.Contains(err.Error(), `copy of node "n", and this is "m"`) {
		t.Errorf("another node's: %v", err)
	}
	gap := &journal{log: append(append([][]byte{}, j.log[:4]...), j.log[5:]...)}
	if err := fresh(nil).restore(gap, true); !errors.Is(err, errKept) {
		t.Errorf("a record is missing: %v", err)
	}
	for i, record := range j.log {
		for cut := range record {
			h := fresh(nil)
			h.r.BeginRestore()
			var err error
			for _, r := range j.log[:i] {
				err = errors.Join(err, h.r.Restore(bytes.Clone(r)))
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := h.r.Restore(bytes.Clone(record[:cut])); err == nil {
				t.Fatalf("record %d cut at %d is taken", i, cut)
			}
		}
	}
}
