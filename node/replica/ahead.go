package replica

import (
	"bytes"
	"maps"
	"slices"

	"brainer/internal/keyspace"
	"brainer/internal/wire"
)

// aheads is what the broker has sent ahead of its order: entries without their heads, by their numbers. It bounds them, as
// far as its word that one is to be forgotten arrives.
type aheads struct {
	assembler wire.Assembler   // beside that of turns, which pass between the fragments
	coming    uint64           // what is being put together
	region    *keyspace.Region // in which; nil: in Go's heap
	held      map[uint64]held
	bytes     int // of these
}

// held is an entry without its head. One in a region of its own can become a value without a copy.
type held struct {
	entry []byte
	from  *carrier // nil: it is in Go's heap
}

// aheadBytesMax is twice what a broker sends, unless one entry is larger: the oldest are those that nobody names any more.
const aheadBytesMax = 128 << 20

func (a *aheads) keep(number uint64, h held) {
	for len(a.held) > 0 && a.bytes+len(h.entry) > aheadBytesMax {
		a.drop(slices.Min(slices.Collect(maps.Keys(a.held))))
	}
	if a.held == nil {
		a.held = map[uint64]held{}
	}
	a.held[number] = h
	a.bytes += len(h.entry)
}

// take returns what is held under a number, nothing for nothing, and holds it no longer.
func (a *aheads) take(number uint64) held {
	h := a.held[number]
	delete(a.held, number)
	a.bytes -= len(h.entry)
	return h
}

// drop is take of what is not needed.
func (a *aheads) drop(number uint64) { a.take(number).from.release() }

// breakOff gives up what is being put together.
func (a *aheads) breakOff() {
	a.assembler.Reset()
	a.region.Drop()
	a.region = nil
}

// end gives all up.
func (a *aheads) end() {
	a.breakOff()
	for number := range a.held {
		a.drop(number)
	}
}

// regionFor returns memory for an entry that has begun to arrive, nil for Go's heap: it has the small ones, and those that the
// storage has for as long as it likes.
func (r *Replica) regionFor(n int) []byte {
	a := &r.aheads
	a.region.Drop() // the one before has not come to its end
	a.region = nil
	if n < r.cfg.RegionMin || r.cfg.Keep {
		return nil
	}
	if a.region = r.ks.NewRegion(n); a.region == nil {
		return nil
	}
	return a.region.Bytes()
}

// receiveAhead takes a fragment of such an entry. One without bytes has it forgotten.
func (r *Replica) receiveAhead(h wire.Header, body []byte) {
	part, fragment := h.Fragment()
	if !fragment && len(body) == 0 {
		if r.aheads.drop(h.Seq); r.aheads.coming == h.Seq {
			r.aheads.breakOff() // it may be large
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
		w := held{entry: body}
		switch g := r.aheads.region; {
		case !fragment:
			w.entry = bytes.Clone(body)
		case g != nil:
			w.from = &carrier{body: body, users: 1, region: g}
			r.aheads.region = nil
		}
		r.aheads.drop(h.Seq)
		r.aheads.keep(h.Seq, w)
	}
	r.put(wire.AheadGot{Fragments: uint32(part + 1), Whole: whole}.Append(nil, reply))
}

// beginAhead goes on with an entry that was sent ahead, and says whether it can.
func (r *Replica) beginAhead(number uint64, head []byte) bool {
	s := &r.turn
	w := r.aheads.take(number)
	if s.index+1 <= r.pos.Index { // it is applied: this turn came again
		w.from.release()
		s.left, s.rest, s.from = 1, wire.HeadAlone(head), nil
		return true
	}
	if len(w.entry) != wire.EntrySize(head) {
		w.from.release()
		return false
	}
	copy(w.entry, head)
	s.left, s.rest, s.from, s.ahead = 1, w.entry, w.from, w.from
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
