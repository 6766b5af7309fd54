package server

import (
	"math"
	"strconv"

	"brainer/internal/eviction"
	"brainer/internal/process"
)

// memoryParams are Redis's parameters of the memory limit.
func memoryParams(b Backend) []Param {
	settings := func() eviction.Settings { return b.Status().Memory.Settings }
	count := func(name string, least int64, of func(*eviction.Settings) *int) Param {
		return Param{
			Name: name,
			Get: func() string {
				s := settings()
				return strconv.Itoa(*of(&s))
			},
			Set: func(v string) error {
				n, err := strconv.ParseInt(v, 10, 64)
				if err != nil {
					return errNotInteger
				}
				if n < least || n > math.MaxInt32 {
					return errBetween(least, math.MaxInt32)
				}
				b.SetMemory(func(s *eviction.Settings) { *of(s) = int(n) })
				return nil
			},
		}
	}
	return []Param{
		{
			Name: "maxmemory",
			Get:  func() string { return strconv.FormatInt(settings().LimitBytes, 10) },
			Set: func(v string) error {
				n, err := process.ParseBytes(v)
				if err != nil {
					return errNotMemory
				}
				b.SetMemory(func(s *eviction.Settings) { s.LimitBytes = n })
				return nil
			},
		},
		{
			Name: "maxmemory-policy",
			Get:  func() string { return settings().Policy.String() },
			Set: func(v string) error {
				p, err := eviction.ParsePolicy(v)
				if err == nil {
					b.SetMemory(func(s *eviction.Settings) { s.Policy = p })
				}
				return err
			},
		},
		count("maxmemory-samples", 1, func(s *eviction.Settings) *int { return &s.Samples }),
		count("lfu-log-factor", 0, func(s *eviction.Settings) *int { return &s.LogFactor }),
		count("lfu-decay-time", 0, func(s *eviction.Settings) *int { return &s.DecayMinutes }),
	}
}
