package replication

import (
	"bytes"
	"fmt"
	"testing"
)

// TestWindowKeepsWhatItIsGiven mixes entries that are copied with such that last, of all sizes, while
// the oldest go.
func TestWindowKeepsWhatItIsGiven(t *testing.T) {
	w := window{chunkBytes: 100}
	w.reset(1)
	want := map[uint64][]byte{}
	for i := uint64(1); i < 2000; i++ {
		e := bytes.Repeat(fmt.Appendf(nil, "%d,", i), int(i*i%90)+1)
		want[i] = e
		if i%7 == 0 {
			w.put(append(make([]byte, 0, 50), e[0]), e[1:], i, 0)
		} else {
			w.end(append(w.begin(len(e)), e...), 0)
		}
		w.trim(2000, 0, i+1)
		for from := w.first; from <= w.last; {
			count, encoded, tail := w.run(from, w.last, 1<<20)
			var all []byte
			for k := range uint64(count) {
				all = append(all, want[from+k]...)
			}
			if count == 0 || string(encoded)+string(tail.Bytes) != string(all) {
				t.Fatalf("after %d: entries from %d on are %q and %q, want %q", i, from, encoded, tail.Bytes, all)
			}
			from += uint64(count)
		}
	}
	for from := w.first - 1; from <= w.last; from++ {
		sum := int64(0)
		for to := from; to <= w.last; to++ {
			if to > from {
				sum += int64(len(want[to]))
			}
			if got := w.bytesBetween(from, to); got != sum {
				t.Fatalf("%d bytes behind %d up to %d, want %d", got, from, to, sum)
			}
		}
	}
	if w.bytes > 4000 || w.bytes != w.bytesBetween(w.first-1, w.last) {
		t.Errorf("%d bytes, %d in the entries", w.bytes, w.bytesBetween(w.first-1, w.last))
	}
	if len(w.spares) == 0 {
		t.Error("no memory is used again")
	}
}
