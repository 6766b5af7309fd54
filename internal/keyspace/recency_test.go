package keyspace

import (
	"fmt"
	"math"
	"testing"
)

const minuteMs = 60_000

// nowMs is a time whose seconds do not fit 24 bits, as today's.
const nowMs = 1_700_000_000_000

func TestIdleTimeCountsFromTheLastAccess(t *testing.T) {
	k := New()
	key := []byte("k")
	k.SetString(0, key, []byte("v"), 0, nowMs)
	for i, c := range []struct {
		access func(ms int64)
		what   string
	}{
		{func(ms int64) { k.Get(0, key, ms) }, "a read"},
		{func(ms int64) { k.AppendString(0, key, []byte("x"), ms) }, "APPEND"},
		{func(ms int64) { k.SetString(0, key, []byte("v"), 0, ms) }, "SET"},
		{func(ms int64) { k.Touch(0, key, 3, ms) }, "an access elsewhere"},
	} {
		ms := nowMs + int64(i+1)*100_000
		if idle, _ := k.IdleSeconds(0, key, ms); idle != 100 {
			t.Errorf("%d seconds idle before %s, want 100", idle, c.what)
		}
		c.access(ms)
		if idle, _ := k.IdleSeconds(0, key, ms+2000); idle != 2 {
			t.Errorf("%d seconds idle after %s, want 2", idle, c.what)
		}
	}
	if _, ok := k.IdleSeconds(0, []byte("none"), nowMs); ok || k.Touch(0, []byte("none"), 1, nowMs) {
		t.Error("a key that is not there is idle")
	}
}

func TestFrequencyBeginsAtFiveAndFallsWithTheMinutes(t *testing.T) {
	k := New()
	key := []byte("k")
	k.SetString(0, key, nil, 0, nowMs)
	w := k.HashForWrite(0, []byte("h"), nowMs)
	w.Set([]byte("a"), nil)
	w.Set([]byte("b"), nil)
	frequency := func(key string, afterMs int64) int64 {
		n, ok := k.Frequency(0, []byte(key), nowMs+afterMs)
		if !ok {
			t.Fatal("the key is gone")
		}
		return n
	}
	if n := frequency("h", 0); n != 5 {
		t.Errorf("a hash that was made by one command has frequency %d, want 5", n)
	}
	for afterMs, want := range map[int64]int64{0: 5, 2 * minuteMs: 3, 4 * minuteMs: 1, 5 * minuteMs: 0, 50 * minuteMs: 0} {
		if n := frequency("k", afterMs); n != want {
			t.Errorf("frequency %d after %d minutes, want %d", n, afterMs/minuteMs, want)
		}
	}
	k.SetLFU(LFU{LogFactor: 10, DecayMinutes: 2})
	if n := frequency("k", 4*minuteMs); n != 3 {
		t.Errorf("frequency %d after 4 minutes, want 3 when it falls every second one", n)
	}
	k.SetLFU(LFU{LogFactor: 10})
	if n := frequency("k", 100*minuteMs); n != 5 {
		t.Errorf("frequency %d after 100 minutes, want 5 when it does not fall", n)
	}
}

// The table in redis.conf, which says what redis-benchmark makes of the counter.
func TestFrequencyGrowsAsRedisDocumentsIt(t *testing.T) {
	want := map[uint32][4]float64{ // factor -> after 100, 1000, 100k, 1M accesses
		0:   {104, 255, 255, 255},
		1:   {18, 49, 255, 255},
		10:  {10, 18, 142, 255},
		100: {8, 11, 49, 143},
	}
	for factor, ends := range want {
		for i, accesses := range []int64{100, 1000, 100_000, 1_000_000} {
			for _, each := range []int64{1, 100} { // one by one, and as a cache tells of them
				if accesses > 1000 && each == 1 {
					continue
				}
				sum := 0.0
				const keys = 20
				k := New()
				k.SetLFU(LFU{LogFactor: factor, DecayMinutes: 1})
				for range keys {
					r := fresh(nowMs)
					for n := int64(0); n < accesses; n += each {
						r = k.m.accessed(r, each, nowMs)
						if r>>secondBits == 255 {
							break
						}
					}
					sum += float64(r.frequency(k.m.lfu, nowMs))
				}
				if got := sum / keys; math.Abs(got-ends[i]) > 0.12*ends[i]+1.5 {
					t.Errorf("factor %d, %d accesses in lots of %d: %.1f, redis.conf says %.0f", factor, accesses, each, got, ends[i])
				}
			}
		}
	}
}

func TestRecencyGoesWithTheKeyAndWithItsSnapshot(t *testing.T) {
	k := New()
	for i := range 100 {
		key := fmt.Appendf(nil, "key%d", i)
		k.SetString(0, key, []byte("v"), int64(i%2)*(nowMs+1e9), nowMs)
		k.Touch(0, key, int64(i)*50, nowMs+int64(i)*1000)
	}
	k.Rename(0, []byte("key99"), 1, []byte("moved"), nowMs+100_000)
	got := New()
	k.BeginSnapshot(0).Next(math.MaxInt, func(r Record) {
		if err := got.Load(r); err != nil {
			t.Fatal(err)
		}
	})
	same := func(db int, key string) {
		a, _ := k.IdleSeconds(db, []byte(key), nowMs+200_000)
		b, _ := got.IdleSeconds(db, []byte(key), nowMs+200_000)
		c, _ := k.Frequency(db, []byte(key), nowMs+200_000)
		d, ok := got.Frequency(db, []byte(key), nowMs+200_000)
		if a != b || c != d || !ok {
			t.Errorf("%s: idle for %d, frequency %d; the copy says %d and %d", key, a, c, b, d)
		}
	}
	same(1, "moved")
	for i := range 99 {
		same(0, fmt.Sprintf("key%d", i))
	}
	if idle, _ := got.IdleSeconds(1, []byte("moved"), nowMs+200_000); idle != 101 {
		t.Errorf("the key that was renamed is idle for %d seconds, want 101", idle)
	}
}
