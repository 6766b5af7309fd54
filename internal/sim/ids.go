package sim

import (
	"bytes"
	"fmt"
	"strconv"

	"brainer/internal/wire"
)

// retrier is a client's writes with ids: it repeats one until it has its outcome, and sometimes
// afterwards, and now and then an older one. They touch keys that no other command names.
type retrier struct {
	number  uint64
	open    bool
	command []string
}

func (r *retrier) draw(w *world) []string {
	number := r.number
	switch {
	case number > 1 && w.chance(0.1):
		number -= 1 + uint64(w.rng.IntN(2)) // a late one
	case r.open && w.chance(0.8), number > 0 && w.chance(0.2):
	default:
		r.number++
		number, r.open = r.number, true
		r.command = pick(w.rng, []string{"INCR", "i0"}, []string{"INCR", "i1"}, []string{"EXEC", "INCR\x00i0", "INCR\x00i1"})
	}
	return append([]string{"ID", strconv.FormatUint(number, 10)}, r.command...)
}

func (r *retrier) answered(number uint64) { r.open = r.open && number != r.number }

// idModel is invariant 11, told without the nodes' own table: of the entries with one id the first has
// an effect, the others have its reply, and an older number has neither, as long as it was promised.
type idModel map[string]*lastID

type lastID struct {
	number     uint64
	deadlineMs int64
	proto      uint8
	reply      []byte
}

// follow applies an entry and looks at what it did.
func (m idModel) follow(o *oracle, at wire.Position, encoded []byte) []byte {
	var e wire.Entry
	if _, err := wire.NextEntry(encoded, &e); err != nil || len(e.ID.Client) == 0 {
		return o.apply(at, encoded)
	}
	want := o.counters(e.TimeMs)
	last := m[string(e.ID.Client)]
	if last != nil && last.deadlineMs <= e.TimeMs {
		last = nil
	}
	first := last == nil || e.ID.Number > last.number
	if first {
		for i := range want {
			want[i] += int64(bytes.Count(e.Body, fmt.Appendf(nil, "\r\ni%d\r\n", i)))
		}
	}
	reply := o.apply(at, encoded)
	if got := o.counters(e.TimeMs); got != want {
		o.w.failf("11: %s of %s at %v leaves %v, not %v", strconv.FormatUint(e.ID.Number, 10), e.ID.Client, at, got, want)
	}
	switch {
	case first:
		m[string(e.ID.Client)] = &lastID{e.ID.Number, e.TimeMs + e.ID.KeepMs, e.Proto, reply}
		return reply
	case e.ID.Number == last.number:
		last.deadlineMs = max(last.deadlineMs, e.TimeMs+e.ID.KeepMs)
		if e.Proto == last.proto && !bytes.Equal(reply, last.reply) {
			o.w.failf("11: %d of %s was answered %q, at %v it is %q", e.ID.Number, e.ID.Client, last.reply, at, reply)
		}
	default:
		if !bytes.HasPrefix(reply, []byte("-ERR stale request")) {
			o.w.failf("11: %d of %s comes after %d and is answered %q", e.ID.Number, e.ID.Client, last.number, reply)
		}
	}
	o.w.stats.Retries++
	return reply
}

// counters reads the keys that are only written with ids.
func (o *oracle) counters(ms int64) (n [2]int64) {
	for i := range n {
		value, isNull := bulk(o.read(ms, 2, false, encode([]string{"GET", "i" + strconv.Itoa(i)})))
		if !isNull {
			var err error
			if n[i], err = strconv.ParseInt(string(value), 10, 64); err != nil {
				o.w.failf("11: a counter holds %q", value)
			}
		}
	}
	return n
}
