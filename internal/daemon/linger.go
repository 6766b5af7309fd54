package daemon

import (
	"runtime"
	"time"
)

// Linger is how long the owner goroutine of a link may keep a processor while it waits (see link/zmq's
// Options): not at all where none would be left to the others.
func Linger() time.Duration {
	if runtime.GOMAXPROCS(0) < 2 {
		return 0
	}
	return 2 * time.Millisecond
}
