package replica

import (
	"strings"
	"testing"

	"brainer/internal/wire"
)

// TestAnAnswerGoesOnAsItIsReceived asks for far more than may be on its way at once.
func TestAnAnswerGoesOnAsItIsReceived(t *testing.T) {
	h := begun(t, nil)
	value := strings.Repeat("v", 4<<20)
	h.send(do("SET", "k", value))
	const gets = 40
	items := make([]item, gets)
	for i := range items {
		items[i] = read("GET", "k")
	}
	h.r.Receive(h.frame(items...))
	replies, parts, bytes, received := 0, uint32(0), 0, 0
	for replies < gets {
		if !h.r.Busy() {
			if bytes == received {
				t.Fatalf("all is received and it does not go on after %d replies", replies)
			}
			received = bytes
			h.r.Receive(wire.Credit{UpTo: parts}.Append(nil, h.head()))
			continue
		}
		h.r.Step()
		for _, f := range h.r.Out {
			if len(f.More) > 0 && len(f.Bytes) > 1000 {
				t.Fatal("a large reply was copied")
			}
			_, body, err := wire.Decode(f.Joined())
			if err != nil {
				t.Fatal(err)
			}
			d, err := wire.DecodeDone(body)
			if err != nil {
				t.Fatal(err)
			}
			for {
				_, _, reply, ok := d.Next()
				if !ok {
					break
				}
				if string(reply) != "$4194304\r\n"+value+"\r\n" {
					t.Fatalf("a reply of %d bytes", len(reply))
				}
				replies++
			}
			if d.Err() != nil {
				t.Fatal(d.Err())
			}
			if d.Part {
				parts++
			}
			bytes += len(body)
		}
		if bytes-received > partBytesMax+len(value)+1000 {
			t.Fatalf("%d MB are on their way", (bytes-received)>>20)
		}
	}
}

// TestTurnsWaitBehindOneWhoseAnswerIsNotTaken: they are executed in order, when it goes on; one whose number does not
// follow on takes the place of all before, whose answers nobody takes any more.
func TestTurnsWaitBehindOneWhoseAnswerIsNotTaken(t *testing.T) {
	stuck := func() *hand {
		h := begun(t, nil)
		h.send(do("SET", "k", strings.Repeat("v", 9*partBytesMax/16)))
		said := h.send(read("GET", "k"), read("GET", "k"), read("STRLEN", "k"))
		if h.r.Busy() || len(said) != 2 {
			t.Fatalf("%d answers on their way", len(said))
		}
		if said := append(h.send(do("INCR", "n")), h.send(read("GET", "n"))...); len(said) > 0 {
			t.Fatalf("said before its turn: %q", said)
		}
		return h
	}
	h := stuck()
	said := h.give(wire.Credit{UpTo: 2}.Append(nil, h.head()))
	want(t, said, "read: :1179648", "2: :1", "read: $1")

	h = stuck()
	h.turn++
	h.pos.Index-- // INCR is not applied
	want(t, h.send(read("STRLEN", "k")), "read: :1179648")
	want(t, h.send(read("EXISTS", "n")), "read: :0")
}

func want(t *testing.T, said []string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if len(said) == 0 || !strings.HasPrefix(said[0], p) {
			t.Fatalf("said %q, want %q", said, parts)
		}
		said = said[1:]
	}
	if len(said) > 0 {
		t.Fatalf("said %q, too", said)
	}
}
