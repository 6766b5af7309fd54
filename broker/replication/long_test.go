package replication

import (
	"bytes"
	"slices"
	"testing"

	"brainer/internal/wire"
)

// takeFragments returns the messages that the frames put out so far make, and how many frames there were.
func takeFragments(t *testing.T, c *Core, a *wire.Assembler) (whole [][]byte, frames int) {
	t.Helper()
	for _, f := range c.Out.Frames {
		h, body, err := wire.Decode(slices.Concat(f.Bytes, f.Body))
		if err != nil {
			t.Fatal(err)
		}
		_, body, ok, err := a.Add(h, body)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			whole = append(whole, body)
		}
	}
	frames = len(c.Out.Frames)
	c.Out.Frames = nil
	return whole, frames
}

func pieces(of ...[]byte) (p []wire.Piece) {
	for _, b := range of {
		p = append(p, wire.Piece{Bytes: b})
	}
	return p
}

func TestALongMessageGoesOutAsItIsReceived(t *testing.T) {
	c := &Core{cfg: Config{FragmentBytes: wire.HeaderBytes + 10}}
	n := &node{peer: "p"}
	var a wire.Assembler
	turn, chunk := bytes.Repeat([]byte("turn"), 250), bytes.Repeat([]byte("chunk"), 30)
	c.sendLong(n, wire.Header{Type: wire.TTurn, Seq: 7}, pieces(turn[:5], turn[5:700], nil, turn[700:]))
	c.sendLong(n, wire.Header{Type: wire.TChunk, Seq: 1}, pieces(chunk[:100], chunk[100:]))
	var whole [][]byte
	frames, received := 0, 0
	for len(whole) == 0 {
		got, k := takeFragments(t, c, &a)
		if frames += k; frames-received > fragmentsMax+len(chunk)/10 { // the next one may begin
			t.Fatalf("%d fragments on their way", frames-received)
		}
		if k == 0 {
			t.Fatalf("nothing follows what was received (%d of %d)", received, frames)
		}
		whole = append(whole, got...)
		received += min(wire.FragmentCredit, frames-received)
		c.fragmentsReceived(n, 6, 1<<20) // of a turn that is over
		c.fragmentsReceived(n, 7, received)
	}
	got, _ := takeFragments(t, c, &a)
	whole = append(whole, got...)
	if len(whole) != 2 || !bytes.Equal(whole[0], turn) || !bytes.Equal(whole[1], chunk) {
		t.Errorf("%d messages: %.20q", len(whole), whole)
	}
	if len(n.long) != 0 {
		t.Error("something is left")
	}
}

func TestADroppedMessageLetsTheNextOneGo(t *testing.T) {
	c := &Core{cfg: Config{FragmentBytes: wire.HeaderBytes + 10}}
	n := &node{peer: "p"}
	var a wire.Assembler
	c.sendLong(n, wire.Header{Type: wire.TTurn, Seq: 1}, pieces(make([]byte, 1000)))
	n.dropLong(wire.TTurn)
	c.sendLong(n, wire.Header{Type: wire.TTurn, Seq: 2}, pieces([]byte("the same, and more")))
	if whole, _ := takeFragments(t, c, &a); len(whole) != 1 || string(whole[0]) != "the same, and more" {
		t.Errorf("%q", whole)
	}
}
