//go:build linux

package main

import (
	"slices"
	"strconv"
)

// median of values, which are not empty; of an even number the mean of the two in the middle.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

func column(samples []sample, of func(sample) float64) []float64 {
	var values []float64
	for _, s := range samples {
		values = append(values, of(s))
	}
	return values
}

// pairs are the ratios of runs that followed each other; those without a peer or a value are left out.
func pairs(ours, peer []sample, of func(sample) float64) []float64 {
	var ratios []float64
	for i := range min(len(ours), len(peer)) {
		if p := of(peer[i]); p > 0 && of(ours[i]) > 0 {
			ratios = append(ratios, of(ours[i])/p)
		}
	}
	return ratios
}

// number writes v with three digits or more, and commas between thousands.
func number(v float64) string {
	digits := 0
	switch {
	case v < 0.995:
		digits = 3
	case v < 9.95:
		digits = 2
	case v < 99.5:
		digits = 1
	}
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if digits > 0 {
		return s
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
