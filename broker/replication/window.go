package replication

// window is the log window: recent entries, encoded as they travel, kept so that a node that missed
// some can be sent them again. It is cut into chunks; the oldest go first.
type window struct {
	first, last uint64 // last == first-1 when empty
	chunks      []chunk
	chunkBytes  int // room of a chunk
	bytes       int64
	spare       chunk // one that was dropped: its memory serves the next
}

// chunk holds consecutive entries back to back.
type chunk struct {
	first  uint64
	buf    []byte
	offs   []uint32 // where each entry begins in buf
	lastMs int64    // time of its last entry
}

// reset empties the window; the next entry is index next.
func (w *window) reset(next uint64) {
	*w = window{first: next, last: next - 1, chunkBytes: w.chunkBytes}
}

// begin returns the buffer that the next entry, of at most size bytes, is appended to; end takes it
// back.
func (w *window) begin(size int) []byte {
	n := len(w.chunks)
	if n == 0 || len(w.chunks[n-1].buf)+size > cap(w.chunks[n-1].buf) {
		c := chunk{first: w.last + 1}
		if size <= w.chunkBytes && w.spare.buf != nil {
			c.buf, c.offs = w.spare.buf[:0], w.spare.offs[:0]
			w.spare = chunk{}
		} else {
			c.buf = make([]byte, 0, max(w.chunkBytes, size))
		}
		w.chunks = append(w.chunks, c)
		n++
	}
	return w.chunks[n-1].buf
}

func (w *window) end(buf []byte, timeMs int64) {
	c := &w.chunks[len(w.chunks)-1]
	c.offs = append(c.offs, uint32(len(c.buf)))
	w.bytes += int64(len(buf) - len(c.buf))
	c.buf, c.lastMs = buf, timeMs
	w.last++
}

// run returns as many entries from index on as lie together and fit into maxBytes (at least one),
// none beyond upTo.
func (w *window) run(index, upTo uint64, maxBytes int) (count int, encoded []byte) {
	c := w.find(index)
	if c == nil {
		return 0, nil
	}
	i := int(index - c.first)
	begin := c.offs[i]
	end := c.end(i)
	count = 1
	for i++; i < len(c.offs) && c.first+uint64(i) <= upTo; i++ {
		e := c.end(i)
		if int(e-begin) > maxBytes {
			break
		}
		end = e
		count++
	}
	return count, c.buf[begin:end]
}

func (c *chunk) end(i int) uint32 {
	if i+1 < len(c.offs) {
		return c.offs[i+1]
	}
	return uint32(len(c.buf))
}

// find returns the chunk that holds index.
func (w *window) find(index uint64) *chunk {
	if index < w.first || index > w.last {
		return nil
	}
	lo, hi := 0, len(w.chunks)
	if last := &w.chunks[hi-1]; last.first <= index { // the usual case
		return last
	}
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; w.chunks[mid].first <= index {
			lo = mid
		} else {
			hi = mid
		}
	}
	return &w.chunks[lo]
}

// trim drops whole chunks that are over the bytes or older than minMs, none with an entry at or after keep.
func (w *window) trim(bytesMax, minMs int64, keep uint64) {
	for len(w.chunks) > 1 && (w.bytes > bytesMax || w.chunks[0].lastMs < minMs) && w.chunks[1].first <= keep {
		w.bytes -= int64(len(w.chunks[0].buf))
		if cap(w.chunks[0].buf) == w.chunkBytes {
			w.spare = w.chunks[0]
		}
		w.chunks[0] = chunk{}
		w.chunks = w.chunks[1:]
		w.first = w.chunks[0].first
	}
}

// oldestMs is the time of the last entry of the oldest chunk, 0 when empty.
func (w *window) oldestMs() int64 {
	if len(w.chunks) == 0 {
		return 0
	}
	return w.chunks[0].lastMs
}
