package replication

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"testing"

	"brainer/internal/op"
)

// A key of more than one part in hotCounters of all operations has a counter at the end, and one that is far ahead of
// the others is counted exactly.
func TestHotKeysAreFound(t *testing.T) {
	h := hot{every: 1, byKey: map[uint64]*hotCounter{}}
	r := rand.New(rand.NewPCG(1, 1))
	z := rand.NewZipf(r, 1.1, 1, 1_000_000)
	asked := map[uint64]int64{}
	const n = 200_000
	for range n {
		k := z.Uint64()
		asked[k]++
		h.asksFor(&op.Op{Kind: op.Read, Keys: []uint64{k}, Key: fmt.Append(nil, k)})
	}
	if len(h.counters) != hotCounters || len(h.byKey) != hotCounters {
		t.Fatalf("%d counters, %d keys", len(h.counters), len(h.byKey))
	}
	for k, times := range asked {
		c := h.byKey[k]
		if times > n/hotCounters && c == nil {
			t.Errorf("key %d, asked for %d times, has no counter", k, times)
		}
		if c != nil && (c.count() < times || c.reads > times || string(c.name) != fmt.Sprint(k)) {
			t.Errorf("key %d, asked for %d times, counts %d to %d as %q", k, times, c.reads, c.count(), c.name)
		}
	}
	if c := h.byKey[0]; c == nil || cmp.Compare(c.reads, asked[0]) != 0 {
		t.Errorf("the hottest, asked for %d times: %+v", asked[0], c)
	}
}

func TestOneOperationInAFewIsCounted(t *testing.T) {
	h := hot{every: 16, byKey: map[uint64]*hotCounter{}}
	o := &op.Op{Kind: op.Write, Keys: []uint64{7}}
	for range 1600 {
		h.asksFor(o)
	}
	if c := h.byKey[7]; c == nil || c.writes != 100 || c.reads != 0 {
		t.Errorf("%+v", c)
	}
	if n := testing.AllocsPerRun(1000, func() { h.asksFor(o) }); n > 0 {
		t.Errorf("%v allocations an operation", n)
	}
}
