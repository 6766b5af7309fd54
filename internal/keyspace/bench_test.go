package keyspace

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

const benchKeys = 1_000_000

func benchKey(b []byte, i uint64) []byte {
	copy(b, "key:0000")
	binary.BigEndian.PutUint64(b[8:], i)
	return b[:16]
}

func filled(keys int, value []byte) *Keyspace {
	k := New()
	var b [16]byte
	for i := range keys {
		k.SetString(0, benchKey(b[:], uint64(i)), value, 0, 1000)
	}
	return k
}

func BenchmarkGet(b *testing.B) {
	k := filled(benchKeys, make([]byte, 64))
	var key [16]byte
	b.ResetTimer()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := k.Get(0, benchKey(key[:], rand.Uint64N(benchKeys)), 2000); !ok {
			b.Fatal("missing")
		}
	}
}

func BenchmarkSetOverwrite(b *testing.B) {
	k := filled(benchKeys, make([]byte, 64))
	var key [16]byte
	value := make([]byte, 64)
	b.ResetTimer()
	b.ReportAllocs()
	for b.Loop() {
		k.SetString(0, benchKey(key[:], rand.Uint64N(benchKeys)), value, 0, 2000)
	}
}

func BenchmarkSetOtherSize(b *testing.B) {
	k := filled(benchKeys, make([]byte, 64))
	var key [16]byte
	value := make([]byte, 100)
	b.ResetTimer()
	b.ReportAllocs()
	for b.Loop() {
		n := rand.Uint64()
		k.SetString(0, benchKey(key[:], n%benchKeys), value[:40+n>>32%50], 0, 2000)
	}
}

func BenchmarkSetInsert(b *testing.B) {
	var key [16]byte
	value := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		k := New()
		b.StartTimer()
		for i := range uint64(benchKeys) {
			k.SetString(0, benchKey(key[:], i), value, 0, 2000)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchKeys, "ns/key")
}

func BenchmarkSnapshot(b *testing.B) {
	k := filled(benchKeys, make([]byte, 64))
	b.ReportAllocs()
	for b.Loop() {
		sn := k.BeginSnapshot(0)
		for !sn.Next(256<<10, func(Record) {}) {
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchKeys, "ns/key")
}

func BenchmarkSnapshotAndLoad(b *testing.B) {
	k := filled(benchKeys, make([]byte, 64))
	for b.Loop() {
		c := New()
		sn := k.BeginSnapshot(0)
		for !sn.Next(256<<10, func(r Record) { c.Load(r) }) {
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchKeys, "ns/key")
}

// BenchmarkSetDuringSnapshot is what a write costs that has to emit its segment first.
func BenchmarkSetDuringSnapshot(b *testing.B) {
	k := filled(benchKeys, make([]byte, 64))
	sn := k.BeginSnapshot(0)
	defer func() { sn.Close() }()
	var key [16]byte
	value := make([]byte, 64)
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		if i%1000 == 999 {
			b.StopTimer()
			sn.Close()
			sn = k.BeginSnapshot(0)
			b.StartTimer()
		}
		k.SetString(0, benchKey(key[:], rand.Uint64N(benchKeys)), value, 0, 2000)
	}
}

func BenchmarkHashSet(b *testing.B) {
	k := New()
	var key [16]byte
	value := make([]byte, 16)
	b.ReportAllocs()
	for b.Loop() {
		n := rand.Uint64()
		w := k.HashForWrite(0, benchKey(key[:], n%10000), 1000)
		w.Set(benchKey(key[:], n>>32%20), value)
	}
}

func BenchmarkBigHashSet(b *testing.B) {
	k := New()
	var field [16]byte
	value := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		w := k.HashForWrite(0, []byte("hash"), 1000)
		w.Set(benchKey(field[:], rand.Uint64N(benchKeys)), value)
	}
}
