package keyspace

import (
	"runtime"
	"unsafe"
)

// Region is memory outside Go's heap that a large value is received in, and that a string may take as it is. Who asked for it
// holds it until Drop: so long nothing in it is changed.
type Region struct {
	m *memory
	o *loner
}

// NewRegion returns one of n bytes, not zeroed; nil if the system has none.
func (k *Keyspace) NewRegion(n int) *Region {
	o := k.m.blobs.mapped(n)
	if o == nil {
		return nil
	}
	o.b = o.b[:n]
	return &Region{k.m, o}
}

// Bytes is the region, until Drop. It does not keep it: that takes the Region itself.
func (g *Region) Bytes() []byte { return g.o.mem[:len(g.o.b)] }

// Drop lets go of it. It may be nil.
func (g *Region) Drop() {
	if g != nil {
		g.o.drop(g.m)
		runtime.KeepAlive(g)
	}
}

// framing is what a region may have besides a value that takes it, beyond a share.
const framing = 1 << 10

// Offer lets the next string whose value is nearly all of g take it; nil ends that.
func (k *Keyspace) Offer(g *Region) { k.m.offered = g }

// adopt returns a blob of value if that lies in the region that is offered and is most of it, else nil.
func (m *memory) adopt(value []byte) *blob {
	g := m.offered
	if g == nil {
		return nil
	}
	in := g.o.mem
	at := uintptr(unsafe.Pointer(unsafe.SliceData(value))) - uintptr(unsafe.Pointer(unsafe.SliceData(in)))
	n := len(g.o.b)
	if at >= uintptr(len(in)) || len(value) == 0 || len(value) < n-n/16-framing || g.o.counted {
		return nil
	}
	m.offered = nil
	o := &g.o.blob
	o.b = value[:len(value):len(value)]
	o.retain()
	g.o.counted = true
	m.blobs.count(o, 1)
	return o
}
