package replication

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestLatenciesTellPercentiles(t *testing.T) {
	for i := range len(latencies{}.counts) - 1 {
		if end := stepEnds(i); step(end-1) != i || step(end) != i+1 {
			t.Fatalf("step %d ends at %d: %d is in %d and %d in %d", i, end, end-1, step(end-1), end, step(end))
		}
	}
	var l latencies
	var times []int64
	r := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		us := int64(r.ExpFloat64() * 700)
		times = append(times, us)
		l.add(us)
	}
	slices.Sort(times)
	for _, percent := range []float64{50, 95, 99.9} {
		exact := times[int(percent/100*float64(len(times)))-1]
		if got := l.percentile(percent); got <= exact || got > exact*5/4+1 {
			t.Errorf("p%v: %d, exactly %d", percent, got, exact)
		}
	}
	l.halve()
	if l.total > 5000 || l.total < 4900 {
		t.Errorf("%d are left of 10000 after one halving", l.total)
	}
	l.add(-5) // a clock that was set back
	l.add(1 << 62)
}
