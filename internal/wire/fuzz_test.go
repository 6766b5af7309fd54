package wire

import (
	"bytes"
	"reflect"
	"testing"
)

// FuzzDecode takes any bytes for a frame, and the same bytes for a body of every type with a right
// header around it: nothing may panic, and what is decoded must mean the same when encoded again.
func FuzzDecode(f *testing.F) {
	for _, s := range samples(Version) {
		f.Add(s.frame)
		f.Add(s.frame[HeaderBytes:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, body, err := Decode(b); err == nil {
			again := Finish(append(Begin(nil), body...), h)
			if !bytes.Equal(again, b) && b[6] == 0 && b[7] == 0 {
				t.Errorf("a frame is not what its header says: %x, again %x", b, again)
			}
		}
		h := goldenHeader
		same(t, b, func(b []byte) (Hello, error) { return DecodeHello(b, h.Version) }, func(m Hello) []byte { return m.Append(nil, h) })
		same(t, b, DecodePrepare, func(m Prepare) []byte { return m.Append(nil, h) })
		same(t, b, DecodePositionReport, func(m PositionReport) []byte { return m.Append(nil, h) })
		same(t, b, DecodeFenced, func(m Fenced) []byte { return m.Append(nil, h) })
		same(t, b, DecodeReject, func(m Reject) []byte { return m.Append(nil, h) })
		same(t, b, DecodeNack, func(m Nack) []byte { return m.Append(nil, h) })
		same(t, b, func(b []byte) (Beat, error) { return DecodeBeat(b, Version) }, func(m Beat) []byte { return m.Append(nil, h) })
		same(t, b, DecodeLoad, func(m Load) []byte { return m.Append(nil, h) })
		same(t, b, DecodeChunk, func(m Chunk) []byte { return m.Append(nil, h) })
		same(t, b, DecodeCredit, func(m Credit) []byte { return m.Append(nil, h) })
		same(t, b, DecodeAbort, func(m Abort) []byte { return m.Append(nil, h) })
		same(t, b, DecodeFetch, func(m Fetch) []byte { return m.Append(nil, h) })
		same(t, b, DecodeEntries, func(m Entries) []byte { return m.Append(nil, h) })
		_, _ = takeTurn(b)
		_, _ = takeDone(b)
	})
}

func same[M any](t *testing.T, b []byte, decode func([]byte) (M, error), encode func(M) []byte) {
	m, err := decode(b)
	if err != nil {
		return
	}
	again, err := decode(encode(m)[HeaderBytes:])
	if err != nil || !reflect.DeepEqual(again, m) {
		t.Errorf("%T: %+v encoded and decoded is %+v (%v)", m, m, again, err)
	}
}

// FuzzEntries walks a run of entries, as it lies in the log window, in turns and in Entries.
func FuzzEntries(f *testing.F) {
	var run []byte
	es := goldenEntries()
	for i := range es {
		run = AppendEntry(run, &es[i])
	}
	f.Add(run)
	f.Add(run[:len(run)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		for rest := b; len(rest) > 0; {
			var e Entry
			next, err := NextEntry(rest, &e)
			if err != nil {
				return
			}
			if size := EntrySize(rest); size != len(rest)-len(next) {
				t.Fatalf("size %d, taken %d", size, len(rest)-len(next))
			}
			var e2 Entry
			again = AppendEntry(again[:0], &e)
			if _, err := NextEntry(again, &e2); err != nil || !reflect.DeepEqual(e, e2) {
				t.Fatalf("%+v encoded and decoded is %+v (%v)", e, e2, err)
			}
			rest = next
		}
	})
}

// FuzzAssembler puts frames with fuzzed headers and bodies together: no panic, and no more bytes
// than came in.
func FuzzAssembler(f *testing.F) {
	f.Add([]byte{0, 1, 0, 1, 1, 5, 2, 0, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		var a Assembler
		in := 0
		for len(b) >= 4 {
			n := min(int(b[3]), len(b)-4)
			h := Header{Type: Type(b[0]%3 + 1), flags: uint16(b[1] & 1), part: uint16(b[2] & 7), whole: uint32(b[1] >> 1)}
			body := b[4 : 4+n]
			b = b[4+n:]
			in += n
			if _, whole, ok, err := a.Add(h, body); err != nil && err != ErrCorrupt || ok && len(whole) > in {
				t.Fatalf("%d bytes of %d (%v)", len(whole), in, err)
			}
		}
	})
}
