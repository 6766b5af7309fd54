package wire

import (
	"bytes"
	"testing"
)

func TestSparesGiveTheLastOneThatFits(t *testing.T) {
	s := Spares{BytesMax: 1000}
	for _, n := range []int{300, 400, 290, 1001} { // the last is too large to be kept
		s.Give(make([]byte, n))
	}
	for _, x := range []struct{ n, want int }{{239, 290}, {200, 0}, {330, 400}, {300, 300}, {300, 0}} {
		if b := s.take(x.n); cap(b) != x.want || len(b) > 0 {
			t.Errorf("for %d bytes: %d of %d, not of %d", x.n, len(b), cap(b), x.want)
		}
	}
	for range 5 {
		s.Give(make([]byte, 400))
	}
	if len(s.bufs) != 2 || s.bytes != 800 {
		t.Errorf("%d buffers of %d bytes are kept", len(s.bufs), s.bytes)
	}
}

func TestAMessageIsPutTogetherInASpareOne(t *testing.T) {
	spare := make([]byte, 0, 1100)
	a := Assembler{Spares: &Spares{BytesMax: 2000}}
	body := bytes.Repeat([]byte("0123456789"), 100)
	pass := func(stopAt int) (whole []byte) {
		c := Cut(Header{Type: TTurn, Session: 1, Seq: 2}, HeaderBytes+300, Piece{Bytes: body})
		for c.More() && c.Part() != stopAt {
			h, p, err := Decode(bytes.Join(joined(c.Next(nil)), nil))
			if err != nil {
				t.Fatal(err)
			}
			if _, m, ok, err := a.Add(h, p); err != nil {
				t.Fatal(err)
			} else if ok {
				whole = m
			}
		}
		return whole
	}
	for _, give := range []bool{false, true} {
		if give {
			a.Spares.Give(spare)
		}
		got := pass(-1)
		if !bytes.Equal(got, body) || give != (&got[0] == &spare[:1][0]) {
			t.Errorf("given one: %v, and %d bytes elsewhere", give, len(got))
		}
	}
	a.Spares.Give(spare)
	pass(2)
	a.Reset()
	if got := pass(-1); !bytes.Equal(got, body) { // one that was begun is let go of
		t.Errorf("%d bytes behind an unfinished message", len(got))
	}
}

func joined(head, body []byte) [][]byte { return [][]byte{head, body} }
