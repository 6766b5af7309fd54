package keyspace

import (
	"fmt"
	"testing"
)

// What is dropped does not count any more at once, and what is left does as it did before once that is freed.
func TestDroppedTablesDoNotCount(t *testing.T) {
	for name, size := range map[string]func(i int) int{
		"16":    func(int) int { return 16 },
		"1024":  func(int) int { return 1024 },
		"mixed": func(i int) int { return i * 7919 % 3000 },
	} {
		for _, due := range []int64{0, nowMs + 1e9} {
			fill := func(k *Keyspace, db, n int) {
				for i := range n {
					k.SetString(db, fmt.Appendf(nil, "key:%08d", i), make([]byte, size(i)), due, nowMs)
				}
				w := k.HashForWrite(db, []byte("hash"), nowMs)
				for i := range n / 2 {
					w.Set(fmt.Appendf(nil, "field:%08d", i), make([]byte, size(i)))
				}
			}
			k := New()
			fill(k, 1, 20_000)
			left := k.MemoryBytes()
			fill(k, 0, 40_000)
			near := func(when string, percent int64) {
				if got := k.MemoryBytes(); got < left*(100-percent)/100 || got > left*(100+percent)/100 {
					t.Errorf("values of %s bytes, deadline %v, %s: it takes %d, what is left took %d", name, due > 0, when, got, left)
				}
			}
			k.Delete(0, []byte("hash"), nowMs)
			if !k.Dropped() {
				t.Fatal("the hash is not big enough to be freed in pieces")
			}
			k.Flush(0)
			const roughly = 60 // as weights tell what is dropped
			near("when it is flushed", roughly)
			for k.Dropped() {
				k.Reclaim(nowMs, 0)
				near("while it is freed", roughly)
			}
			near("when it has been freed", 0)
			if in := k.m.inGraves(); in != 0 {
				t.Errorf("%d bytes are in graves, of which there are none", in)
			}
		}
	}
}
