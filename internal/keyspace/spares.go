package keyspace

import "slices"

// spares are mappings that are free and used again: fresh memory costs more than copying into it.
type spares struct {
	max   int64    // bytes of all
	mems  [][]byte // the last is taken first
	bytes int64
}

// KeepFree bounds the mappings of large values that are free and kept, where there are not fewer anyhow.
func (k *Keyspace) KeepFree(bytes int64) {
	k.m.blobs.spares.max = min(bytes, spareBytesMax)
	k.m.blobs.trimSpares()
}

// take returns a mapping that is not much larger, nil if there is none. What it has beyond bytes takes no memory.
func (s *spares) take(bytes int) []byte {
	for i := len(s.mems) - 1; i >= 0; i-- {
		if mem := s.mems[i]; len(mem) >= bytes && len(mem) <= bytes+bytes/4 {
			s.mems = slices.Delete(s.mems, i, i+1)
			s.bytes -= int64(len(mem))
			if len(mem) > bytes {
				giveBack(mem[bytes:])
			}
			return mem
		}
	}
	return nil
}

func (s *spares) give(mem []byte) {
	s.mems = append(s.mems, mem)
	s.bytes += int64(len(mem))
}

// trim gives back what is more than max, what has been there for longest first.
func (s *spares) trim(max int64) {
	for s.bytes > max {
		s.bytes -= int64(len(s.mems[0]))
		unmapBytes(s.mems[0])
		s.mems = slices.Delete(s.mems, 0, 1)
	}
}
