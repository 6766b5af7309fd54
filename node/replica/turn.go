package replica

import (
	"bytes"

	"brainer/internal/keyspace"
	"brainer/internal/wire"
)

// turnState is the turn that is being executed, step by step.
type turnState struct {
	busy     bool
	header   wire.Header
	turn     wire.Turn
	item     wire.Item
	left     int      // entries left of the run in item
	rest     []byte   // their bytes
	from     *carrier // of rest; nil: it is not used again
	body     *carrier // of the turn
	ahead    *carrier // of an entry that was sent ahead, until it is applied
	index    uint64   // of the last entry looked at
	finished uint64   // number of the last turn that is done

	next []waitingTurn // that have come behind it

	frameBytes int
	parts      uint32           // of the answer, that were sent
	credited   uint32           // of these, that the broker has received
	partBytes  [partsMax]uint64 // of all parts before that number, modulo partsMax
}

// These bound the parts of an answer that are on their way (but for one, which may be as large as a
// value): a turn with large replies goes on as the broker receives them.
const (
	partsMax     = 64
	partBytesMax = 2 << 20
)

// Busy reports whether a turn waits for Step.
func (r *Replica) Busy() bool {
	s := &r.turn
	return s.busy && s.parts-s.credited < partsMax && s.partBytes[s.parts%partsMax]-s.partBytes[s.credited%partsMax] < partBytesMax
}

// waitingTurn is a turn that came while the one before is not done: its answer has to be taken first.
type waitingTurn struct {
	header wire.Header
	turn   wire.Turn
	bytes  int
	from   *carrier // nil: the body is not used again
}

// turnsMax bounds the turns that wait: a broker sends fewer.
const turnsMax = 64

// receiveTurn takes a turn, whose body lasts, and may be used again if that is said. One whose number does not follow on takes the place of those before. It
// returns why the session cannot go on, "" if it can.
func (r *Replica) receiveTurn(h wire.Header, body []byte, again bool) (broken string) {
	if r.load != nil {
		return ""
	}
	t, err := wire.DecodeTurn(body)
	if err == nil {
		err = t.Check(keyspace.Databases)
	}
	if err != nil { // the frame's checksum was right: the sender is wrong
		return "the broker sent a damaged turn"
	}
	if r.clusterID == 0 {
		return "a turn came before the history it belongs to" // the Load was lost
	}
	s := &r.turn
	w := waitingTurn{header: h, turn: t, bytes: len(body)}
	if again && !r.cfg.Keep { // the storage has entries for as long as it likes
		w.from = &carrier{body: body, users: 1, to: r.assembler.Spares}
	}
	if s.busy && h.Seq == s.header.Seq+uint64(len(s.next))+1 && len(s.next) < turnsMax {
		s.next = append(s.next, w)
	} else {
		s.next = nil
		r.beginTurn(w)
	}
	return ""
}

// beginTurn accepts a turn that follows what is applied, or overlaps it.
func (r *Replica) beginTurn(w waitingTurn) {
	t := w.turn
	gap := t.Prev.Index > r.pos.Index || t.Prev.Index == r.pos.Index && t.Prev.Index > 0 && t.Prev.Era != r.pos.Era
	if gap && !r.cfg.Fault.NoGapCheck {
		reply := r.header()
		reply.Seq = w.header.Seq
		r.put(wire.Nack{Position: r.pos}.Append(nil, reply))
		return
	}
	r.safe, r.inSync = max(r.safe, t.Safe), t.InSync
	r.ring.trim(min(t.Confirm, t.Safe), r.ringBytes())
	r.turn = turnState{busy: true, header: w.header, turn: t, index: t.Prev.Index, finished: r.turn.finished,
		next: r.turn.next, frameBytes: w.bytes, body: w.from}
}

// Step goes on with the turn until it is done or enough replies have gathered; a Done says how far.
func (r *Replica) Step() {
	r.begin()
	s := &r.turn
	r.done = wire.BeginDone(r.done[:0])
	for len(r.done) < r.cfg.StepBytes && len(r.tail) == 0 {
		switch {
		case s.left > 0:
			r.stepEntry()
		case !s.turn.Next(&s.item):
			r.putTally()
			r.putDone(false)
			r.endTurn()
			r.shrinkBuffers()
			return
		case !r.stepItem():
			r.breakOff()
			return
		}
	}
	r.putTally()
	r.countPart()
	r.putDone(true)
	r.shrinkBuffers()
}

// stepItem does what the next item of the turn asks for; false: the entry that it names was not sent ahead.
func (r *Replica) stepItem() bool {
	s := &r.turn
	r.cfg.progressed()
	switch s.item.Kind {
	case wire.ItemEntries:
		s.left, s.rest, s.from = s.item.Count, s.item.Entries, s.body
		if 2*len(s.rest) < s.frameBytes {
			s.rest, s.from = bytes.Clone(s.rest), nil // the ring keeps entries, not the reads that came with them
		}
	case wire.ItemAhead:
		return r.beginAhead(s.item.ID, s.item.Entries)
	case wire.ItemRead:
		s.body = nil // a long read keeps its arguments
		r.answerRead(&s.item.Read)
	case wire.ItemQuery:
		r.answerQuery(s.item.ID)
	case wire.ItemMemory:
		r.answerMemory(&s.item.Memory)
	case wire.ItemSnapshot:
		if r.cfg.Fault.LateSnap {
			r.lateSnap, r.lateParts = s.item.ID, s.item.Parts
			break
		}
		r.beginDonation(s.item.ID, s.item.Parts)
	}
	return true
}

func (r *Replica) answerRead(q *wire.Read) {
	r.reads++
	if !q.Txn { // whose reads are of one moment
		r.laterFrom, r.farFrom = r.cfg.SliceElements, r.cfg.TailBytes
	}
	r.execute(q.DB, q.Proto, q.NoTouch, q.TimeMs, readSeed(q), q.Body, q.Txn)
	r.laterFrom, r.farFrom = 0, 0
	r.tally.Hits += uint64(r.ctx.Hits)
	r.tally.Misses += uint64(r.ctx.Misses)
	switch {
	case len(r.ctx.Far) > 0:
		r.putFar(q.ID)
	case !r.maybeBeginLater(q.ID) && !r.maybePutDue(q):
		r.putReply(wire.ReplyRead, q.ID, r.reply.B)
	}
	if r.cfg.OnRead != nil {
		r.cfg.OnRead(q.ID, r.pos)
	}
}

// countPart has the answer so far count as one of the parts that are on their way.
func (r *Replica) countPart() {
	s := &r.turn
	bytes := s.partBytes[s.parts%partsMax] + uint64(len(r.done))
	for _, b := range r.tail {
		bytes += uint64(len(b))
	}
	s.parts++
	s.partBytes[s.parts%partsMax] = bytes
}

// putDone answers the turn, or a part of it.
func (r *Replica) putDone(part bool) {
	h := r.header()
	h.Seq = r.turn.header.Seq
	head := wire.DoneHead{Applied: r.pos, DigestIndex: r.checkAt, Digest: r.check, Part: part}
	r.Out = append(r.Out, Frame{Bytes: wire.FinishDone(r.done, head, h), More: r.tail})
	r.tail = nil
}

// endTurn lets go of a turn that is answered, and begins the one that has come behind it.
func (r *Replica) endTurn() {
	s := &r.turn
	s.finished = s.header.Seq
	s.busy = false
	s.turn, s.item, s.rest = wire.Turn{}, wire.Item{}, nil
	s.body.release()
	s.body, s.from = nil, nil
	if n := s.next; len(n) > 0 {
		s.next = n[1:]
		r.beginTurn(n[0])
	}
}

// shrinkBuffers gives up memory that one large reply took.
func (r *Replica) shrinkBuffers() {
	if cap(r.done) > 4*r.cfg.StepBytes {
		r.done = nil
	}
	if cap(r.reply.B) > 4*r.cfg.StepBytes {
		r.reply.B = nil
	}
}

// stepEntry applies the next entry of the run, or answers again one that is applied.
func (r *Replica) stepEntry() {
	s := &r.turn
	var e wire.Entry
	rest, err := wire.NextEntry(s.rest, &e)
	if err != nil {
		panic("replica: an entry of a checked turn cannot be decoded")
	}
	encoded := s.rest[:len(s.rest)-len(rest)]
	s.rest = rest
	s.left--
	s.index++
	r.cfg.progressed()
	var reply []byte
	switch {
	case s.index <= r.pos.Index && !r.cfg.Fault.ApplyTwice:
		kept, ok := r.ring.reply(s.index)
		if !ok {
			return // confirmed, nobody waits for it
		}
		reply = kept
	default:
		reply = r.apply(s.turn.Era, s.index, &e, encoded, s.from)
	}
	s.ahead.release()
	s.ahead = nil
	if e.Primary == r.number && e.Primary != 0 {
		r.putReply(wire.ReplyEntry, s.index, reply)
	}
}

func (r *Replica) putReply(kind wire.ReplyKind, id uint64, reply []byte) {
	r.done = wire.BeginReply(r.done, kind, id)
	start := len(r.done)
	if len(reply) < r.cfg.TailBytes {
		r.done = append(r.done, reply...)
		wire.EndReply(r.done, start)
		return
	}
	r.tail = [][]byte{reply}
	wire.EndReplyTail(r.done, start, len(reply))
}

// putFar answers a read whose value is sent from where it lies.
func (r *Replica) putFar(id uint64) {
	r.done = wire.BeginReply(r.done, wire.ReplyRead, id)
	start := len(r.done)
	r.done = append(r.done, r.reply.B...)
	r.tail = [][]byte{r.ctx.Far, crlf}
	r.ctx.Far = nil
	wire.EndReplyTail(r.done, start, len(r.done)-start+len(r.tail[0])+len(crlf))
}

var crlf = []byte("\r\n")

// dueReplyMax is how long a reply is at most with which a deadline is told.
const dueReplyMax = 32 << 10

// maybePutDue answers a read with its key's deadline, if it is to be told. An error is none of the key's value.
func (r *Replica) maybePutDue(q *wire.Read) bool {
	reply := r.reply.B
	if !q.Due || q.Txn || len(r.args) < 2 || len(reply) == 0 || reply[0] == '-' || len(reply) > dueReplyMax {
		return false
	}
	v, found := r.ks.Peek(int(q.DB), r.args[1], q.TimeMs)
	if !found {
		v.DeadlineMs = wire.DueMissing
	}
	if q.Accesses > 0 && !q.NoTouch {
		r.ks.Touch(int(q.DB), r.args[1], int64(q.Accesses), q.TimeMs)
	}
	r.done = wire.BeginReply(r.done, wire.ReplyDue, q.ID)
	start := len(r.done)
	r.done = append(wire.AppendDue(r.done, v.DeadlineMs), reply...)
	wire.EndReply(r.done, start)
	return true
}

// putTally tells what has been counted, when it has changed.
func (r *Replica) putTally() {
	t := r.tally
	t.Expired = r.ks.ExpiredKeys() - r.expiredBefore
	if t == r.told || r.version == wire.VersionBefore || len(r.tail) > 0 { // with a tail nothing can follow
		return
	}
	r.told = t
	r.done = wire.BeginReply(r.done, wire.ReplyCounts, 0)
	start := len(r.done)
	r.done = t.Append(r.done)
	wire.EndReply(r.done, start)
}

// answerQuery sends the kept reply of an entry whose primary was another node.
func (r *Replica) answerQuery(index uint64) {
	if reply, ok := r.ring.reply(index); ok {
		r.putReply(wire.ReplyEntry, index, reply)
		return
	}
	r.putReply(wire.ReplyGone, index, nil)
}

// readSeed is a read's share of chance.
func readSeed(q *wire.Read) uint64 { return q.ID*0x9e3779b97f4a7c15 ^ uint64(q.TimeMs) }
