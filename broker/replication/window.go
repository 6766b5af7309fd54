package replication

import (
	"slices"

	"brainer/internal/wire"
)

// window is the log window: recent entries, encoded as they travel, kept so that a node that missed
// some can be sent them again. It is cut into chunks; the oldest go first.
type window struct {
	first, last uint64 // last == first-1 when empty
	chunks      []chunk
	chunkBytes  int // room of a chunk
	bytes       int64
	spares      []chunk // some that were dropped: fresh memory costs more than copying into it
	sparesBytes int
}

// chunk holds consecutive entries back to back.
type chunk struct {
	first  uint64
	buf    []byte
	offs   []uint32   // where each entry begins in buf
	tail   wire.Piece // the rest of its only entry, which was not copied
	ahead  uint64     // the number under which its only entry was sent ahead; 0: it was not
	lastMs int64      // time of its last entry
}

func (c *chunk) bytes() int { return len(c.buf) + len(c.tail.Bytes) }

// reset empties the window; the next entry is index next.
func (w *window) reset(next uint64) {
	*w = window{first: next, last: next - 1, chunkBytes: w.chunkBytes}
}

// begin returns the buffer that the next entry, of at most size bytes, is appended to; end takes it
// back.
func (w *window) begin(size int) []byte {
	n := len(w.chunks)
	if n == 0 || w.chunks[n-1].tail.Bytes != nil || len(w.chunks[n-1].buf)+size > cap(w.chunks[n-1].buf) {
		w.chunks = append(w.chunks, w.newChunk(size))
		n++
	}
	return w.chunks[n-1].buf
}

func (w *window) newChunk(size int) chunk {
	if size > w.chunkBytes {
		size += size / 16 // so that it serves again for one a little larger
	}
	size = max(w.chunkBytes, size)
	for i := len(w.spares) - 1; i >= 0; i-- {
		if s := w.spares[i]; cap(s.buf) >= size && cap(s.buf) <= size+size/4 {
			w.spares = slices.Delete(w.spares, i, i+1)
			w.sparesBytes -= cap(s.buf)
			return chunk{first: w.last + 1, buf: s.buf[:0], offs: s.offs[:0]}
		}
	}
	return chunk{first: w.last + 1, buf: make([]byte, 0, size)}
}

// put adds an entry whose body lasts: it is kept as it is. It was sent ahead under a number, or that is 0.
func (w *window) put(head, body []byte, ahead uint64, timeMs int64) {
	w.chunks = append(w.chunks, chunk{first: w.last + 1, buf: head, offs: []uint32{0}, tail: wire.Piece{Bytes: body, Sums: new(wire.Sums)},
		ahead: ahead, lastMs: timeMs})
	w.bytes += int64(len(head) + len(body))
	w.last++
}

func (w *window) end(buf []byte, timeMs int64) {
	c := &w.chunks[len(w.chunks)-1]
	c.offs = append(c.offs, uint32(len(c.buf)))
	w.bytes += int64(len(buf) - len(c.buf))
	c.buf, c.lastMs = buf, timeMs
	w.last++
}

// run returns as many entries from index on as lie together and fit into maxBytes (at least one),
// none beyond upTo. They are encoded, and tail behind it.
func (w *window) run(index, upTo uint64, maxBytes int) (count int, encoded []byte, tail wire.Piece) {
	c := w.find(index)
	if c == nil {
		return 0, nil, wire.Piece{}
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
	return count, c.buf[begin:end], c.tail
}

// ahead is the number under which entry index was sent ahead, 0 if it was not.
func (w *window) ahead(index uint64) uint64 {
	if c := w.find(index); c != nil {
		return c.ahead
	}
	return 0
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
		c := w.chunks[0]
		w.bytes -= int64(c.bytes())
		if size := cap(c.buf); size >= w.chunkBytes && (size == w.chunkBytes && len(w.spares) == 0 || int64(w.sparesBytes+size) <= bytesMax/8) {
			w.spares = append(w.spares, c)
			w.sparesBytes += size
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

// trimWindow keeps the window within its limits; what a member or a joiner still needs stays.
func (c *Core) trimWindow() {
	if c.window.bytes > c.cfg.JoinPinBytes {
		c.dropGreediestJoiner() // before what it pins is counted: it may be back at once
	}
	keep := c.tail + 1
	if len(c.pending.recs) > 0 {
		keep = min(keep, c.pending.first)
	}
	for _, n := range c.nodes {
		// A member that is away may be the last one: what it lacks is needed when it is back.
		if n.required() || n.connected() && n.state >= stateLoading {
			keep = min(keep, n.needFrom())
		}
	}
	minMs := int64(0)
	if c.cfg.WindowMs > 0 {
		minMs = c.nowUs/1000 - c.cfg.WindowMs
	}
	if c.cfg.Fault.TrimEarly {
		keep = c.tail + 1
	}
	c.window.trim(c.cfg.WindowBytesMax, minMs, keep)
}
