package keyspace

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/cespare/xxhash/v2"
)

// collidingKeys are different keys with one xxhash64, which places keys at the broker and once did here
// too: the second of two words is chosen to bring the hash's state to where the first key had it.
func collidingKeys(n int) [][]byte {
	const p1, p2, p4, p5 = 11400714785074694791, 14029467366897019727, 9650029242287828579, 2870177450012600261
	inverse := func(a uint64) uint64 {
		x := a
		for range 6 {
			x *= 2 - a*x
		}
		return x
	}
	round := func(x uint64) uint64 { return bits.RotateLeft64(x*p2, 31) * p1 }
	unround := func(x uint64) uint64 { return bits.RotateLeft64(x*inverse(p1), -31) * inverse(p2) }
	var target uint64
	keys := make([][]byte, n)
	for i := range keys {
		first := uint64(i) * 0x9e3779b97f4a7c15
		acc := bits.RotateLeft64((uint64(p5)+16)^round(first), 27)*p1 + p4
		if i == 0 {
			target = acc ^ round(42)
		}
		keys[i] = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, first), unround(target^acc))
	}
	return keys
}

// probes is how many entries are compared to find every one of the table's.
func (t *table) probes() (n int) {
	for it := t.from(0); it.next(); {
		for s := t.head(it.hash); s != nil; s = s.next {
			tag := s.tag(it.hash)
			for i := s.lowerBound(tag); i < int(s.n) && s.slots[i]>>16 == tag; i++ {
				n++
			}
		}
	}
	return n
}

func TestKeysThatWereMadeToCollideCostNoMoreThanOthers(t *testing.T) {
	const n = 20_000
	k := New()
	k.SetSeed(1)
	for i, key := range collidingKeys(n) {
		if i > 0 && xxhash.Sum64(key) != xxhash.Sum64(collidingKeys(1)[0]) {
			t.Fatal("these keys do not collide")
		}
		k.SetString(0, key, []byte("v"), 0, 1000)
		w := k.HashForWrite(1, []byte("hash"), 1000)
		w.Set(key, []byte("v"))
	}
	h, _ := k.Peek(1, []byte("hash"), 1000)
	for what, tb := range map[string]*table{"keys": k.dbs[0], "fields": h.Hash.fields} {
		if probes := tb.probes(); probes < n || probes > n+n/10 {
			t.Errorf("%d %s are found with %d comparisons", n, what, probes)
		}
	}
}

func TestTheSeedDecidesTheOrder(t *testing.T) {
	order := func(seed uint64) (keys string) {
		k := New()
		k.SetSeed(seed)
		for i := range 100 {
			k.SetString(0, fmt.Append(nil, i), nil, 0, 1000)
		}
		k.Each(0, 1000, func(key []byte, _ Value) bool {
			keys += string(key) + " "
			return true
		})
		return keys
	}
	one, again, other := order(1), order(1), order(2)
	if one != again {
		t.Error("one seed, two orders")
	}
	if one == other {
		t.Error("two seeds, one order")
	}
}

func TestKeysThatCollideAreKeptApart(t *testing.T) {
	keys := collidingKeys(1600)
	testMask = 0
	defer func() { testMask = ^uint64(0) }()
	r := rand.New(rand.NewPCG(1, 1))
	k, m := New(), newModel()
	k.m.mask = testMask
	h := &modelValue{typ: TypeHash, accessed: 1}
	m[1]["hash"] = h
	for i, key := range keys {
		v := fmt.Sprint(i)
		k.SetString(0, key, []byte(v), int64(5000+i%3), 1000)
		m[0][string(key)] = &modelValue{typ: TypeString, str: v, due: int64(5000 + i%3), accessed: 1}
		w := k.HashForWrite(1, []byte("hash"), 1000)
		if !w.Set(key, []byte(v)) {
			t.Fatalf("field %d is not new", i)
		}
		h.fields = append(h.fields, modelField{string(key), v})
	}
	h.big = true
	m.check(t, k, 1000)
	if dir := len(k.dbs[0].dir); dir > directoryFreeKeyed {
		t.Fatalf("the directory has grown to %d", dir)
	}

	sn, got := k.BeginSnapshot(0), New()
	got.m.mask = testMask
	want := m.clone()
	done := false
	for i, at := range r.Perm(len(keys)) {
		key := keys[at]
		if !done { // before the first change: it may be to another segment than the one at hand
			done = sn.Next(100, func(rec Record) {
				if err := got.Load(rec); err != nil {
					t.Fatal(err)
				}
			})
		}
		if i < 1500 {
			if !k.Delete(0, key, 1000) {
				t.Fatal("a key is missing")
			}
			delete(m[0], string(key))
			w := k.HashForWrite(1, []byte("hash"), 1000)
			if !w.Delete(key) {
				t.Fatal("a field is missing")
			}
			h.unset(string(key))
		}
	}
	for !done {
		done = sn.Next(1000, func(rec Record) { got.Load(rec) })
	}
	m.check(t, k, 1000)
	want.check(t, got, 1000)
	if sn.KeysDone() != len(keys)+1 {
		t.Errorf("%d keys done", sn.KeysDone())
	}
	if n := k.Reclaim(5000, 1000) + k.Reclaim(6000, 1000); n != 100 {
		t.Fatalf("reclaimed %d keys", n)
	}
	if n := got.Reclaim(5001, 10000); n != 1067 {
		t.Fatalf("reclaimed %d keys", n)
	}
	for _, key := range keys { // the head of the overflow is empty first
		w := got.HashForWrite(1, []byte("hash"), 1000)
		if !w.Delete(key) {
			t.Fatal("a field is missing")
		}
		want[1]["hash"].unset(string(key))
	}
	if got.Len(1, 1000) != 0 {
		t.Fatal("the hash is still there")
	}
}

func TestOverflowEndsWhenTheDirectoryMayGrow(t *testing.T) {
	k, m := New(), newModel()
	h := &modelValue{typ: TypeHash, accessed: 1}
	m[0]["hash"] = h
	set := func(name string) {
		w := k.HashForWrite(0, []byte("hash"), 1000)
		w.Set([]byte(name), nil)
		h.fields = append(h.fields, modelField{name, ""})
	}
	const prefix = 10 // bits; the directory of a small hash resolves 10
	for i := 0; len(h.fields) < 2500; i++ {
		if name := fmt.Sprint("a", i); hashOf([]byte(name))>>(64-prefix) == 5 {
			set(name)
		}
	}
	v, _ := k.Peek(0, []byte("hash"), 1000)
	fields := v.Hash.fields
	if head := fields.head(5 << (64 - prefix)); head.next == nil {
		t.Fatal("these fields do not overflow")
	}
	for i := range 200_000 {
		set(fmt.Sprint("b", i))
	}
	for i := 0; fields.head(5<<(64-prefix)).next != nil; i++ {
		if name := fmt.Sprint("c", i); hashOf([]byte(name))>>(64-prefix) == 5 {
			set(name)
		}
		if i == 10_000_000 {
			t.Fatal("the overflow stays")
		}
	}
	h.big = true
	m.check(t, k, 1000)
}
