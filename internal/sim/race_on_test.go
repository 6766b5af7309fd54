//go:build race

package sim

const (
	seedsDefault  = 60
	plantedWithin = 20
)
