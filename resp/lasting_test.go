package resp

import (
	"bytes"
	"io"
	"testing"
)

// TestALargeCommandLasts keeps what may be kept, while others like it follow.
func TestALargeCommandLasts(t *testing.T) {
	var in bytes.Buffer
	var want [][]byte
	for i := range 4 {
		small := AppendCommand(nil, []byte("SET"), []byte{'a' + byte(i)}, bytes.Repeat([]byte{'0' + byte(i)}, 1000))
		large := AppendCommand(nil, []byte("SET"), []byte{'A' + byte(i)}, bytes.Repeat([]byte{'0' + byte(i)}, lastingBytes+i))
		in.Write(small)
		in.Write(large)
		want = append(want, large)
	}
	r := NewReader(&in)
	var kept [][]byte
	for {
		cmd, ok, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			if cmd.Lasting != (len(cmd.Raw) >= lastingBytes) {
				t.Errorf("a command of %d bytes: lasting %v", len(cmd.Raw), cmd.Lasting)
			}
			if cmd.Lasting {
				kept = append(kept, cmd.Raw)
			}
			continue
		}
		if err := r.Fill(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if len(kept) != len(want) {
		t.Fatalf("%d large commands", len(kept))
	}
	for i := range want {
		if !bytes.Equal(kept[i], want[i]) {
			t.Errorf("large command %d was changed", i)
		}
	}
}

// TestAnAnnouncedArgumentTakesWhatHasArrived announces half a gigabyte and sends little of it.
func TestAnAnnouncedArgumentTakesWhatHasArrived(t *testing.T) {
	in := io.MultiReader(bytes.NewReader([]byte("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n")), bytes.NewReader(make([]byte, 40<<20)))
	r := NewReader(in)
	arrived := 0
	for {
		if _, ok, err := r.Next(); ok || err != nil {
			t.Fatal(ok, err)
		}
		if err := r.Fill(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		arrived = r.Buffered()
		if len(r.buf) > bufferFill && len(r.buf) > trustFactor*arrived {
			t.Fatalf("%d bytes of memory for %d that have arrived", len(r.buf), arrived)
		}
	}
	if arrived < 40<<20 {
		t.Errorf("%d bytes have arrived", arrived)
	}
}
