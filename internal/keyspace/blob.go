package keyspace

// object is a value, or a long key, that lies outside its segment.
type object interface {
	// retain adds a holder; an object with several holders is not changed in place.
	retain()
	// drop takes a holder away, and frees the object with the last.
	drop(m *memory)
}

// blob is bytes outside a segment: a large string, a large packed hash, a long key.
type blob struct {
	b    []byte
	refs int32
}

func (o *blob) retain() { o.refs++ }

func (o *blob) drop(m *memory) {
	if o.refs--; o.refs == 0 {
		m.blobs.free(o.b)
		o.b = nil
	}
}

type blobs struct{ m *memory }

func (a *blobs) new(n, capacity int) *blob {
	b := make([]byte, n, max(n, capacity))
	return &blob{b: b, refs: 1}
}

func (a *blobs) free(b []byte) {}

// grown returns o, or a copy that may be changed, with room for n bytes and that length. What is
// beyond the old length is zero.
func (a *blobs) grown(o *blob, n int) *blob {
	if o.refs == 1 && n <= cap(o.b) {
		old := len(o.b)
		o.b = o.b[:n]
		if n > old {
			clear(o.b[old:])
		}
		return o
	}
	capacity := n
	if n > len(o.b) && o.refs == 1 {
		capacity += n / 4 // what grew once grows again
	}
	c := a.new(n, capacity)
	clear(c.b[copy(c.b, o.b):])
	o.drop(a.m)
	return c
}
