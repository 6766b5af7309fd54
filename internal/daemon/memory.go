package daemon

import (
	"fmt"

	"brainer/internal/process"
)

// MemoryLimit reads --maxmemory.
func MemoryLimit(text string) (int64, error) {
	n, err := process.ParseShare(text, process.AvailableBytes)
	if err != nil {
		return 0, fmt.Errorf("--maxmemory %s: %w", text, err)
	}
	return n, nil
}
