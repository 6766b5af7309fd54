package zmq

/*
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
static void keep_memory(int map_above, int trim_above) {
	mallopt(M_MMAP_THRESHOLD, map_above);
	mallopt(M_TRIM_THRESHOLD, trim_above);
}
#else
static void keep_memory(int map_above, int trim_above) {}
#endif
*/
import "C"

const (
	mallocMapAbove  = 4 << 20  // more than any message takes
	mallocTrimAbove = 64 << 20 // what a heap of C's may keep free
)

// keepMemory has the C library keep what messages have taken for the next ones. It gives them back to
// the system otherwise, and with messages of 256 KB taking them anew costs more than copying: each page
// is a fault, and is cleared.
func keepMemory() { C.keep_memory(mallocMapAbove, mallocTrimAbove) }
