package command

import (
	"testing"
)

func TestLookupFoldsCaseWithoutAllocating(t *testing.T) {
	table := NewTable()
	name := []byte("GeTrAnGe")
	if got := table.Lookup(name); got == nil || got.Name != "getrange" {
		t.Fatalf("Lookup(%s) = %v", name, got)
	}
	args := [][]byte{[]byte("OBJECT"), []byte("Freq"), []byte("k")}
	if got := table.Find(args); got == nil || got.Name != "object|freq" {
		t.Fatalf("Find = %v", got)
	}
	if n := testing.AllocsPerRun(100, func() { table.Lookup(name); table.Find(args) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
	if table.Lookup([]byte("nosuch")) != nil || table.Find([][]byte{[]byte("object"), []byte("x")}) != nil {
		t.Fatal("found what is not there")
	}
}

func TestKeysOfACall(t *testing.T) {
	table := NewTable()
	for _, test := range []struct {
		args []string
		keys []int
	}{
		{[]string{"GET", "a"}, []int{1}},
		{[]string{"MSET", "a", "1", "b", "2"}, []int{1, 3}},
		{[]string{"DEL", "a", "b", "c"}, []int{1, 2, 3}},
		{[]string{"OBJECT", "FREQ", "a"}, []int{2}},
		{[]string{"COPY", "a", "b", "DB", "3"}, []int{1, 2}},
		{[]string{"LCS", "a", "b", "IDX"}, []int{1, 2}},
		{[]string{"DBSIZE"}, nil},
	} {
		var args [][]byte
		for _, arg := range test.args {
			args = append(args, []byte(arg))
		}
		got := table.Find(args).AppendKeys(nil, args)
		if len(got) != len(test.keys) {
			t.Errorf("%v: keys %v, want %v", test.args, got, test.keys)
			continue
		}
		for i := range got {
			if got[i] != test.keys[i] {
				t.Errorf("%v: keys %v, want %v", test.args, got, test.keys)
			}
		}
		hashes := make([]uint64, 0, 8)
		if n := testing.AllocsPerRun(10, func() { table.Find(args).AppendKeyHashes(hashes, 0, args) }); n != 0 {
			t.Errorf("%v: %v allocations", test.args, n)
		}
	}
}
