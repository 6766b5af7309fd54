package replica

import (
	"fmt"
	"strings"
	"testing"

	"brainer/internal/wire"
)

// slicing is a replica that holds n keys and executes long reads in slices of two.
func slicing(t *testing.T, n int) *hand {
	h := begun(t, func(c *Config) { c.SliceElements = 2 })
	for i := range n {
		h.send(do("SET", fmt.Sprint("key", i), "v"))
	}
	return h
}

// pump lets the replica work in its pauses until it says something.
func (h *hand) pump() (said []string) {
	for len(said) == 0 && h.r.Pump() {
		said = h.said()
	}
	return said
}

func TestALongReadLetsOthersPassAndShowsItsPlaceInTheOrder(t *testing.T) {
	h := slicing(t, 5)
	expect(t, h.send(do("SET", "key5", "v"), read("KEYS", "*"), do("SET", "key6", "v"), read("GET", "key6")),
		"6: +OK", "read: later", "7: +OK", "read: $1 v")
	h.r.Pump()
	expect(t, h.said())
	expect(t, h.send(do("FLUSHALL"), read("DBSIZE")), "8: +OK", "read: :0")
	said := h.pump()
	if len(said) != 1 || !strings.HasPrefix(said[0], "read: *6 ") || strings.Contains(said[0], "key6") || !strings.Contains(said[0], "key5") {
		t.Fatalf("%q", said)
	}
	if h.r.Pump() {
		t.Error("something is left")
	}
}

func TestALongReadIsInOnePieceInsideATransaction(t *testing.T) {
	h := slicing(t, 5)
	said := h.send(entry(0, "EXEC", "KEYS *"), func(h *hand, b []byte) []byte {
		h.rid++
		return wire.AppendReadItem(b, &wire.Read{ID: h.rid, TimeMs: h.nowMs, Proto: 2, Txn: true, Body: encode("KEYS", "*")})
	})
	if len(said) != 2 || !strings.HasPrefix(said[0], "6: *1 *5 ") || !strings.HasPrefix(said[1], "read: *1 *5 ") {
		t.Fatalf("%q", said)
	}
}

func TestALongReadThatIsAskedAgainBeginsAnew(t *testing.T) {
	h := slicing(t, 5)
	expect(t, h.send(read("KEYS", "*")), "read: later")
	h.rid--
	expect(t, h.send(do("SET", "key5", "v"), read("KEYS", "*")), "6: +OK", "read: later")
	said := h.pump()
	if len(said) != 1 || !strings.HasPrefix(said[0], "read: *6 ") {
		t.Fatalf("%q", said)
	}
	if said := h.pump(); len(said) > 0 {
		t.Errorf("answered twice: %q", said)
	}
}

func TestALongReadSaysThatItGoesOn(t *testing.T) {
	h := slicing(t, 2*sayStillEvery+1)
	expect(t, h.send(read("KEYS", "nothing")), "read: later")
	expect(t, h.pump(), "read: later")
	expect(t, h.pump(), "read: *0")
}

func TestANewSessionForgetsLongReads(t *testing.T) {
	h := slicing(t, 5)
	for range 100 { // more than there may be at once: they are let go of
		expect(t, h.send(read("KEYS", "*")), "read: later")
		h.session++
		h.r.Open(h.session)
		h.r.Receive(wire.Prepare{BrokerRun: 9, Number: ownNumber}.Append(nil, h.head()))
		if h.r.Pump() {
			t.Fatal("it goes on")
		}
	}
}

func TestLongReadsTakeTurnsWithASnapshot(t *testing.T) {
	h := slicing(t, 100)
	expect(t, h.send(read("KEYS", "*"), snapshot(5)), "read: later")
	expect(t, h.pump(), "chunk")
}
