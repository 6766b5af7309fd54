package rdb

import (
	"fmt"
	"testing"
)

func TestPackedElementsMustFitExactly(t *testing.T) {
	packings := []struct {
		name   string
		unpack func([]byte) ([][]byte, error)
		b      []byte // the elements 5 and 6
	}{
		{"ziplist", unpackZiplist, []byte{15, 0, 0, 0, 12, 0, 0, 0, 2, 0, 0, 0xf6, 2, 0xf7, 0xff}},
		{"listpack", unpackListpack, []byte{11, 0, 0, 0, 2, 0, 5, 1, 6, 1, 0xff}},
	}
	for _, p := range packings {
		if elems, err := p.unpack(p.b); fmt.Sprintf("%s", elems) != "[5 6]" || err != nil {
			t.Errorf("%s: %s, %v", p.name, elems, err)
		}
		for n := range len(p.b) + 3 {
			b := append(append([]byte(nil), p.b...), 0xff, 0xff, 0xff)[:n]
			if _, err := p.unpack(b); n != len(p.b) && err == nil {
				t.Errorf("%s: %d bytes that say %d were taken", p.name, n, b[0])
			}
			if n > 0 {
				b[0] = byte(n)
			}
			if _, err := p.unpack(b); n != len(p.b) && err == nil {
				t.Errorf("%s: %d bytes were taken", p.name, n)
			}
		}
	}
}
