package metrics

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestObservationFallsIntoItsBucket(t *testing.T) {
	var h Histogram
	h.Observe(0, 1)
	h.Observe(bounds[0], 1) // an upper end belongs to its bucket
	h.Observe(bounds[0]+1, 2)
	h.Observe(time.Hour, 1) // above all bounds
	count, sum, upTo := h.read()
	if want := (time.Hour + 3*bounds[0] + 2).Seconds(); count != 5 || sum != want {
		t.Errorf("count %d sum %v, want 5 and %v", count, sum, want)
	}
	if got := upTo[bounds[0].Seconds()]; got != 2 {
		t.Errorf("up to %v: %d, want 2", bounds[0], got)
	}
	for _, b := range bounds[1:] {
		if got := upTo[b.Seconds()]; got != 4 {
			t.Errorf("up to %v: %d, want 4", b, got)
		}
	}
}

// What one pipeline of 16 commands costs: ours in one call, the library's one by one. Parallel runs
// contend for the same counters, as connections do that all send GET.
func BenchmarkObserve(b *testing.B) {
	const pipeline = 16
	const took = 300 * time.Microsecond
	var c Command
	seconds := make([]float64, len(bounds))
	for i, d := range bounds {
		seconds[i] = d.Seconds()
	}
	lib := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Buckets: seconds})
	libCount := prometheus.NewCounter(prometheus.CounterOpts{Name: "c"})
	for _, bench := range []struct {
		name string
		run  func()
	}{
		{"one", func() { c.Observe(1, 0, took) }},
		{"pipeline", func() { c.Observe(pipeline, 0, took) }},
		{"library-one", func() { libCount.Inc(); lib.Observe(took.Seconds()) }},
		{"library-pipeline", func() {
			libCount.Add(pipeline)
			for range pipeline {
				lib.Observe(took.Seconds())
			}
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bench.run()
			}
		})
		b.Run(bench.name+"-parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					bench.run()
				}
			})
		})
	}
}
