package wire

import (
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"unsafe"
)

// Piece is bytes of a long message. Several messages may carry the same ones.
type Piece struct {
	Bytes []byte
	Sums  *Sums // may be nil
}

// Sums are the checksums of a piece's frames, kept so that they are summed once for all messages that carry it.
type Sums struct{ of []uint32 }

// sum is the checksum of frame i, which is body.
func (s *Sums) sum(i int, body []byte) uint32 {
	if s == nil {
		return crc32.Update(0, castagnoli, body)
	}
	if i == len(s.of) { // each message asks for them in order
		s.of = append(s.of, crc32.Update(0, castagnoli, body))
	}
	return s.of[i]
}

// Cutter cuts a long message into frames. The body is given in pieces, which are not copied; a frame
// carries bytes of one piece.
type Cutter struct {
	h      Header
	pieces []Piece
	at     int // frames that were taken of the first piece
	frame  int // bytes of a frame at most
}

// Cut begins with a message whose body is the pieces, one behind the other. They must stay as they
// are until the last frame was taken.
func Cut(h Header, frameBytesMax int, pieces ...Piece) Cutter {
	whole := 0
	for _, p := range pieces {
		whole += len(p.Bytes)
	}
	h.whole, h.part, h.flags = uint32(whole), 0, 0
	return Cutter{h: h, pieces: pieces, frame: frameBytesMax}
}

// More reports whether there is another frame.
func (c *Cutter) More() bool { return len(c.pieces) > 0 }

// Part is how many frames were taken.
func (c *Cutter) Part() int { return int(c.h.part) }

// Next appends the next frame's header to head and returns it, and the body that belongs behind it.
func (c *Cutter) Next(head []byte) (frame, body []byte) {
	for len(c.pieces[0].Bytes) == 0 && len(c.pieces) > 1 {
		c.pieces = c.pieces[1:]
	}
	p := &c.pieces[0]
	n := min(len(p.Bytes), c.frame-HeaderBytes)
	body = p.Bytes[:n:n]
	sum := p.Sums.sum(c.at, body)
	p.Bytes = p.Bytes[n:]
	c.at++
	for len(c.pieces) > 0 && len(c.pieces[0].Bytes) == 0 {
		c.pieces, c.at = c.pieces[1:], 0
	}
	c.h.flags &^= flagMore
	if c.More() {
		c.h.flags |= flagMore
	}
	at := len(head)
	head = Begin(head)
	putHeader(head[at:], c.h, n, sum)
	c.h.part++
	return head, body
}

// Split calls emit with the frames that carry a message: m alone when that is all and fits into one. m is
// a finished frame, more what its body goes on with. What is given to emit is valid during the call.
func Split(m []byte, more [][]byte, frameBytesMax int, emit func(head, body []byte) error) error {
	if len(more) == 0 && len(m) <= frameBytesMax {
		return emit(m, nil)
	}
	pieces := make([]Piece, 1, 1+len(more))
	pieces[0].Bytes = m[HeaderBytes:]
	for _, b := range more {
		pieces = append(pieces, Piece{Bytes: b})
	}
	c := Cut(header(m), min(frameBytesMax, FragmentBytes), pieces...)
	var buf [HeaderBytes]byte
	for c.More() {
		if err := emit(c.Next(buf[:0])); err != nil {
			return err
		}
	}
	return nil
}

// Join makes one message of a finished frame and what its body goes on with.
func Join(m []byte, more ...[]byte) []byte {
	return Finish(append(slices.Clone(m), slices.Concat(more...)...), header(m))
}

// Assembler puts fragments together again. One serves one direction of one session. A message of
// which a fragment is missing is dropped whole.
type Assembler struct {
	Spares *Spares            // that messages may be put together in; may be nil
	Alloc  func(n int) []byte // memory for one of n bytes; may be nil, and return nil

	open  bool // a message has begun
	head  Header
	whole []byte // what has arrived of it
	next  uint16
	begun []byte // where the first fragment of another may lie
}

// Reset forgets what has arrived.
func (a *Assembler) Reset() { *a = Assembler{Spares: a.Spares, Alloc: a.Alloc} }

// trustBytes is what is allocated for a message as soon as it is announced; for more than that
// a sixteenth must have arrived.
const trustBytes = 64 << 20

// Room returns where the body, of n bytes, of the frame that comes next may lie: Add does not copy it from there. Nothing of the
// header has been checked, so that what has arrived stays as it is. nil: anywhere.
func (a *Assembler) Room(h Header, n int) []byte {
	size := n
	switch {
	case h.part == 0 && h.flags&flagMore != 0 && h.whole <= MessageBytesMax && n <= int(h.whole):
		a.begun = a.grown(nil, n, int(h.whole))
		return a.begun[:n:n]
	case h.part > 0 && a.continues(h) && h.whole == a.head.whole && len(a.whole)+n <= int(h.whole):
		size += len(a.whole)
		a.whole = a.grown(a.whole, size, int(h.whole))
		return a.whole[len(a.whole):size:size]
	}
	return nil
}

func (a *Assembler) continues(h Header) bool {
	return a.open && h.part == a.next && h.Type == a.head.Type && h.Session == a.head.Session && h.Seq == a.head.Seq
}

// grown returns b, or a copy, with room for size bytes of a message of so many.
func (a *Assembler) grown(b []byte, size, whole int) []byte {
	if size <= cap(b) && b != nil {
		return b
	}
	if b == nil {
		if b = a.Spares.take(whole); b != nil {
			return b
		}
		if a.Alloc != nil {
			if b = a.Alloc(whole); b != nil {
				return b[:0]
			}
		}
	}
	return append(Uncleared(max(size, min(whole, max(trustBytes, 16*size)))), b...)
}

// Uncleared returns an empty slice with room for n bytes, which are written before they are read: clearing them would cost
// as much as copying.
func Uncleared(n int) []byte {
	if n == 0 {
		return []byte{}
	}
	var b strings.Builder
	b.Grow(n)
	b.WriteByte(0)
	return unsafe.Slice(unsafe.StringData(b.String()), n)[:0]
}

// Add takes a decoded frame and returns the message that it completes, which is not to be changed: a fragment is copied, unless it
// lies where Room said; the body of a message in one frame is returned as it is, and may pass between the fragments of another type.
func (a *Assembler) Add(h Header, body []byte) (Header, []byte, bool, error) {
	more := h.flags&flagMore != 0
	if h.part == 0 && !more {
		if h.Type == a.head.Type {
			a.Reset()
		}
		return h, body, true, nil
	}
	if h.part == 0 {
		begun := a.begun
		a.Reset() // what another begins before the end of is lost
		if h.whole > MessageBytesMax {
			return h, nil, false, fmt.Errorf("wire: message over %d bytes", MessageBytesMax)
		}
		if begun == nil {
			begun = a.grown(nil, min(len(body), int(h.whole)), int(h.whole))
		}
		a.open, a.whole = true, begun
	} else if !a.continues(h) {
		a.Reset() // the rest of a message whose beginning is missing
		return h, nil, false, nil
	}
	size := len(a.whole) + len(body)
	if size > int(h.whole) || !more && size < int(h.whole) || a.next > 0 && h.whole != a.head.whole {
		a.Reset()
		return h, nil, false, ErrCorrupt
	}
	a.head, a.next = h, h.part+1
	a.whole = a.grown(a.whole, size, int(h.whole))
	if room := a.whole[len(a.whole):size]; len(room) > 0 && &room[0] != &body[0] {
		copy(room, body)
	}
	a.whole = a.whole[:size]
	if more {
		return h, nil, false, nil
	}
	whole := a.whole
	a.Reset()
	h.flags, h.part, h.whole = 0, 0, 0
	return h, whole, true, nil
}
