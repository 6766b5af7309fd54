package replication

import "brainer/internal/op"

// record is an ordered write until it is safe and answered.
type record struct {
	op      *op.Op // nil: nobody waits for it (any more)
	ack     op.Ack
	primary *node // who was asked for the reply; nil: no reply is needed
	replied bool  // the reply has arrived, or is given up
	keys    []uint64
	key0    [1]uint64
	held    []*op.Op // reads that wait until it is safe
	bytes   int64    // of its entry
}

// pending is the records from first on, without a gap up to the tail.
type pending struct {
	first     uint64
	recs      []*record
	base      []*record // the memory that recs lies in
	free      []*record
	confirmed uint64 // every reply up to here has arrived
	bytes     int64  // of the entries
}

func (p *pending) reset(next uint64) {
	*p = pending{first: next, confirmed: next - 1}
}

func (p *pending) at(index uint64) *record {
	if index < p.first || index-p.first >= uint64(len(p.recs)) {
		return nil
	}
	return p.recs[index-p.first]
}

func (p *pending) push(bytes int64) *record {
	var r *record
	if n := len(p.free); n > 0 {
		r, p.free = p.free[n-1], p.free[:n-1]
	} else {
		r = &record{}
	}
	r.bytes = bytes
	p.bytes += bytes
	if len(p.recs) == cap(p.recs) {
		p.makeRoom()
	}
	p.recs = append(p.recs, r)
	return r
}

// makeRoom uses what pop has freed at the front, or takes more memory.
func (p *pending) makeRoom() {
	if len(p.recs) > cap(p.base)/2 {
		p.base = make([]*record, max(64, 2*len(p.recs)))
	}
	n := copy(p.base, p.recs)
	clear(p.base[n:])
	p.recs = p.base[:n]
}

func (p *pending) pop() {
	r := p.recs[0]
	p.recs[0] = nil
	p.recs = p.recs[1:]
	p.first++
	p.bytes -= r.bytes
	held := r.held[:0]
	*r = record{held: held}
	if len(p.free) < 4096 {
		p.free = append(p.free, r)
	}
}

// confirm moves confirmed over the replies that have arrived.
func (p *pending) confirm() {
	for {
		r := p.at(p.confirmed + 1)
		if r == nil || !r.replied {
			return
		}
		p.confirmed++
	}
}
