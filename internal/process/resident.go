// Package process tells what this process takes of the machine's memory, and what it may take.
package process

import (
	"os"
	"strconv"
	"strings"
)

// ResidentBytes is the process's resident memory, 0 where the system does not tell.
func ResidentBytes() int64 {
	own, files := Resident()
	return own + files
}

// Resident divides it: files is what is the content of files, programs and libraries, some 20 MB, which the system shares
// between processes and can read again.
func Resident() (own, files int64) {
	resident, shared := statm()
	return resident - shared, shared
}

func statm() (resident, shared int64) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 3 {
		return 0, 0
	}
	page := int64(os.Getpagesize())
	resident, _ = strconv.ParseInt(fields[1], 10, 64) // 0 if it is no number
	shared, _ = strconv.ParseInt(fields[2], 10, 64)
	return resident * page, shared * page
}
