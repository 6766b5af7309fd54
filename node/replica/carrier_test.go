package replica

import (
	"slices"
	"strings"
	"testing"

	"brainer/internal/wire"
)

// TestALongTurnsMemoryIsUsedAgain: when the ring has dropped its entries, and not before.
func TestALongTurnsMemoryIsUsedAgain(t *testing.T) {
	for _, frameBytes := range []int{300, wire.FrameBytesMax} {
		longTurns(t, frameBytes)
	}
}

func longTurns(t *testing.T, frameBytes int) {
	h := begun(t, func(c *Config) { c.RingBytesMax, c.AgainBytes, c.Scribble = 5000, 500, true })
	value := func(i int) string { return strings.Repeat(string(rune('a'+i)), 1000) }
	bodies := map[*byte]bool{}
	for i := range 20 {
		set := []item{do("SET", "k", value(i))}
		if i%5 == 0 {
			set = append(set, read("GET", "k")) // the turn's body is not used again
		}
		err := wire.Split(h.frame(set...), nil, frameBytes, func(head, body []byte) error {
			h.give(slices.Concat(head, body))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		h.confirm, h.safe = h.pos.Index, h.pos.Index
		bodies[&h.r.ring.at(h.r.ring.count - 1).entry[0]] = true
		h.r.Receive(wire.Fetch{From: 1}.Append(nil, h.head()))
		_, body, err := wire.Decode(h.r.Out[0].Bytes)
		if err != nil {
			t.Fatal(err)
		}
		m, err := wire.DecodeEntries(body)
		if err != nil {
			t.Fatal(err)
		}
		run := m.Runs[0]
		rest, index := run.Entries, run.First
		for len(rest) > 0 {
			var e wire.Entry
			if rest, err = wire.NextEntry(rest, &e); err != nil || !strings.Contains(string(e.Body), value(int(index-1))) {
				t.Fatalf("entry %d of %d: %v %.30q", index, i, err, e.Body)
			}
			index++
		}
	}
	if n := len(bodies); n > 14 {
		t.Errorf("20 turns in frames of up to %d bytes lay in %d places", frameBytes, n)
	}
	if got := h.send(read("GET", "k")); got[0] != "read: $1000 "+value(19) {
		t.Errorf("%.40q", got)
	}
}
