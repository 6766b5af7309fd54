package broker

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// inflight bounds the request bytes that are under way. Who waits is served in turn, so that a large
// batch is not starved by small ones; one larger than the bound is admitted when it is alone.
type inflight struct {
	max  int64
	sem  *semaphore.Weighted
	used atomic.Int64
}

func newInflight(max int64) *inflight {
	return &inflight{max: max, sem: semaphore.NewWeighted(max)}
}

// try takes n bytes if nobody has to wait for them.
func (f *inflight) try(n int64) bool {
	if !f.sem.TryAcquire(min(n, f.max)) {
		return false
	}
	f.used.Add(n)
	return true
}

// acquire takes n bytes, waiting at most that long.
func (f *inflight) acquire(n int64, wait time.Duration) bool {
	if f.try(n) {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if f.sem.Acquire(ctx, min(n, f.max)) != nil {
		return false
	}
	f.used.Add(n)
	return true
}

func (f *inflight) release(n int64) {
	f.used.Add(-n)
	f.sem.Release(min(n, f.max))
}
