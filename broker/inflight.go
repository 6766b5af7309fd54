package broker

import (
	"sync/atomic"
	"time"
)

// inflight bounds the request bytes that are under way. A batch larger than the bound is admitted
// when it is alone.
type inflight struct {
	max  int64
	used atomic.Int64
	free chan struct{} // signalled (capacity 1) on release
}

// acquire takes n bytes, waiting at most that long.
func (f *inflight) acquire(n int64, wait time.Duration) bool {
	if f.try(n) {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-f.free:
			if f.try(n) {
				signal(f.free) // there may be room for another that waits
				return true
			}
		case <-timer.C:
			return f.try(n)
		}
	}
}

func (f *inflight) try(n int64) bool {
	for {
		used := f.used.Load()
		if used > 0 && used+n > f.max {
			return false
		}
		if f.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

func (f *inflight) release(n int64) {
	if f.used.Add(-n)+n > f.max/2 {
		signal(f.free)
	}
}
