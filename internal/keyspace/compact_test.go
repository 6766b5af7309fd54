package keyspace

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// checkBlobs checks what is counted of spans against where the blobs lie.
func checkBlobs(t *testing.T, a *blobs, all map[*blob]bool) {
	t.Helper()
	live := make([]int, len(a.classes))
	for o := range all {
		if o.span == 0 {
			continue
		}
		s := a.spans[o.span]
		at := int(o.at) * s.class.block
		live[s.class.number]++
		if &o.b[:1][0] != &s.mem[at] || cap(o.b) != s.class.block {
			t.Fatal("a blob does not lie in its block")
		}
		if s.heads != nil && s.heads[o.at] != o.head {
			t.Fatalf("block %d is that of blob %d, and of %d for its span", o.at, o.head, s.heads[o.at])
		}
	}
	for i := range a.classes {
		c := &a.classes[i]
		vacant := 0
		for place, s := range c.partial {
			vacant += len(s.free)
			if s.place != place || len(s.free) == 0 || s == a.emptied || len(s.free)+s.live != c.span/c.block {
				t.Fatalf("span %d with %d blocks in use, %d free, at %d, not %d", s.number, s.live, len(s.free), place, s.place)
			}
		}
		if c.live != live[i] || c.vacant != vacant {
			t.Fatalf("blocks of %d: %d in use and %d free, %d and %d were counted", c.block, live[i], vacant, c.live, c.vacant)
		}
	}
}

// spanBytes is what is resident for values of up to 16 KB, but for what is kept for the next.
func (a *blobs) spanBytes() (sum int) {
	for _, s := range a.spans {
		if s != nil && s.heads != nil {
			sum += len(s.mem)
		}
	}
	return sum
}

// TestScatteredDeletionsGiveMemoryBack, while a snapshot and a view see what was there.
func TestScatteredDeletionsGiveMemoryBack(t *testing.T) {
	const keys = 20_000
	r := rand.New(rand.NewPCG(3, 4))
	name := func(i int) []byte { return fmt.Appendf(nil, "key %d", i) }
	value := func(i int) []byte { return bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 550+i%5*350) }
	k := New()
	for i := range keys {
		k.SetString(0, name(i), value(i), 0, 1)
	}
	full := k.m.blobs.spanBytes()
	sn := k.BeginSnapshot(0)
	view := k.ViewKeys(0, 1)
	seen := 0
	look := func() {
		if !view.Next() {
			t.Fatal("the view ends early")
		}
		var i int
		fmt.Sscanf(string(view.Key()), "key %d", &i)
		if !bytes.Equal(view.Value().String, value(i)) {
			t.Fatalf("key %d in the view is not what it was", i)
		}
		seen++
	}
	emitted := 0
	emit := func(rec Record) {
		var i int
		fmt.Sscanf(string(rec.Key), "key %d", &i)
		if !bytes.Equal(rec.Value, value(i)) {
			t.Fatalf("key %d in the snapshot is not what it was", i)
		}
		emitted++
	}
	left := map[int]bool{}
	for _, i := range r.Perm(keys) {
		if i%4 == 0 {
			left[i] = true
			continue
		}
		k.Delete(0, name(i), 1)
		k.Reclaim(1, 10)
		if i%8 == 1 {
			look()
			sn.Next(2000, emit)
		}
	}
	for seen < keys {
		look()
	}
	view.Close()
	for !sn.Next(1<<20, emit) {
	}
	sn.Close()
	if emitted != keys {
		t.Errorf("%d keys in the snapshot, %d were there", emitted, keys)
	}
	for k.Dropped() {
		k.Reclaim(1, 10)
	}
	for i := range left {
		if v, ok := k.Peek(0, name(i), 1); !ok || !bytes.Equal(v.String, value(i)) {
			t.Fatalf("key %d is not what it was", i)
		}
	}
	k.checkLayout(t)
	if now := k.m.blobs.spanBytes(); now > full/4+full/16 {
		t.Errorf("a quarter of the keys takes %d bytes, all took %d", now, full)
	}
}

// TestASpanThatIsBeingEmptiedIsUsedAgain when the free blocks that its blobs were to move to are taken.
func TestASpanThatIsBeingEmptiedIsUsedAgain(t *testing.T) {
	k := New()
	name := func(i int) []byte { return fmt.Appendf(nil, "key %d", i) }
	value := make([]byte, 1100)
	for i := range 2000 {
		k.SetString(0, name(i), value, 0, 1)
	}
	a := &k.m.blobs
	for i := 0; a.emptied == nil; i += 3 {
		k.Delete(0, name(i), 1)
		k.Reclaim(1, 10)
	}
	for i := 10_000; len(a.emptied.class.partial) > 0; i++ {
		k.SetString(0, name(i), value, 0, 1)
	}
	k.Reclaim(1, 10)
	if a.emptied != nil {
		t.Error("it is still being emptied")
	}
	for k.Dropped() {
		k.Reclaim(1, 10)
	}
	k.checkLayout(t)
}
