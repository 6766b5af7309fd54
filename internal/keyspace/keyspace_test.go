package keyspace

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestEncodingsAreThoseOfRedis(t *testing.T) {
	for _, c := range []struct {
		value string
		form  Form
		want  string
	}{
		{"1", FormSet, "int"},
		{"-1", FormSet, "int"},
		{"0", FormSet, "int"},
		{"9223372036854775807", FormSet, "int"},
		{"-9223372036854775808", FormSet, "int"},
		{"9223372036854775808", FormSet, "embstr"},
		{"-9223372036854775809", FormSet, "embstr"},
		{"99999999999999999999", FormSet, "embstr"},
		{"-0", FormSet, "embstr"},
		{"01", FormSet, "embstr"},
		{"+1", FormSet, "embstr"},
		{" 1", FormSet, "embstr"},
		{"-", FormSet, "embstr"},
		{"", FormSet, "embstr"},
		{"1.5", FormPlain, "embstr"},
		{"2", FormPlain, "embstr"},
		{strings.Repeat("x", 44), FormSet, "embstr"},
		{strings.Repeat("x", 45), FormSet, "raw"},
		{"1", FormEdited, "raw"},
	} {
		k := New()
		k.SetStringForm(0, []byte("k"), []byte(c.value), c.form, 0, 1)
		v, _ := k.Get(0, []byte("k"), 1)
		if got := v.Encoding().String(); got != c.want {
			t.Errorf("%.30q, form %d: %s, want %s", c.value, c.form, got, c.want)
		}
		k.Copy(0, []byte("k"), 1, []byte("copy"), 1)
		k.Rename(0, []byte("k"), 2, []byte("other"), 1)
		for db, key := range map[int]string{1: "copy", 2: "other"} {
			if v, _ := k.Get(db, []byte(key), 1); v.Encoding().String() != c.want {
				t.Errorf("%.30q, form %d: %s of it is %s, want %s", c.value, c.form, key, v.Encoding(), c.want)
			}
		}
	}
}

func TestAHashBecomesAHashtableAtRedisLimitsAndStaysOne(t *testing.T) {
	long := []byte(strings.Repeat("x", 65))
	for name, grow := range map[string]func(w *HashWriter){
		"one field too many": func(w *HashWriter) {
			for i := range 512 { // and one was there
				if i == 511 && w.Hash().Encoding() != EncodingListpack {
					t.Error("512 fields are no listpack")
				}
				w.Set(fmt.Append(nil, i), []byte("v"))
			}
		},
		"long field": func(w *HashWriter) { w.Set(long, []byte("v")) },
		"long value": func(w *HashWriter) { w.Set([]byte("0"), long) },
		"huge value": func(w *HashWriter) { w.Set([]byte("0"), make([]byte, 100_000)) },
	} {
		k := New()
		w := k.HashForWrite(0, []byte("h"), 1)
		w.Set(long[:64], long[:64])
		if w.Hash().Encoding() != EncodingListpack {
			t.Errorf("%s: not a listpack at first", name)
		}
		grow(&w)
		if w.Hash().Encoding() != EncodingHashtable {
			t.Errorf("%s: not a hashtable", name)
		}
		for w.Hash().Len() > 1 {
			field, _ := w.Hash().At(0)
			w.Delete(slices.Clone(field))
		}
		if w.Hash().Encoding() != EncodingHashtable {
			t.Errorf("%s: no longer a hashtable", name)
		}
	}
}

func TestAnEmptiedHashIsGone(t *testing.T) {
	k := New()
	var changed int
	k.SetHooks(Hooks{Changed: func(int, []byte) { changed++ }})
	w := k.HashForWrite(0, []byte("h"), 1)
	w.Set([]byte("f"), []byte("v"))
	if !w.Delete([]byte("f")) || w.Delete([]byte("f")) || k.Len(0, 1) != 0 || k.UsedBytes() != 0 {
		t.Fatal("the hash is still there")
	}
	if changed != 2 {
		t.Fatalf("told of %d changes, want 2", changed)
	}
}

func TestHashScanMissesNothingWhileTheHashChanges(t *testing.T) {
	for _, fields := range []int{100, 5000} { // packed, and a table
		k := New()
		w := k.HashForWrite(0, []byte("h"), 1)
		w.Set([]byte("long"), make([]byte, 65))
		for i := range fields {
			w.Set(fmt.Appendf(nil, "f%d", i), []byte("v"))
		}
		for i := 50; i < fields; i += 3 {
			w.Delete(fmt.Appendf(nil, "f%d", i))
		}
		seen := map[string]int{}
		var cursor uint64
		for step := 0; ; step++ {
			n := 0
			cursor = w.Hash().Scan(cursor, 7, func(field, value []byte) {
				seen[string(field)]++
				n++
			})
			if n > 7 {
				t.Fatalf("a step visited %d fields", n)
			}
			if cursor == 0 {
				break
			}
			if cursor >= 1<<53 {
				t.Fatalf("cursor %d does not survive a float64", cursor)
			}
			w.Set(fmt.Appendf(nil, "new%d", step), []byte("v"))
			w.Delete(fmt.Appendf(nil, "new%d", step-5))
		}
		for i := range fields {
			if stays := i < 50 || (i-50)%3 != 0; stays && seen[fmt.Sprintf("f%d", i)] != 1 {
				t.Fatalf("f%d of %d was visited %d times", i, fields, seen[fmt.Sprintf("f%d", i)])
			}
		}
	}
}

func TestAScanCursorHoldsOnACopyThatWasLoaded(t *testing.T) {
	a := New()
	for i := range 20000 {
		a.SetString(0, fmt.Appendf(nil, "key%d", i), []byte("v"), 0, 1)
	}
	for i := range 10000 { // a has a past that b will not have
		a.Delete(0, fmt.Appendf(nil, "key%d", i), 1)
	}
	b := New()
	for sn := a.BeginSnapshot(0); !sn.Next(10000, func(r Record) { b.Load(r) }); {
	}
	seen := map[string]int{}
	var cursor uint64
	for step := 0; ; step++ {
		k := a
		if step%2 == 1 {
			k = b
		}
		if cursor = k.Scan(0, cursor, 10, 1, func(key []byte, _ Value) { seen[string(key)]++ }); cursor == 0 {
			break
		}
	}
	if len(seen) != 10000 {
		t.Fatalf("saw %d keys", len(seen))
	}
	for key, n := range seen {
		if n != 1 {
			t.Fatalf("saw %s %d times", key, n)
		}
	}
}

func TestHooksTellExpiryFromChange(t *testing.T) {
	var log []string
	k := New()
	k.SetHooks(Hooks{
		Changed: func(db int, key []byte) { log = append(log, fmt.Sprintf("changed %d %s", db, key)) },
		Expired: func(db int, key []byte) { log = append(log, fmt.Sprintf("expired %d %s", db, key)) },
		Flushed: func(db int) { log = append(log, fmt.Sprintf("flushed %d", db)) },
		Swapped: func(a, b int) { log = append(log, fmt.Sprintf("swapped %d %d", a, b)) },
	})
	k.SetString(0, []byte("a"), []byte("1"), 10, 1)
	k.SetString(0, []byte("b"), []byte("1"), 10, 1)
	k.SetDeadline(0, []byte("b"), 9, 2)
	k.Rename(0, []byte("b"), 3, []byte("c"), 3)
	k.Get(0, []byte("a"), 20)
	k.Delete(0, []byte("a"), 20)
	k.Reclaim(20, 10)
	k.Swap(0, 3)
	k.Flush(3)
	want := "changed 0 a, changed 0 b, changed 0 b, changed 0 b, changed 3 c, expired 0 a, expired 3 c, swapped 0 3, flushed 3"
	if got := strings.Join(log, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRangeDigestsAddUpAndSeeEveryDifference(t *testing.T) {
	fill := func() *Keyspace {
		k := New()
		for i := range 1000 {
			k.SetString(1, fmt.Appendf(nil, "key%d", i), []byte("v"), 100, 1)
			w := k.HashForWrite(1, fmt.Appendf(nil, "hash%d", i%10), 1)
			w.Set(fmt.Appendf(nil, "field%d", i), []byte("v"))
		}
		return k
	}
	k := fill()
	var sum uint64
	for i := range uint64(16) {
		sum += k.RangeDigest(1, i<<60, i<<60|(1<<60-1), 1)
	}
	if sum != k.StateDigest(1) {
		t.Error("the ranges do not add up")
	}
	digests := map[uint64]string{k.StateDigest(1): "as filled"}
	for name, change := range map[string]func(k *Keyspace){
		"value":    func(k *Keyspace) { k.SetString(1, []byte("key5"), []byte("w"), 100, 1) },
		"form":     func(k *Keyspace) { k.SetStringForm(1, []byte("key5"), []byte("v"), FormEdited, 100, 1) },
		"deadline": func(k *Keyspace) { k.SetDeadline(1, []byte("key5"), 101, 1) },
		"deleted":  func(k *Keyspace) { k.Delete(1, []byte("key5"), 1) },
		"database": func(k *Keyspace) { k.Rename(1, []byte("key5"), 2, []byte("key5"), 1) },
		"field": func(k *Keyspace) {
			w := k.HashForWrite(1, []byte("hash5"), 1)
			w.Set([]byte("field5"), []byte("w"))
		},
		"order of fields": func(k *Keyspace) {
			w := k.HashForWrite(1, []byte("hash5"), 1)
			w.Delete([]byte("field5"))
			w.Set([]byte("field5"), []byte("v"))
		},
		"encoding": func(k *Keyspace) {
			w := k.HashForWrite(1, []byte("hash5"), 1)
			w.Set([]byte("field5"), make([]byte, 65))
			w.Set([]byte("field5"), []byte("v"))
		},
	} {
		k := fill()
		change(k)
		if same, ok := digests[k.StateDigest(1)]; ok {
			t.Errorf("%s: digest is the same as %s", name, same)
		}
		digests[k.StateDigest(1)] = name
	}
	k.Get(1, []byte("key5"), 50_000)
	if _, ok := digests[k.StateDigest(1)]; !ok {
		t.Error("reading changed the digest")
	}
	if k.RangeDigest(1, 0, ^uint64(0), 100) == k.RangeDigest(1, 0, ^uint64(0), 99) {
		t.Error("expired keys still count")
	}
}

func TestRandomKeyReachesEveryKeyAboutEquallyOften(t *testing.T) {
	k := New()
	for i := range 1000 {
		k.SetString(0, fmt.Appendf(nil, "key%d", i), nil, int64(i%2*10), 1)
	}
	times := map[string]int{}
	var rnd uint64
	for range 500_000 {
		rnd = rnd*6364136223846793005 + 1442695040888963407
		key, ok := k.RandomKey(0, rnd, 10) // every second key has expired
		if !ok {
			t.Fatal("no key")
		}
		times[string(key)]++
	}
	if len(times) != 500 {
		t.Fatalf("picked %d keys of 500", len(times))
	}
	for key, n := range times {
		if n < 200 || n > 3000 {
			t.Errorf("%s was picked %d times, on average it is 1000", key, n)
		}
	}
}

func TestARecordThatIsNoneIsRefused(t *testing.T) {
	k := New()
	k.SetString(0, []byte("s"), nil, 0, 1)
	for _, r := range []Record{
		{DB: 16, Key: []byte("k"), Type: TypeString},
		{DB: -1, Key: []byte("k"), Type: TypeString},
		{Key: []byte("k")},
		{Key: []byte("k"), Type: 9},
		{Key: []byte("k"), Type: TypeString, Form: 3},
		{Key: []byte("k"), Type: TypeHash},
		{Key: []byte("k"), Type: TypeHash, Fields: [][]byte{nil}},
		{Key: []byte("s"), Type: TypeHash, Fields: [][]byte{nil, nil}},
	} {
		if err := k.Load(r); err == nil {
			t.Errorf("%+v was loaded", r)
		}
	}
	if k.TotalKeys() != 1 {
		t.Error("something was loaded")
	}
}

func TestLargeStringsGrowInPlace(t *testing.T) {
	k := New()
	var n int
	moves := 0
	var last *byte
	for n < 8<<20 {
		n = k.AppendString(0, []byte("k"), make([]byte, 4096), 1)
		v, _ := k.Peek(0, []byte("k"), 1)
		if &v.String[0] != last {
			last = &v.String[0]
			moves++
		}
	}
	if moves > 60 {
		t.Errorf("moved %d times while growing to %d bytes", moves, n)
	}
	k.SetRange(0, []byte("k"), 100<<20, []byte("x"), 1)
	v, _ := k.Peek(0, []byte("k"), 1)
	if len(v.String) != 100<<20+1 || v.String[50<<20] != 0 || v.String[100<<20] != 'x' {
		t.Error("SETRANGE far beyond the end")
	}
}

func TestFlushedMemoryIsUsedAgain(t *testing.T) {
	k := New()
	fill := func() {
		for i := range 200_000 {
			k.SetString(0, fmt.Appendf(nil, "key%d", i), make([]byte, 50), int64(1000+i), 1)
		}
	}
	fill()
	before, used := k.m.mapped, k.m.used
	for range 5 {
		k.Flush(0)
		fill()
	}
	if k.m.mapped != before {
		t.Errorf("mapped %d bytes, after five more rounds %d", before, k.m.mapped)
	}
	k.Flush(0)
	if k.m.used < used/2 {
		t.Errorf("flush freed %d of %d pages at once", used-k.m.used, used)
	}
	for range used {
		k.Reclaim(1, 0)
	}
	if k.m.used != 0 {
		t.Errorf("%d pages are left", k.m.used)
	}
}

// Segments join and split before the snapshot has come to them.
func TestASnapshotKeepsWhatItBeganWith(t *testing.T) {
	const keys = 20000
	key := func(i int) []byte { return fmt.Appendf(nil, "key%d", i) }
	for name, during := range map[string]func(k *Keyspace, i int){
		"deletions": func(k *Keyspace, i int) { k.Delete(0, key(i), 1) },
		"insertions": func(k *Keyspace, i int) {
			for range 4 {
				i += keys
				k.SetString(0, key(i), make([]byte, 50), 0, 1)
			}
		},
		"larger values": func(k *Keyspace, i int) { k.SetString(0, key(i), make([]byte, 200), 0, 1) },
	} {
		for deletedBefore := 0; deletedBefore < keys; deletedBefore += keys / 8 {
			k := New()
			for i := range keys {
				k.SetString(0, key(i), make([]byte, 50), 0, 1)
			}
			for i := range deletedBefore {
				k.Delete(0, key(i), 1)
			}
			want := k.StateDigest(1)
			sn, got := k.BeginSnapshot(0), New()
			load := func(r Record) {
				if err := got.Load(r); err != nil {
					t.Fatal(err)
				}
			}
			for i := range keys {
				during(k, i)
				if i%1000 == 0 {
					sn.Next(1, load)
				}
			}
			for !sn.Next(64<<10, load) {
			}
			if got.StateDigest(1) != want {
				t.Errorf("%s after %d: %d keys arrived, want %d", name, deletedBefore, got.Len(0, 1), keys-deletedBefore)
			}
			k.checkLayout(t)
			if name == "deletions" && k.dbs[0].segs > 2 {
				t.Errorf("%d segments are left of an empty database", k.dbs[0].segs)
			}
		}
	}
}

// The rare case: the first change that a snapshot sees of a segment is its split, or that its neighbour joins it.
func TestASnapshotKeepsSegmentsThatSplitOrJoinUntouched(t *testing.T) {
	const keys = 40000
	key := func(i int) []byte { return fmt.Appendf(nil, "key%05d", i) }
	k := New()
	tb := k.dbs[0]
	check := func(what string, change func()) {
		want := k.StateDigest(1)
		segs := tb.segs
		sn, got := k.BeginSnapshot(0), New()
		change()
		if tb.segs == segs {
			t.Fatalf("no segment %s", what)
		}
		for !sn.Next(64<<10, func(r Record) { got.Load(r) }) {
		}
		if got.StateDigest(1) != want {
			t.Fatalf("%d keys arrived when a segment %s", got.Len(0, 1), what)
		}
	}
	splits, joins := 0, 0
	for i := range keys {
		set := func() { k.SetString(0, key(i), make([]byte, 50), 0, 1) }
		if !tb.head(hashOf(key(i))).hasRoom(65) {
			splits++
			check("split", set)
			continue
		}
		set()
	}
	for i := range keys {
		del := func() { k.Delete(0, key(i), 1) }
		hash := hashOf(key(i))
		s := tb.head(hash)
		if s.depth > 0 {
			other := tb.head(hash ^ 1<<(64-s.depth))
			if live := s.live - 65; live < mergeBytes/2 && other.depth == s.depth && live+other.live <= mergeBytes && s.n-1+other.n <= segmentSlots/4 {
				joins++
				check("joined", del)
				continue
			}
		}
		del()
	}
	if splits == 0 || joins == 0 {
		t.Errorf("%d splits and %d joins", splits, joins)
	}
}

func TestGrownStringsArePaddedWithZeros(t *testing.T) {
	for _, n := range []int{20, 5000, 100_000} {
		k := New()
		k.SetString(0, []byte("k"), []byte(strings.Repeat("x", n)), 0, 1)
		k.SetString(0, []byte("k"), []byte(strings.Repeat("x", n-n/5)), 0, 1)
		k.SetRange(0, []byte("k"), n, []byte("y"), 1)
		want := strings.Repeat("x", n-n/5) + strings.Repeat("\x00", n/5) + "y"
		if v, _ := k.Get(0, []byte("k"), 1); string(v.String) != want {
			t.Errorf("%d bytes: old bytes show through", n)
		}
	}
}
