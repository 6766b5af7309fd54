package daemon

import (
	"runtime"
	"time"
)

// Linger is how long the owner goroutines of links, so many, may keep a processor while they wait (see
// link/zmq's Options): not at all where none would be left to the others.
func Linger(owners int) time.Duration {
	if runtime.GOMAXPROCS(0) <= owners {
		return 0
	}
	return 2 * time.Millisecond
}
