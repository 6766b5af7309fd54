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
