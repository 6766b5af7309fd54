package keyspace

import (
	"bytes"
	"fmt"
	"testing"
)

// TestEntriesThatFitNoOtherWayStayWhereTheyAre: in the order of their hash they would need more pages than in that of
// their arrival, in which pages came out full.
func TestEntriesThatFitNoOtherWayStayWhereTheyAre(t *testing.T) {
	const head, four, five = 16, pageBytes / 4, pageBytes / 5 // bytes beside the value; entries of which so many fill a page
	for _, c := range []struct {
		name   string
		change func(k *Keyspace, have map[string]int)
	}{
		{"keys go", func(k *Keyspace, have map[string]int) {
			for i := range 3 {
				key := fmt.Sprintf("five:%03d", 10*i)
				k.Delete(0, []byte(key), 1)
				delete(have, key)
			}
		}},
		{"a key comes", func(k *Keyspace, have map[string]int) {
			for i := range 4 {
				key := fmt.Sprintf("five:%03d", i)
				k.SetString(0, []byte(key), bytes.Repeat([]byte{'b'}, 200), 0, 1)
				have[key] = 200
			}
			k.SetString(0, []byte("new:0001"), bytes.Repeat([]byte{'n'}, 600), 0, 1)
			have["new:0001"] = 600
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, have := New(), map[string]int{}
			set := func(key string, size int) {
				k.SetString(0, []byte(key), bytes.Repeat([]byte{key[0]}, size-head), 0, 1)
				have[key] = size - head
			}
			for i := range 4 * segmentPages / 2 {
				set(fmt.Sprintf("four:%03d", i), four-1)
			}
			for i := range 5 * segmentPages / 2 {
				set(fmt.Sprintf("five:%03d", i), five)
			}
			for i := range 4 * segmentPages / 2 {
				set(fmt.Sprintf("four:%03d", i), five+11) // less, but still no five to a page
			}
			c.change(k, have)
			for key, size := range have {
				if v, ok := k.Get(0, []byte(key), 1); !ok || len(v.String) != size {
					t.Errorf("%s: %v, %d bytes, want %d", key, ok, len(v.String), size)
				}
			}
			if n := k.TotalKeys(); n != len(have) {
				t.Errorf("%d keys, want %d", n, len(have))
			}
		})
	}
}
