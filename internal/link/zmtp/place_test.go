package zmtp

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// Long messages arrive where somebody wants them, whatever pieces they come in; what is not wanted there, and what is between
// them, arrives as ever.
func TestLongMessagesArriveInTheirPlace(t *testing.T) {
	const headBytes = 52
	stream := handshakeOf("DEALER", "n1")
	var want [][]byte
	random := rand.NewChaCha8([32]byte{})
	for _, n := range []int{100, 10, 256 << 10, 5, 0, 300_000, 300_001, headBytes + placeMin, headBytes + placeMin - 1, 40_000, 70_000, 3, 1 << 20} {
		body := make([]byte, n)
		random.Read(body)
		stream = append(appendHead(stream, 0, n), body...)
		want = append(want, body)
	}
	for _, piece := range []int{9 + headBytes, 4000, 70_000, len(stream)} {
		c, peer := pair(t)
		c.place.headBytes = headBytes
		asked, placed := 0, 0
		c.place.find = func(id string, head []byte, n int) []byte {
			i := slices.IndexFunc(want, func(w []byte) bool { return len(w) == n && bytes.HasPrefix(w, head) })
			if asked++; id != "n1" || len(head) != headBytes || i < 0 || n-headBytes < placeMin {
				t.Fatalf("asked for %d bytes of %q, message %d", n, id, i)
			}
			if n == 300_001 {
				return nil
			}
			placed++
			return make([]byte, n-headBytes)
		}
		feedInPieces(t, c, peer, stream, piece, want)
		if placed < 3 || asked == placed {
			t.Errorf("pieces of %d: asked %d times, %d were placed", piece, asked, placed)
		}
	}
}
