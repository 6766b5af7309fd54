//go:build !race

package sim

const (
	seedsDefault  = 600
	plantedWithin = 1 << 30 // faults that need more seeds are left out
)
