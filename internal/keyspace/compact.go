package keyspace

import "math/bits"

const (
	// Small spans of a class are emptied while so much of what its blocks take is free: blocks that are freed by chance
	// would otherwise leave hardly any span without one in use, and what is evicted would give no memory back.
	vacantShare  = 8
	vacantSpans  = 2       // and so many at least
	compactLook  = 16      // spans of which the emptiest is taken
	compactBytes = 8 << 10 // are moved in one go, or one block
)

// noticeSparse has compact look at a class of which much is free.
func (a *blobs) noticeSparse(c *blobClass) {
	if c.sparse() {
		a.sparse |= 1 << c.number
	}
}

func (c *blobClass) sparse() bool {
	return c.span == smallSpan && c.vacant*vacantShare > c.live && c.vacant >= vacantSpans*(c.span/c.block)
}

// compact moves some blocks of spans that are nearly empty to others of their class. Where a blob lies is known to its head alone.
func (a *blobs) compact() {
	for bytes := 0; bytes < compactBytes; {
		s := a.emptied
		if s == nil {
			if s = a.takeEmptiest(); s == nil {
				return
			}
			a.emptied = s
		}
		c := s.class
		if len(c.partial) == 0 { // what was free is used again
			a.emptied = nil
			s.join()
			return
		}
		at := len(s.heads) - 1
		for s.heads[at] == 0 {
			at--
		}
		o := a.heads.at(s.heads[at])
		from := o.b
		c.put(o, len(from))
		copy(o.b, from)
		s.leave(uint16(at))
		bytes += c.block
		if s.live == 0 {
			a.freeSpan(s)
		}
	}
}

// takeEmptiest takes a span from a sparse class, nil if there is none.
func (a *blobs) takeEmptiest() *span {
	for a.sparse != 0 {
		i := bits.TrailingZeros64(a.sparse)
		c := &a.classes[i]
		if !c.sparse() {
			a.sparse &^= 1 << i
			continue
		}
		var best *span
		for range min(compactLook, len(c.partial)) {
			c.look = (c.look + 1) % len(c.partial)
			if s := c.partial[c.look]; best == nil || s.live < best.live {
				best = s
			}
		}
		best.part()
		return best
	}
	return nil
}
