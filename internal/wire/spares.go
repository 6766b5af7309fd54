package wire

import "slices"

// Spares are buffers that messages are put together in again: fresh memory costs more than copying into it.
// The last that was given is taken first, as it may still be in the cache.
type Spares struct {
	BytesMax int  // of all
	Scribble bool // tests: they are overwritten when they are given
	bufs     [][]byte
	bytes    int
}

// take returns an empty buffer for n bytes, nil if there is none that is not much larger. s may be nil.
func (s *Spares) take(n int) []byte {
	if s == nil {
		return nil
	}
	for i := len(s.bufs) - 1; i >= 0; i-- {
		if b := s.bufs[i]; cap(b) >= n && cap(b) <= n+n/4 {
			s.bufs = slices.Delete(s.bufs, i, i+1)
			s.bytes -= cap(b)
			return b[:0]
		}
	}
	return nil
}

// Clone copies b into one of them, or into fresh memory.
func (s *Spares) Clone(b []byte) []byte { return append(s.take(len(b)), b...) }

// Give lets b be used again. What has been there for longest makes room for it.
func (s *Spares) Give(b []byte) {
	if cap(b) > s.BytesMax {
		return
	}
	if s.Scribble {
		for i := range b {
			b[i] = 0xa5
		}
	}
	s.bufs = append(s.bufs, b)
	s.bytes += cap(b)
	for s.bytes > s.BytesMax {
		s.bytes -= cap(s.bufs[0])
		s.bufs = slices.Delete(s.bufs, 0, 1)
	}
}
