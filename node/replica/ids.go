package replica

import (
	"container/list"
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"brainer/internal/wire"
	"brainer/resp"
)

const (
	// IDsMax is how many clients' outcomes are kept. A further one's write is refused rather than another's
	// forgotten, whose retry would then be a second write.
	IDsMax = 100_000
	// idReplyMax bounds the reply that is kept with an outcome.
	idReplyMax = 1 << 10
	// idWeight is what an outcome takes besides its client and its reply.
	idWeight = 256
)

// ids is the outcome of each client's last write that came with an id (BRAINER WITH ID): a part of the
// state, decided by entries alone, so that the client's retry has the same outcome on every copy and
// after every change of copies.
type ids struct {
	max      int
	byClient map[string]*list.Element // of order
	order    list.List                // of *outcome, by when they were last asked for
	bytes    int64
	sum      uint64 // of all digests
}

// outcome is what became of one write. It is not changed: a snapshot may hold it.
type outcome struct {
	client     string
	number     uint64
	deadlineMs int64 // it is gone at that entry time
	proto      uint8 // RESP version of reply
	size       int   // of the whole reply
	reply      []byte
}

func (o *outcome) bytes() int64 { return int64(len(o.client)) + int64(len(o.reply)) + idWeight }

func (o *outcome) digest() uint64 {
	b := make([]byte, 0, 64+len(o.client)+len(o.reply))
	for _, n := range [...]uint64{o.number, uint64(o.deadlineMs), uint64(o.proto), uint64(o.size), uint64(len(o.client))} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	b = append(b, o.client...)
	return xxhash.Sum64(append(b, o.reply...))
}

// find returns the outcome of client's last write, nil when there is none at nowMs.
func (t *ids) find(client []byte, nowMs int64) *outcome {
	e := t.byClient[string(client)]
	if e == nil {
		return nil
	}
	if o := e.Value.(*outcome); o.deadlineMs > nowMs {
		return o
	}
	return nil
}

// full says whether there is no room for one more client.
func (t *ids) full(client []byte) bool {
	return len(t.byClient) >= t.max && t.byClient[string(client)] == nil
}

// put keeps o in the place of what there was of its client, as the one that was asked for last.
func (t *ids) put(o *outcome) {
	if e := t.byClient[o.client]; e != nil {
		t.remove(e)
	}
	if t.byClient == nil {
		t.byClient = map[string]*list.Element{}
	}
	t.byClient[o.client] = t.order.PushBack(o)
	t.bytes += o.bytes()
	t.sum += o.digest()
}

func (t *ids) remove(e *list.Element) {
	o := t.order.Remove(e).(*outcome)
	delete(t.byClient, o.client)
	t.bytes -= o.bytes()
	t.sum -= o.digest()
}

// reclaim forgets at most limit outcomes whose time is over.
func (t *ids) reclaim(nowMs int64, limit int) {
	for ; limit > 0; limit-- {
		e := t.order.Front()
		if e == nil || e.Value.(*outcome).deadlineMs > nowMs {
			return
		}
		t.remove(e)
	}
}

// nextDeadlineMs is when something can be reclaimed next, 0 for never.
func (t *ids) nextDeadlineMs() int64 {
	if e := t.order.Front(); e != nil {
		return e.Value.(*outcome).deadlineMs
	}
	return 0
}

// list returns all outcomes in their order.
func (t *ids) list() []*outcome {
	all := make([]*outcome, 0, t.order.Len())
	for e := t.order.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(*outcome))
	}
	return all
}

// maybeAnswer puts the reply to a write that was applied before, or must not be, in r.reply.
func (r *Replica) maybeAnswer(e *wire.Entry) bool {
	if len(e.ID.Client) == 0 || r.cfg.Fault.ForgetIDs {
		return false
	}
	nowMs := e.TimeMs + r.cfg.Fault.IDSkewMs
	r.ids.reclaim(nowMs, 1) // for the one that may come
	o := r.ids.find(e.ID.Client, nowMs)
	switch {
	case o == nil && r.ids.full(e.ID.Client):
		r.reply.Error(errIDsFull)
	case o == nil || e.ID.Number > o.number:
		return false
	case e.ID.Number < o.number:
		r.reply.Error(errIDOld(e.ID.Number, o.number))
	default:
		r.idsAnswered++
		again := *o
		again.deadlineMs = max(o.deadlineMs, e.TimeMs+e.ID.KeepMs)
		r.ids.put(&again)
		o.write(&r.reply, e.Kind)
	}
	return true
}

// keepOutcome keeps r.reply for when e's client sends it again.
func (r *Replica) keepOutcome(e *wire.Entry) {
	o := &outcome{client: string(e.ID.Client), number: e.ID.Number, deadlineMs: e.TimeMs + e.ID.KeepMs,
		proto: e.Proto, size: len(r.reply.B)}
	if r.ctx.OfThisCopy {
		o.size = idReplyMax + 1 // as if it were too large: what is kept must be equal
	}
	if o.size <= idReplyMax {
		o.reply = append([]byte(nil), r.reply.B...)
	}
	r.ids.put(o)
}

// write writes the reply again, as the connection at hand understands it.
func (o *outcome) write(w *resp.Writer, kind wire.EntryKind) {
	switch {
	case len(o.reply) < o.size:
		w.Error(errIDReplyGone(o.number, o.size))
	case w.Proto == 2 && o.proto == 3:
		reply, _, err := resp.ParseReply(o.reply)
		if err != nil {
			panic("replica: a kept reply cannot be parsed: " + err.Error())
		}
		if reply.IsNull() && kind == wire.EntryTxn {
			w.NullArray()
			return
		}
		w.Reply(reply)
	default: // what RESP2 has, RESP3 has
		w.Raw(o.reply)
	}
}
