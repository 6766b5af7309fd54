package wire

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestDamagedFrameIsRefused(t *testing.T) {
	for _, s := range samples(Version) {
		for i := range s.frame {
			for _, bit := range []byte{1, 0x80} {
				b := bytes.Clone(s.frame)
				b[i] ^= bit
				if _, _, err := Decode(b); err == nil {
					t.Fatalf("%s: a flipped bit in byte %d is not noticed", s.name, i)
				}
			}
		}
		for n := range s.frame {
			if _, _, err := Decode(s.frame[:n]); err == nil {
				t.Fatalf("%s: its first %d bytes are taken for a frame", s.name, n)
			}
		}
		if _, _, err := Decode(append(bytes.Clone(s.frame), 0)); err == nil {
			t.Fatalf("%s: one byte too many is not noticed", s.name)
		}
	}
}

func TestOtherVersionIsToldApart(t *testing.T) {
	h := goldenHeader
	h.Version = Version + 1
	got, body, err := Decode(Hello{NodeID: "n"}.Append(nil, h))
	if !errors.Is(err, ErrVersion) || body != nil || got.Session != h.Session || got.Type != THello {
		t.Errorf("%+v %q %v", got, body, err)
	}
	if !strings.Contains(err.Error(), fmt.Sprintf("%d, this is %d", Version+1, Version)) || !IsOtherVersion(err.Error()) {
		t.Errorf("it does not say which: %v", err)
	}
}

// What brokers of the version before answer to a node that speaks a newer one: the node knows it by these words.
func TestRefusalOfTheVersionBeforeIsKnown(t *testing.T) {
	if !IsOtherVersion("wire: other protocol version: 5, this is 4: run_node and run_broker may be at most one protocol version apart") {
		t.Error("it is not known")
	}
}

func TestTypeThatDoesNotExistIsRefused(t *testing.T) {
	for _, typ := range []Type{0, typeEnd, 255} {
		if _, _, err := Decode(Finish(Begin(nil), Header{Type: typ})); !errors.Is(err, ErrCorrupt) {
			t.Errorf("type %d: %v", typ, err)
		}
	}
}

func TestFrameIsToldFromRESP(t *testing.T) {
	for _, s := range []string{"", "*", "*1\r\n", "PING\r\n", "\r\n", "$1", "\xb7"} {
		if IsFrame([]byte(s)) {
			t.Errorf("%q is taken for a frame", s)
		}
	}
	if !IsFrame(samples(Version)[0].frame) {
		t.Error("a frame is not recognised")
	}
}

// fragments splits a message.
func fragments(t *testing.T, m []byte, max int) [][]byte {
	t.Helper()
	var out [][]byte
	if err := Split(m, nil, max, func(head, body []byte) error { out = append(out, slices.Concat(head, body)); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// add gives an assembler frames and returns the messages that came of them.
func add(t *testing.T, a *Assembler, frames ...[]byte) (whole [][]byte) {
	t.Helper()
	for _, f := range frames {
		h, body, err := Decode(f)
		if err != nil {
			t.Fatal(err)
		}
		_, body, ok, err := a.Add(h, body)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			whole = append(whole, bytes.Clone(body))
		}
	}
	return whole
}

func chunkOf(n int) ([]byte, []byte) {
	m := Chunk{SnapID: 1, Records: bytes.Repeat([]byte("0123456789"), n)}.Append(nil, goldenHeader)
	return m, m[HeaderBytes:]
}

func TestLongMessageTravelsInFragments(t *testing.T) {
	m, body := chunkOf(100)
	for max := HeaderBytes + 1; max < len(m)+10; max += 37 {
		frames := fragments(t, m, max)
		for _, f := range frames {
			if len(f) > max {
				t.Fatalf("a frame of %d bytes, %d allowed", len(f), max)
			}
		}
		var a Assembler
		if got := add(t, &a, frames...); len(got) != 1 || !bytes.Equal(got[0], body) {
			t.Fatalf("in frames of %d: %d messages", max, len(got))
		}
	}
}

func TestMessageWithAMissingFragmentIsDroppedWhole(t *testing.T) {
	m, body := chunkOf(100)
	frames := fragments(t, m, 300)
	short := Nack{}.Append(nil, goldenHeader)
	for miss := range frames {
		var a Assembler
		left := append(append([][]byte{}, frames[:miss]...), frames[miss+1:]...)
		if got := add(t, &a, left...); len(got) != 0 {
			t.Errorf("without fragment %d there is a message", miss)
		}
		if got := add(t, &a, short); len(got) != 1 {
			t.Errorf("behind it (without fragment %d) a short message is lost", miss)
		}
		if got := add(t, &a, frames...); len(got) != 1 || !bytes.Equal(got[0], body) {
			t.Errorf("behind it (without fragment %d) a long message is lost", miss)
		}
	}
}

func TestRepeatedFragmentMakesNoMessage(t *testing.T) {
	m, _ := chunkOf(100)
	frames := fragments(t, m, 300)
	var a Assembler
	if got := add(t, &a, frames[0], frames[1], frames[1], frames[2]); len(got) != 0 {
		t.Error("a message with a fragment twice")
	}
}

func TestShortMessageMayPassBetweenFragmentsOfAnotherType(t *testing.T) {
	m, body := chunkOf(100)
	frames := fragments(t, m, 300)
	short := Nack{}.Append(nil, goldenHeader)
	var a Assembler
	got := add(t, &a, slices.Concat([][]byte{frames[0], short, frames[1], short}, frames[2:])...)
	if len(got) != 3 || !bytes.Equal(got[2], body) {
		t.Errorf("%d messages", len(got))
	}
}

func TestMessageIsAsLongAsItsFragmentsSay(t *testing.T) {
	m, _ := chunkOf(100)
	for _, by := range []int{-1, 1, -500} {
		var a Assembler
		refused := false
		for _, f := range fragments(t, m, 300) {
			h, body, err := Decode(f)
			if err != nil {
				t.Fatal(err)
			}
			h.whole = uint32(int(h.whole) + by)
			_, _, ok, err := a.Add(h, body)
			refused = refused || err != nil
			if ok {
				t.Errorf("a message of other than the announced bytes (%+d) is taken", by)
			}
		}
		if !refused {
			t.Errorf("%+d bytes are not noticed", by)
		}
	}
}

func TestAnAnnouncementAloneTakesLittleMemory(t *testing.T) {
	var a Assembler
	h := Header{Type: TChunk, flags: flagMore, whole: MessageBytesMax}
	if _, _, ok, err := a.Add(h, make([]byte, 100)); ok || err != nil {
		t.Fatal(ok, err)
	}
	if cap(a.whole) > trustBytes+trustBytes/8 { // what the allocator rounds it up to
		t.Errorf("%d bytes for 100 that have arrived", cap(a.whole))
	}
}

// TestAHeaderThatIsNotCheckedLosesNothing: room is made for what it announces, and the message under way comes to its end.
func TestAHeaderThatIsNotCheckedLosesNothing(t *testing.T) {
	var a Assembler
	place := func(frame []byte) []byte {
		h, ok := Announced(frame[:HeaderBytes], len(frame))
		if !ok {
			t.Fatal("no header")
		}
		room := a.Room(h, len(frame)-HeaderBytes)
		if room != nil {
			copy(room, frame[HeaderBytes:])
		}
		return room
	}
	h := Header{Type: TDone, Session: 1, Seq: 7}
	want := bytes.Repeat([]byte("message"), 1000)
	other := bytes.Repeat([]byte("another"), 1000)
	var strangers [][]byte
	for c := Cut(Header{Type: TDone, Session: 1, Seq: 8}, 500, Piece{Bytes: other}); c.More(); {
		frame, body := c.Next(nil)
		strangers = append(strangers, append(frame, body...))
	}
	var got []byte
	for c := Cut(h, 1000, Piece{Bytes: want}); c.More(); {
		frame, body := c.Next(nil)
		frame = append(frame, body...)
		for _, s := range strangers[:2] {
			place(s) // its checksum turns out to be wrong
		}
		room := place(frame)
		if room == nil {
			t.Fatal("no room")
		}
		h, body, err := DecodeApart(frame[:HeaderBytes], room)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range strangers[:2] {
			place(s)
		}
		_, m, whole, err := a.Add(h, body)
		if err != nil {
			t.Fatal(err)
		}
		if whole {
			got = m
		}
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d came to the end, or others", len(got), len(want))
	}
}

// TestSumsAreSharedByTheMessagesThatCarryAPiece: each frame is whole, and a piece is summed for the first message only.
func TestSumsAreSharedByTheMessagesThatCarryAPiece(t *testing.T) {
	piece := Piece{Bytes: bytes.Repeat([]byte("piece"), 1000), Sums: new(Sums)}
	for m := range 3 {
		h := Header{Type: TTurn, Session: 1, Seq: uint64(m)}
		head := bytes.Repeat([]byte("h"), 10*m)
		c := Cut(h, HeaderBytes+700, Piece{Bytes: head}, piece, Piece{Bytes: []byte("end")})
		var a Assembler
		for c.More() {
			frame, body := c.Next(nil)
			h, body, err := Decode(append(frame, body...))
			if err != nil {
				t.Fatal(err)
			}
			if _, got, whole, err := a.Add(h, body); err != nil || whole && string(got) != string(head)+string(piece.Bytes)+"end" {
				t.Fatal(whole, err)
			} else if whole == c.More() {
				t.Fatalf("whole: %v", whole)
			}
		}
		if n := len(piece.Sums.of); n != 8 {
			t.Errorf("%d sums of 8 frames", n)
		}
	}
}
