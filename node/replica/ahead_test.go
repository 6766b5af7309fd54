package replica

import (
	"bytes"
	"strings"
	"testing"

	"brainer/internal/wire"
)

// ahead sends a SET ahead under a number, in fragments, with a turn between them, and returns its entry's head.
func (h *hand) ahead(number uint64, between func(), args ...string) (head []byte) {
	e := wire.Entry{Kind: wire.EntryCommand, Proto: 2, Primary: ownNumber, TimeMs: h.nowMs, Body: encode(args...)}
	head = wire.AppendEntryHead(nil, &e)
	cut := wire.Cut(wire.Header{Type: wire.TAhead, Epoch: h.epoch, Session: h.session, Seq: number}, 100, wire.Piece{Bytes: make([]byte, len(head))},
		wire.Piece{Bytes: e.Body})
	for cut.More() {
		frame, body := cut.Next(nil)
		said := h.give(append(frame, body...))
		_, answer, err := wire.Decode(h.r.Out[0].Bytes)
		if err != nil {
			h.t.Fatal(err)
		}
		m, err := wire.DecodeAheadGot(answer)
		if err != nil || len(said) != 1 || int(m.Fragments) != cut.Part() || m.Whole == cut.More() {
			h.t.Fatalf("fragment %d is answered with %q, %+v, %v", cut.Part(), said, m, err)
		}
		if between != nil && cut.More() {
			between()
		}
	}
	return head
}

// named is the entry that was sent ahead under a number.
func named(number uint64, head []byte) item {
	return func(h *hand, b []byte) []byte {
		h.pos.Index++
		h.pos.Era = h.era
		return wire.AppendAheadItem(b, number, head)
	}
}

func TestWhatWasSentAheadIsAppliedWhenATurnNamesIt(t *testing.T) {
	h := begun(t, nil)
	value := strings.Repeat("v", 1000)
	turns := 0
	long := strings.Repeat("l", 1_100_000) // whose turn comes in fragments, too
	head := h.ahead(7, func() {
		if turns++; turns == 3 {
			h.send(do("SET", "other", long))
		}
		expect(t, h.send(read("GET", "k")), "read: $-1")
	}, "SET", "k", value)
	frame := h.frame(named(7, head), read("STRLEN", "k"))
	expect(t, h.give(frame), "2: +OK", "read: :1000")
	if n := len(h.r.aheads.held); n != 0 {
		t.Errorf("%d are still held", n)
	}
	expect(t, h.give(frame), "2: +OK", "read: :1000") // its answer was lost
	expect(t, h.send(read("GET", "k")), "read: $1000 "+value)
	if entry := h.r.ring.entries(2).Runs[0].Entries; !bytes.HasPrefix(entry, head) || len(entry) != wire.EntrySize(head) {
		t.Error("the entry is not kept as it was ordered")
	}
}

func TestWhatWasNotSentAheadIsNacked(t *testing.T) {
	h := begun(t, nil)
	value := strings.Repeat("v", 1000)
	head := h.ahead(1, nil, "SET", "k", value)
	forget := wire.Finish(wire.Begin(nil), wire.Header{Type: wire.TAhead, Epoch: h.epoch, Session: h.session, Seq: 1})
	expect(t, h.give(forget))
	before := h.pos
	turn := h.frame(do("SET", "a", "1"), named(1, head), read("GET", "a"))
	expect(t, h.give(turn), "nack 1/1")
	h.pos = before
	expect(t, h.send(do("SET", "a", "1"), do("SET", "k", value), read("GET", "a")), "1: +OK", "2: +OK", "read: $1 1") // sent again, whole

	h.ahead(3, nil, "SET", "k", value[1:])
	expect(t, h.send(named(3, head)), "nack 1/2") // another length than its head says
	h.pos.Index--

	h.ahead(4, nil, "SET", "k", value)
	h.epoch++
	h.r.Receive(wire.Prepare{BrokerRun: 10, Number: ownNumber}.Append(nil, h.head()))
	if n := len(h.r.aheads.held); n != 0 {
		t.Errorf("another broker's are held: %d", n)
	}
}

// The broker's word that something is to be forgotten may be lost, or come before all of it has.
func TestWhatNobodyNamesIsForgotten(t *testing.T) {
	h := begun(t, nil)
	value := strings.Repeat("v", 1000)
	first := wire.Cut(wire.Header{Type: wire.TAhead, Epoch: h.epoch, Session: h.session, Seq: 1}, 100, wire.Piece{Bytes: []byte(value)})
	frame, body := first.Next(nil)
	h.give(append(frame, body...))
	h.give(wire.Finish(wire.Begin(nil), wire.Header{Type: wire.TAhead, Epoch: h.epoch, Session: h.session, Seq: 1}))
	for first.More() {
		frame, body = first.Next(nil)
		h.give(append(frame, body...))
	}
	if len(h.r.aheads.held) != 0 {
		t.Error("the beginning of what is forgotten was still there")
	}

	var a aheads
	huge := make([]byte, aheadBytesMax*2/5)
	for number := range uint64(10) {
		a.keep(number, held{entry: huge})
	}
	if len(a.held) != 2 || a.held[8].entry == nil || a.held[9].entry == nil || a.bytes != 2*len(huge) {
		t.Errorf("%d are held, %d bytes", len(a.held), a.bytes)
	}
	a.keep(10, held{entry: make([]byte, aheadBytesMax+1)}) // alone
	if a.take(10).entry == nil || len(a.held) != 0 || a.bytes != 0 {
		t.Errorf("%d are held, %d bytes", len(a.held), a.bytes)
	}
}

// A value that was sent ahead stays where it arrived, also while the entry is kept for a broker that restarts.
func TestAValueThatWasSentAheadIsNotCopied(t *testing.T) {
	h := begun(t, func(c *Config) { c.RegionMin, c.RingBytesMax, c.Scribble = 1, 2000, true })
	value := strings.Repeat("v", 1500)
	for number := range uint64(20) {
		head := h.ahead(number+1, nil, "SET", "k", value)
		from := h.r.aheads.held[number+1].from
		if from == nil || from.region == nil {
			t.Fatal("it arrived in Go's heap")
		}
		h.confirm, h.safe = h.pos.Index, h.pos.Index
		h.send(named(number+1, head))
		v, _ := h.r.ks.Peek(0, []byte("k"), h.nowMs)
		if !bytes.Equal(v.String, []byte(value)) || &v.String[0] != &from.body[len(from.body)-len(value)-2] {
			t.Fatal("the value is another, or a copy")
		}
		entry := h.r.ring.entries(h.pos.Index).Runs[0].Entries
		h.send(do("APPEND", "k", "x"))
		if kept := h.r.ring.entries(h.pos.Index - 1).Runs[0].Entries; !bytes.HasPrefix(kept, entry) {
			t.Fatal("the entry that is kept has changed")
		}
		expect(t, h.send(read("STRLEN", "k")), "read: :1501")
		h.send(do("SET", "k", "short"))
	}
	if n := len(h.r.aheads.held); n != 0 || h.r.aheads.region != nil {
		t.Errorf("%d are still held", n)
	}
}

func TestDamagedHeadsAreRefused(t *testing.T) {
	e := wire.Entry{Kind: wire.EntryCommand, DB: 3, ID: wire.RequestID{Client: []byte("me"), Number: 1, KeepMs: 2}, Body: []byte("12345678")}
	head := wire.AppendEntryHead(nil, &e)
	if err := wire.CheckEntryHead(head, 16); err != nil {
		t.Fatal(err)
	}
	for at, b := range map[int]byte{0: 1, 4: 0, 5: 16, 10: 3, 11: 1} {
		damaged := bytes.Clone(head)
		damaged[at] = b
		if wire.CheckEntryHead(damaged, 16) == nil {
			t.Errorf("byte %d is %d, and nobody notices", at, b)
		}
	}
	for n := range head {
		if wire.CheckEntryHead(head[:n], 16) == nil {
			t.Errorf("%d bytes of %d are taken for a head", n, len(head))
		}
	}
}
