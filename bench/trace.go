//go:build linux

package main

import (
	"math"
	"math/rand/v2"
)

// trace is a sequence of keys that a cache is asked for; what it does not have is then written.
type trace struct {
	name, what string
	begin      func(r *rand.Rand, keys uint64, worker, requests int) func(i int) uint64
}

// traces are those of -memory. Each worker has its own part of the randomness, and all the same keys.
func traces() []trace {
	return []trace{
		{"zipf-1.0", "zipf 1.0", func(r *rand.Rand, keys uint64, _, _ int) func(int) uint64 { return harmonic(r, keys) }},
		{"zipf-1.1", "zipf 1.1", func(r *rand.Rand, keys uint64, _, _ int) func(int) uint64 {
			z := rand.NewZipf(r, 1.1, 1, keys-1)
			return func(int) uint64 { return z.Uint64() }
		}},
		{"loop", "zipf 1.0, and in every fourth request a loop over as many other keys", func(r *rand.Rand, keys uint64, worker, _ int) func(int) uint64 {
			z, at := harmonic(r, keys), uint64(worker)*keys/traceWorkers
			return func(i int) uint64 {
				if i%4 > 0 {
					return z(i)
				}
				at++
				return keys + at%keys
			}
		}},
		{"shift", "zipf 1.0, whose keys are others after each eighth of the trace, for half of them", func(r *rand.Rand, keys uint64, _, requests int) func(int) uint64 {
			z := harmonic(r, keys)
			return func(i int) uint64 {
				k := z(i)
				if k%2 == 0 {
					k += uint64(i*8/requests) * 2 * keys
				}
				return k
			}
		}},
	}
}

// harmonic draws from 0 to keys-1, number k about 1/(k+1) times as often as number 0.
func harmonic(r *rand.Rand, keys uint64) func(int) uint64 {
	top := math.Log(float64(keys) + 1)
	return func(int) uint64 { return min(uint64(math.Exp(r.Float64()*top))-1, keys-1) }
}

// scattered makes keys of numbers, so that neighbours in a trace are none in the server.
func scattered(b []byte, number uint64) []byte {
	number = (number ^ number>>31) * 0x7fb5d329728ea185
	number ^= number >> 27
	for i := range 16 {
		b = append(b, "0123456789abcdef"[number>>(4*i)&15])
	}
	return b
}
