package replica

import (
	"bytes"

	"brainer/internal/wire"
)

// aheads is what the broker has sent ahead of its order: entries without their heads, by their numbers. It bounds them.
type aheads struct {
	assembler wire.Assembler // beside that of turns, which pass between the fragments
	held      map[uint64][]byte
}

// receiveAhead takes a fragment of such an entry. One without bytes has it forgotten.
func (r *Replica) receiveAhead(h wire.Header, body []byte) {
	part, fragment := h.Fragment()
	if !fragment && len(body) == 0 {
		delete(r.aheads.held, h.Seq)
		return
	}
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
		if r.aheads.held == nil {
			r.aheads.held = map[uint64][]byte{}
		}
		r.aheads.held[h.Seq] = body
	}
	r.put(wire.AheadGot{Fragments: uint32(part + 1), Whole: whole}.Append(nil, reply))
}

// beginAhead goes on with an entry that was sent ahead, and says whether it can.
func (r *Replica) beginAhead(number uint64, head []byte) bool {
	s := &r.turn
	entry := r.aheads.held[number]
	delete(r.aheads.held, number)
	if s.index+1 <= r.pos.Index { // it is applied: this turn came again
		s.left, s.rest = 1, wire.HeadAlone(head)
		return true
	}
	if len(entry) != wire.EntrySize(head) {
		return false
	}
	copy(entry, head)
	s.left, s.rest = 1, entry
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
