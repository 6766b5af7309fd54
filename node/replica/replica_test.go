package replica

import (
	"fmt"
	"strings"
	"testing"

	"brainer/internal/command"
	"brainer/internal/wire"
)

func TestEntriesAreAppliedInOrderAndReadsSeeThem(t *testing.T) {
	h := begun(t, nil)
	expect(t, h.send(do("INCR", "n"), do("INCR", "n"), read("GET", "n"), do("INCR", "n")),
		"1: :1", "2: :2", "read: $1 2", "3: :3")
	if _, _, p, _ := h.r.Copy(); p != (wire.Position{Era: 1, Index: 3}) {
		t.Errorf("position %v", p)
	}
}

func TestRepeatedEntryIsAnsweredAgainAndChangesNothing(t *testing.T) {
	h := begun(t, nil)
	turn := h.frame(do("INCR", "n"), do("APPEND", "s", "x"))
	expect(t, h.give(turn), "1: :1", "2: :1")
	_, _, p, digest := h.r.Copy()
	expect(t, h.give(turn), "1: :1", "2: :1")
	if _, _, p2, digest2 := h.r.Copy(); p2 != p || digest2 != digest {
		t.Errorf("moved from %v to %v", p, p2)
	}
	expect(t, h.send(read("GET", "n"), read("GET", "s")), "read: $1 1", "read: $1 x")
}

func TestTurnThatOverlapsIsAppliedFromWhereItIsNew(t *testing.T) {
	h := begun(t, nil)
	before := *h
	h.send(do("INCR", "n"), do("INCR", "n"))
	*h = before // as the broker sends them again, with one more
	h.turn++
	expect(t, h.send(do("INCR", "n"), do("INCR", "n"), do("INCR", "n")), "1: :1", "2: :2", "3: :3")
}

func TestGapIsNackedAndChangesNothing(t *testing.T) {
	h := begun(t, nil)
	h.send(do("INCR", "n"))
	h.frame(do("INCR", "n")) // lost
	expect(t, h.send(do("INCR", "n")), "nack 1/1")
	h.pos.Index = 1
	expect(t, h.send(read("GET", "n")), "read: $1 1")
}

func TestEntryOfAnotherEraThanHeldIsNacked(t *testing.T) {
	h := begun(t, nil)
	h.send(do("INCR", "n"))
	h.pos.Era, h.era = 2, 2
	expect(t, h.send(do("INCR", "n")), "nack 1/1")
}

func TestOlderEpochIsFencedAndChangesNothing(t *testing.T) {
	h := begun(t, nil)
	h.send(do("INCR", "n"))
	h.epoch = 5
	expect(t, h.give(wire.Prepare{BrokerRun: 10, Number: 1}.Append(nil, h.head())), "position")
	h.epoch = 1
	expect(t, h.send(do("INCR", "n")), "fenced 5")
	expect(t, h.give(wire.Prepare{BrokerRun: 9, Number: 1}.Append(nil, h.head())), "fenced 5")
	h.epoch = 5
	expect(t, h.give(wire.Prepare{BrokerRun: 11, Number: 1}.Append(nil, h.head())), "fenced 5") // another broker, same epoch
	h.pos.Index = 1
	expect(t, h.send(read("GET", "n")), "read: $1 1")
}

func TestFrameOfAnotherSessionIsIgnored(t *testing.T) {
	h := begun(t, nil)
	h.send(do("INCR", "n"))
	late := h.frame(do("INCR", "n"))
	h.session = 2
	h.r.Open(2)
	expect(t, h.give(late))
	if _, _, p, _ := h.r.Copy(); p.Index != 1 {
		t.Errorf("a late turn was applied: %v", p)
	}
}

func TestTurnBeforeItsHistoryEndsTheSession(t *testing.T) {
	h := newHand(t, nil) // the Load was lost
	expect(t, h.send(do("INCR", "n")), "a turn came before the history it belongs to")
}

func TestDamagedTurnEndsTheSessionAndChangesNothing(t *testing.T) {
	for name, b := range map[string]func([]byte) []byte{
		"entry of no kind": func(b []byte) []byte {
			e := wire.AppendEntry(nil, &wire.Entry{Kind: wire.EntryCommand, Body: encode("INCR", "n")})
			bad := wire.AppendEntry(nil, &wire.Entry{Kind: 99})
			return wire.AppendEntriesItem(b, 2, append(e, bad...))
		},
		"fewer entries than announced": func(b []byte) []byte {
			return wire.AppendEntriesItem(b, 3, wire.AppendEntry(nil, &wire.Entry{Kind: wire.EntryNoop}))
		},
		"more bytes than entries": func(b []byte) []byte {
			return wire.AppendEntriesItem(b, 0, wire.AppendEntry(nil, &wire.Entry{Kind: wire.EntryNoop}))
		},
		"entry of no database": func(b []byte) []byte {
			return wire.AppendEntriesItem(b, 1, wire.AppendEntry(nil, &wire.Entry{Kind: wire.EntryWatch, DB: 16, Body: encode("WATCH", "k")}))
		},
		"read of no database": func(b []byte) []byte {
			return wire.AppendReadItem(b, &wire.Read{DB: 200, Body: encode("GET", "k")})
		},
		"item of no kind": func(b []byte) []byte { return append(b, 99) },
		"half an item":    func(b []byte) []byte { return append(wire.AppendQueryItem(b, 1), byte(wire.ItemQuery), 1, 2) },
	} {
		h := begun(t, nil)
		expect(t, h.send(func(_ *hand, x []byte) []byte { return b(x) }), "the broker sent a damaged turn")
		if _, _, p, _ := h.r.Copy(); p.Index != 0 {
			t.Errorf("%s: moved to %v", name, p)
		}
	}
}

func TestReplyIsKeptUntilConfirmed(t *testing.T) {
	h := begun(t, func(c *Config) { c.RingBytesMax = 0 })
	h.send(do("INCR", "n"), do("INCR", "n"), do("INCR", "n"))
	expect(t, h.send(query(2)), "2: :2")
	h.confirm, h.safe = 2, 1
	expect(t, h.send(query(1), query(2), query(3)), "1: gone", "2: :2", "3: :3") // confirmed, but not safe
	h.safe = 3
	expect(t, h.send(query(1), query(2), query(3)), "1: gone", "2: gone", "3: :3")
	expect(t, h.send(query(9)), "9: gone")
}

func TestRingKeepsEntriesForABrokerThatRestarts(t *testing.T) {
	h := begun(t, func(c *Config) { c.RingBytesMax = 300 })
	for range 20 {
		h.send(do("INCR", "n"))
		h.confirm, h.safe = h.pos.Index, h.pos.Index
	}
	h.send()
	h.r.Receive(wire.Fetch{From: 1}.Append(nil, h.head()))
	_, body, err := wire.Decode(h.r.Out[0].Bytes)
	if err != nil {
		t.Fatal(err)
	}
	m, err := wire.DecodeEntries(body)
	if err != nil || len(m.Runs) != 1 {
		t.Fatalf("%v %v", m, err)
	}
	run := m.Runs[0]
	if last := run.First + uint64(run.Count) - 1; last != 20 || run.First < 10 || run.First > 18 || run.Era != 1 {
		t.Errorf("%d entries from %d on, era %d", run.Count, run.First, run.Era)
	}
}

func TestTimeAndChanceComeFromTheEntry(t *testing.T) {
	a, b := begun(t, nil), begun(t, nil)
	for i, h := range []*hand{a, b} {
		h.send(do("SET", "k", "v", "PX", "100"), do("HSET", "h", "a", "1", "b", "2", "c", "3"))
		if i == 1 {
			h.nowMs += 50 // it serves a read in between; the other one does not
			h.send(read("GET", "k"))
			h.nowMs -= 50
		}
		h.nowMs += 99
		expect(t, h.send(read("EXISTS", "k")), "read: :1")
		h.nowMs++
		h.send(entry(0, "EXEC", "EXISTS k", "HRANDFIELD h", "SETNX k w"))
	}
	_, _, _, da := a.r.Copy()
	_, _, _, db := b.r.Copy()
	if da != db || a.r.StateDigest(a.nowMs) != b.r.StateDigest(b.nowMs) {
		t.Error("two copies differ")
	}
}

func TestDigestTellsCopiesApart(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"other seed": func(c *Config) { c.Fault.OwnSeed = 1 },
		"own clock":  func(c *Config) { c.Fault.WallClock, c.Fault.ClockMs = true, 1 },
	} {
		a, b := begun(t, nil), begun(t, change)
		for _, h := range []*hand{a, b} {
			h.send(do("HSET", "h", "a", "1", "b", "2", "c", "3", "d", "4"), do("SET", "k", "v", "PX", "5"))
			for range 20 {
				h.send(entry(0, "EXEC", "HRANDFIELD h", "GET k"))
			}
		}
		_, _, _, da := a.r.Copy()
		_, _, _, db := b.r.Copy()
		if da == db {
			t.Errorf("%s: the same digest", name)
		}
	}
}

// A turn is executed in steps, so that answers are sent and snapshots go on in between.
func TestLargeTurnIsAnsweredInParts(t *testing.T) {
	h := begun(t, func(c *Config) { c.StepBytes = 300 })
	h.give(h.frame(do("SET", "k", string(make([]byte, 100)))))
	frame := h.frame(read("GET", "k"), read("GET", "k"), read("GET", "k"), read("GET", "k"), do("INCR", "n"))
	h.r.Receive(frame)
	parts, replies := 0, 0
	for h.r.Busy() {
		h.r.Step()
		replies += len(h.said())
		parts++
	}
	if parts != 3 || replies != 5 {
		t.Errorf("%d parts with %d replies", parts, replies)
	}
}

// TestFaultsAreTold: what is answered with an internal error can be found in a log.
func TestFaultsAreTold(t *testing.T) {
	var told []command.Fault
	h := begun(t, func(c *Config) { c.OnFault = func(f command.Fault) { told = append(told, f) } })
	junk := func(kind wire.EntryKind) item {
		return func(h *hand, b []byte) []byte {
			h.pos.Index++
			h.pos.Era = h.era
			return wire.AppendEntriesItem(b, 1, wire.AppendEntry(nil, &wire.Entry{Kind: kind, Proto: 2, Primary: ownNumber, TimeMs: h.nowMs, Body: []byte("*1\r\n$9\r\njunk")}))
		}
	}
	want(t, h.send(junk(wire.EntryCommand), junk(wire.EntryTxn)), "1: -"+command.ErrInternal, "2: -"+command.ErrInternal)
	if len(told) != 2 || !strings.Contains(fmt.Sprint(told[0].Value), "junk") || told[1].Command != "EXEC" || h.r.Status().Faults != 2 {
		t.Errorf("told of %v", told)
	}
}
