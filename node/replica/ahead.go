package replica

import (
	"bytes"
	"maps"
	"slices"

	"brainer/internal/wire"
)

// aheads is what the broker has sent ahead of its order: entries without their heads, by their numbers. It bounds them, as
// far as its word that one is to be forgotten arrives.
type aheads struct {
	assembler wire.Assembler // beside that of turns, which pass between the fragments
	coming    uint64         // what is being put together
	held      map[uint64][]byte
	bytes     int // of these
}

// aheadBytesMax is twice what a broker sends, unless one entry is larger: the oldest are those that nobody names any more.
const aheadBytesMax = 128 << 20

func (a *aheads) keep(number uint64, entry []byte) {
	for len(a.held) > 0 && a.bytes+len(entry) > aheadBytesMax {
		a.take(slices.Min(slices.Collect(maps.Keys(a.held))))
	}
	if a.held == nil {
		a.held = map[uint64][]byte{}
	}
	a.held[number] = entry
	a.bytes += len(entry)
}

// take returns what is held under a number, nil for nothing, and holds it no longer.
func (a *aheads) take(number uint64) []byte {
	entry := a.held[number]
	delete(a.held, number)
	a.bytes -= len(entry)
	return entry
}

// receiveAhead takes a fragment of such an entry. One without bytes has it forgotten.
func (r *Replica) receiveAhead(h wire.Header, body []byte) {
	part, fragment := h.Fragment()
	if !fragment && len(body) == 0 {
		if r.aheads.take(h.Seq); r.aheads.coming == h.Seq {
			r.aheads.assembler = wire.Assembler{} // it may be large
		}
		return
	}
	r.aheads.coming = h.Seq
	reply := r.header()
	reply.Seq = h.Seq
	h, body, whole, err := r.aheads.assembler.Add(h, body)
	if err != nil {
		whole = false // the broker sends it in a turn then
	}
	if whole {
		if !fragment {
			body = bytes.Clone(body)
		}
		r.aheads.take(h.Seq)
		r.aheads.keep(h.Seq, body)
	}
	r.put(wire.AheadGot{Fragments: uint32(part + 1), Whole: whole}.Append(nil, reply))
}

// beginAhead goes on with an entry that was sent ahead, and says whether it can.
func (r *Replica) beginAhead(number uint64, head []byte) bool {
	s := &r.turn
	entry := r.aheads.take(number)
	if s.index+1 <= r.pos.Index { // it is applied: this turn came again
		s.left, s.rest, s.from = 1, wire.HeadAlone(head), nil
		return true
	}
	if len(entry) != wire.EntrySize(head) {
		return false
	}
	copy(entry, head)
	s.left, s.rest, s.from = 1, entry, nil
	return true
}

// breakOff gives a turn up whose next entry is not here; what was answered in it is asked again.
func (r *Replica) breakOff() {
	h := r.header()
	h.Seq = r.turn.header.Seq
	r.turn = turnState{finished: r.turn.finished}
	r.tail = nil
	r.put(wire.Nack{Position: r.pos}.Append(nil, h))
}
