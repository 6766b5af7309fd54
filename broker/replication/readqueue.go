package replication

import (
	"slices"

	"brainer/internal/op"
)

// readItem is what a node is asked, in its stream: a read, or the kept reply of an entry.
type readItem struct {
	op     *op.Op
	query  bool
	id     uint64 // the read's id, or the entry's index
	after  uint64 // executed behind this entry
	timeMs int64
	hold   uint64 // the answer is kept until this index is safe
	turn   uint64 // that carried it to the node

	askedUs int64
	heardUs int64 // when the node said last that it goes on with this long one
	second  bool  // another node was asked before, and is slow

	near     bool // its answer may be kept in the near cache
	compares bool // of all copies at the same place and time: it is not asked again
}

// readQueue holds the items of one node in the order of asking. The first sent of them are with the
// node; its answers come in the same order.
type readQueue struct {
	items   []readItem
	base    []readItem // the memory that items lies in
	sent    int
	queries int // how many of the items are
	looked  int // the first so many have been looked at for slow ones

	later []readItem // long reads that the node executes beside its stream; their answers come any time
}

func (q *readQueue) push(it readItem) {
	if len(q.items) == cap(q.items) {
		q.makeRoom()
	}
	q.items = append(q.items, it)
	if it.query {
		q.queries++
	}
}

// makeRoom uses what pop has freed at the front, or takes more memory.
func (q *readQueue) makeRoom() {
	if len(q.items) > cap(q.base)/2 {
		q.base = make([]readItem, max(64, 2*len(q.items)))
	}
	n := copy(q.base, q.items)
	clear(q.base[n:])
	q.items = q.base[:n]
}

// pop removes the item with that id, which the node has answered.
func (q *readQueue) pop(query bool, id uint64) (readItem, bool) {
	for i := 0; i < q.sent; i++ {
		it := q.items[i]
		if it.query != query || it.id != id {
			continue
		}
		copy(q.items[1:], q.items[:i]) // answers come in order: i is 0 unless some were lost
		q.items[0] = readItem{}
		q.items = q.items[1:]
		q.sent--
		q.looked = max(q.looked-1, 0)
		if query {
			q.queries--
		}
		return it, true
	}
	return readItem{}, false
}

// withdraw takes o off the queue; a question that is with the node stays there, and its answer is for
// nobody.
func (q *readQueue) withdraw(o *op.Op) {
	is := func(it readItem) bool { return it.op == o }
	q.later = slices.DeleteFunc(q.later, is)
	switch i := slices.IndexFunc(q.items, is); {
	case i < 0:
	case i < q.sent:
		q.items[i].op = nil
	default:
		q.items = slices.Delete(q.items, i, i+1)
		if i < q.looked {
			q.looked--
		}
	}
}

// holds reports whether o is in the queue.
func (q *readQueue) holds(o *op.Op) bool {
	is := func(it readItem) bool { return it.op == o }
	return slices.ContainsFunc(q.items, is) || slices.ContainsFunc(q.later, is)
}

// goesOn notes that the node goes on with a long read beside its stream.
func (q *readQueue) goesOn(id uint64, nowUs int64) {
	for i := range q.later {
		if q.later[i].id == id {
			q.later[i].heardUs = nowUs
			return
		}
	}
	if it, ok := q.pop(false, id); ok {
		it.heardUs = nowUs
		q.later = append(q.later, it)
	}
}

// popRead removes a read that the node has answered.
func (q *readQueue) popRead(id uint64) (readItem, bool) {
	for i, it := range q.later {
		if it.id == id {
			q.later = slices.Delete(q.later, i, i+1)
			return it, true
		}
	}
	return q.pop(false, id)
}

// answered removes the query for a kept reply, if there was one.
func (q *readQueue) answered(index uint64) {
	if q.queries > 0 {
		q.pop(true, index)
	}
}

// take empties the queue. The first begun of the items are reads that the node was executing beside
// its stream, the next sent are with it.
func (q *readQueue) take() (items []readItem, begun, sent int) {
	items, begun, sent = q.items, len(q.later), q.sent
	if begun > 0 {
		items = append(q.later, items...)
	}
	*q = readQueue{}
	return items, begun, sent
}

// queried are the entries whose kept replies are asked for.
func (q *readQueue) queried() map[uint64]bool {
	asked := map[uint64]bool{}
	for _, it := range q.items {
		if it.query {
			asked[it.id] = true
		}
	}
	return asked
}
