package keyspace

import (
	"bytes"
	"testing"
)

// received is a region with a value in it, as an entry brings it.
func received(k *Keyspace, value []byte) (g *Region, in []byte) {
	const head, end = 40, 2
	g = k.NewRegion(head + len(value) + end)
	in = g.Bytes()[head : head+len(value)]
	copy(in, value)
	return g, in
}

func TestAStringTakesTheRegionThatItArrivedIn(t *testing.T) {
	k := New()
	k.Scribble()
	key, value := []byte("key"), bytes.Repeat([]byte("v"), 3<<20)
	empty := k.MemoryBytes()
	g, in := received(k, value)
	if k.MemoryBytes() != empty {
		t.Error("what nothing has taken counts as data")
	}
	k.Offer(g)
	k.SetString(0, key, in, 0, nowMs)
	k.SetString(0, []byte("other"), in, 0, nowMs) // offered once
	v, _ := k.Get(0, key, nowMs)
	if other, _ := k.Get(0, []byte("other"), nowMs); &v.String[0] != &in[0] || &other.String[0] == &in[0] {
		t.Fatal("the value does not lie where it arrived, or another does")
	}
	k.Delete(0, []byte("other"), nowMs)
	if n := k.MemoryBytes() - empty; n < int64(len(value)) || n > int64(len(value))+3*pageBytes {
		t.Errorf("%d bytes for a value of %d", n, len(value))
	}
	k.SetRange(0, key, 0, []byte("x"), nowMs)
	k.AppendString(0, key, []byte("y"), nowMs)
	if !bytes.Equal(in, value) {
		t.Error("what arrived has changed while it was held")
	}
	g.Drop()
	v, _ = k.Get(0, key, nowMs)
	if want := append(append([]byte("x"), value[1:]...), 'y'); !bytes.Equal(v.String, want) {
		t.Error("the value is not what it should be")
	}
	k.Delete(0, key, nowMs)
	if k.MemoryBytes() > empty+2*pageBytes {
		t.Errorf("%d bytes are left, of %d", k.MemoryBytes(), empty)
	}
}

func TestAValueOutlivesWhoReceivedItAndItsMemoryIsUsedAgain(t *testing.T) {
	k := New()
	k.Scribble()
	value := bytes.Repeat([]byte("v"), 3<<20)
	seen := map[*byte]bool{}
	for range 20 {
		g, in := received(k, value)
		seen[&in[0]] = true
		k.Offer(g)
		k.SetString(0, []byte("key"), in, 0, nowMs)
		k.Offer(nil)
		g.Drop()
		if v, _ := k.Get(0, []byte("key"), nowMs); !bytes.Equal(v.String, value) {
			t.Fatal("the value went with the region")
		}
	}
	if len(seen) > 2 {
		t.Errorf("%d mappings for one value", len(seen))
	}
	g, _ := received(k, value)
	g.Drop() // nothing has taken it
	if m := &k.m.blobs; m.mappings != 1 || m.spares.bytes > spareBytesMax {
		t.Errorf("%d mappings in use, %d bytes free", m.mappings, m.spares.bytes)
	}
}

func TestASmallPartOfARegionIsCopied(t *testing.T) {
	k := New()
	g := k.NewRegion(3 << 20)
	k.Offer(g)
	k.SetString(0, []byte("key"), g.Bytes()[:1<<20], 0, nowMs)
	if v, _ := k.Get(0, []byte("key"), nowMs); &v.String[0] == &g.Bytes()[0] {
		t.Error("a third of it keeps all of it")
	}
	k.Offer(nil)
	g.Drop()
}
