package process

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// AvailableBytes is what this process may take at most: its cgroup's limit, or the machine's memory.
func AvailableBytes() (int64, error) {
	n, err := memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)()
	if err != nil {
		return 0, fmt.Errorf("find the memory limit of this process: %w", err)
	}
	return int64(min(n, math.MaxInt64)), nil
}

// ParseBytes reads a number of bytes as redis.conf writes it: 512mb is 512*1024*1024, 1k is 1000.
func ParseBytes(text string) (int64, error) {
	lower := strings.ToLower(text)
	digits := strings.TrimRight(lower, "bkmg")
	unit, ok := map[string]int64{
		"": 1, "b": 1, "k": 1e3, "kb": 1 << 10, "m": 1e6, "mb": 1 << 20, "g": 1e9, "gb": 1 << 30,
	}[lower[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 0 || n > (1<<63-1)/unit {
		return 0, fmt.Errorf("%q is no number of bytes", text)
	}
	return n * unit, nil
}

// ParseShare is ParseBytes, or a percentage of what is available.
func ParseShare(text string, available func() (int64, error)) (int64, error) {
	number, ok := strings.CutSuffix(text, "%")
	if !ok {
		return ParseBytes(text)
	}
	percent, err := strconv.ParseFloat(number, 64)
	if err != nil || !(percent > 0 && percent <= 100) {
		return 0, errors.New("a percentage is more than 0 % and at most 100 %")
	}
	all, err := available()
	if err != nil {
		return 0, err
	}
	return int64(float64(all) * percent / 100), nil
}

// The share of a memory limit that Go's heap may grow into before its collector runs all the time, the least, and by how
// much it may grow beyond what is in use, in %.
const (
	heapShare  = 16
	heapLeast  = 32 << 20
	heapGrowth = 50
)

// LimitHeap has Go's collector keep its heap small in a process whose data lies outside of it, unless the environment
// says what it is to do (GOMEMLIMIT, GOGC).
func LimitHeap(limitBytes int64) {
	if limitBytes > 0 {
		LimitHeapTo(max(limitBytes/heapShare, heapLeast))
	}
}

// LimitHeapTo is LimitHeap for a heap that may take so much.
func LimitHeapTo(bytes int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(bytes)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
}
