package keyspace

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// digestOf is what the parts of 2^bits hold together, in all databases and large hashes.
func digestOf(k *Keyspace, bits uint8, nowMs int64) (sum uint64, keys int) {
	for db := range Databases {
		for part := range uint64(1) << bits {
			k.VisitKeys(db, part, bits, nowMs, func(key []byte, digest uint64, apart bool) {
				sum += digest
				keys++
				if apart {
					hash := bytes.Clone(key)
					for p := range uint64(1) << bits {
						k.VisitFields(db, hash, p, bits, nowMs, func(_ []byte, digest uint64) { sum += digest })
					}
				}
			})
		}
	}
	return sum, keys
}

// The same content has the same digests, whatever its history and however it is parted; what a single
// bit changes is found.
func TestRangeDigestsAreOfContent(t *testing.T) {
	const nowMs = 1_000_000
	build := func(detours bool) *Keyspace {
		k := New()
		k.SetSeed(5)
		r := rand.New(rand.NewPCG(1, 2))
		for i := range 5000 {
			key := fmt.Appendf(nil, "key:%d", i)
			if detours && r.IntN(2) == 0 {
				k.SetString(i%3, key, bytes.Repeat([]byte("x"), r.IntN(300)), 0, nowMs)
				if r.IntN(2) == 0 {
					k.Delete(i%3, key, nowMs)
				}
			}
			k.SetString(i%3, key, fmt.Appendf(nil, "value %d", i), int64(i%5)*10*nowMs, nowMs)
			if i%10 == 0 {
				w := k.HashForWrite(0, []byte("large"), nowMs)
				w.Set(key, key)
				w = k.HashForWrite(1, fmt.Appendf(nil, "small:%d", i), nowMs)
				w.Set(key, key)
			}
			if i%100 == 0 { // gone by now, reclaimed or not
				k.SetString(2, fmt.Appendf(nil, "gone:%d", i), key, nowMs-1, nowMs-2)
			}
		}
		if detours {
			k.Reclaim(nowMs, 1<<30)
		}
		return k
	}
	a, b := build(false), build(true)
	want, keys := digestOf(a, 0, nowMs)
	if keys != 5501 {
		t.Errorf("%d keys were visited", keys)
	}
	for _, bits := range []uint8{0, 1, 4} {
		if got, n := digestOf(b, bits, nowMs); got != want || n != keys {
			t.Errorf("in %d parts: %x of %d keys, want %x of %d", 1<<bits, got, n, want, keys)
		}
	}
	if !b.Damage(1<<63, nowMs) {
		t.Fatal("there is nothing to damage")
	}
	if got, _ := digestOf(b, 4, nowMs); got == want {
		t.Error("a flipped bit changes nothing")
	}
	b.Damage(1<<63, nowMs)
	w := b.HashForWrite(0, []byte("large"), nowMs)
	w.Set([]byte("key:10"), []byte("other"))
	if got, _ := digestOf(b, 4, nowMs); got == want {
		t.Error("another field in a large hash changes nothing")
	}
}
