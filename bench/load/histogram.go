//go:build linux

package load

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets whose width is at most 1/64 of their value, from 1 ns to
// hours, like HdrHistogram with two digits.
type Histogram struct {
	counts [bucketsMax]uint64
	total  uint64
}

const (
	subBits    = 6 // 64 buckets for each doubling
	bucketsMax = (64 - subBits) << subBits
)

// Add counts n commands that took d each.
func (h *Histogram) Add(d time.Duration, n int) {
	h.counts[bucket(uint64(max(d, 0)))] += uint64(n)
	h.total += uint64(n)
}

// Merge adds what other counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// Total is how many durations were counted.
func (h *Histogram) Total() uint64 { return h.total }

// Quantile is the duration that the share q of the counted ones does not exceed, rounded up to
// the end of its bucket; 0 when nothing was counted.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.total))
	var seen uint64
	for i, n := range h.counts {
		seen += n
		if n > 0 && (seen > rank || seen == h.total) {
			return time.Duration(upper(i))
		}
	}
	return 0
}

func bucket(v uint64) int {
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift<<subBits + int(v>>shift)
}

// upper is the largest value of bucket i.
func upper(i int) uint64 {
	shift := max(i>>subBits-1, 0)
	return (uint64(i-shift<<subBits)+1)<<shift - 1
}
