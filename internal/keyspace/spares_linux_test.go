package keyspace

import (
	"bytes"
	"runtime"
	"syscall"
	"testing"
	"time"
)

const patience = 30 * time.Second

// isMapped asks the system, which knows nothing of what is not.
func isMapped(mem []byte) bool { return syscall.Madvise(mem, syscall.MADV_NORMAL) == nil }

// freeMappings leaves n of 3 MB that nothing needs, and some data.
func freeMappings(k *Keyspace, n int) {
	var all []*Region
	for range n {
		all = append(all, k.NewRegion(3<<20))
	}
	for i := range 200 {
		k.SetString(0, []byte{byte(i)}, make([]byte, 150<<10), 0, nowMs) // in spans
	}
	for _, g := range all {
		g.Drop()
	}
}

func TestFreeMappingsAreGivenBack(t *testing.T) {
	k := New()
	freeMappings(k, 20)
	s := k.m.blobs.spares
	if s.bytes != 30<<20 {
		t.Errorf("%d bytes are kept", s.bytes)
	}
	k.KeepFree(7 << 20)
	if s.bytes != 6<<20 || len(s.mems) != 2 {
		t.Errorf("%d bytes are kept of at most 7 MB", s.bytes)
	}
	for i := range 200 {
		k.Delete(0, []byte{byte(i)}, nowMs)
	}
	if s.bytes != 0 {
		t.Errorf("%d bytes are kept for no data", s.bytes)
	}
}

func TestFreeMappingsGoWithTheKeyspace(t *testing.T) {
	k := New()
	freeMappings(k, 1)
	mem := k.m.blobs.spares.mems[0]
	runtime.KeepAlive(k)
	k = nil
	for began := time.Now(); isMapped(mem); runtime.GC() {
		if time.Since(began) > patience {
			t.Fatal("it is still mapped")
		}
	}
}

// What a mapping has beyond the value that lies in it takes no memory: it reads as zero.
func TestTheRestOfALargerMappingTakesNoMemory(t *testing.T) {
	k := New()
	k.Scribble()
	freeMappings(k, 1)
	mem := k.m.blobs.spares.mems[0]
	value := bytes.Repeat([]byte("v"), 5<<19)
	k.SetString(0, []byte("key"), value, 0, nowMs)
	v, _ := k.Get(0, []byte("key"), nowMs)
	if &v.String[0] != &mem[0] || cap(v.String) != len(value) {
		t.Fatal("the value has another mapping, or more of it than was asked for")
	}
	for i := range value {
		value[i] = 0
	}
	if rest := mem[len(value):]; !bytes.Equal(rest, value[:len(rest)]) {
		t.Error("what was there is still there")
	}
	k.AppendString(0, []byte("key"), []byte("w"), nowMs)
	if v, _ = k.Get(0, []byte("key"), nowMs); len(v.String) != len(value)+1 || v.String[0] != 'v' || v.String[len(value)] != 'w' {
		t.Error("the value is another after APPEND")
	}
}
