// Package process tells what this process takes of the machine's memory, and what it may take.
package process

import (
	"os"
	"strconv"
	"strings"
)

// ResidentBytes is the process's resident memory, 0 where the system does not tell.
func ResidentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64) // 0 if it is no number
	return pages * int64(os.Getpagesize())
}
