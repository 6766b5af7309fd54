package keyspace

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"brainer/internal/eviction"
)

func anyKey(int, []byte) bool { return true }

// numbered fills two databases with keys whose number says how good they are: the higher, the younger, the more
// often used, the later to expire. Every second key has a deadline.
func numbered(n int) *Keyspace {
	k := New()
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		due := int64(0)
		if i%2 == 1 {
			due = nowMs + 1e9 + int64(i)*1000
		}
		key := fmt.Appendf(nil, "key:%d", i)
		k.SetString(i%3%2, key, make([]byte, 20+i%60), due, nowMs+int64(i)*1000)
		k.Touch(i%3%2, key, int64(i)*int64(i), nowMs+int64(i)*1000)
	}
	return k
}

func numberOf(t *testing.T, n Nomination) int {
	t.Helper()
	i, err := strconv.Atoi(strings.TrimPrefix(string(n.Key), "key:"))
	if err != nil || i%3%2 != n.DB {
		t.Fatalf("key %q of database %d was named", n.Key, n.DB)
	}
	return i
}

func TestTheWorstKeysAreNominatedFirst(t *testing.T) {
	const keys = 20_000
	k := numbered(keys)
	for _, c := range []struct {
		policy eviction.Policy
		within int // what is named is among the worst so many in a hundred of those that may be, on average
	}{
		{eviction.AllKeysLRU, 5}, {eviction.VolatileLRU, 8}, {eviction.AllKeysLFU, 8}, {eviction.VolatileLFU, 8}, {eviction.VolatileTTL, 1},
	} {
		sum, named := 0, 0
		seen := map[string]bool{}
		for range 10 {
			list := k.Nominate(c.policy, 10_000, 5, nowMs+int64(keys)*1000, anyKey)
			if len(list) < 40 || len(list) > 400 {
				t.Errorf("%v: %d keys give 10,000 bytes", c.policy, len(list))
			}
			bytes := int64(0)
			here := map[string]bool{}
			for _, n := range list {
				i := numberOf(t, n)
				if c.policy.Volatile() && i%2 == 0 {
					t.Fatalf("%v: key %d has no deadline", c.policy, i)
				}
				if here[string(n.Key)] {
					t.Errorf("%v: key %d is named twice", c.policy, i)
				}
				here[string(n.Key)], seen[string(n.Key)] = true, true
				bytes += n.Bytes
				sum += i
				named++
			}
			if bytes < 10_000 && c.policy != eviction.VolatileTTL {
				t.Errorf("%v: %d bytes were named, want 10,000", c.policy, bytes)
			}
		}
		if average := 100 * sum / named / keys; average >= c.within {
			t.Errorf("%v: on average the named keys are among the worst %d %%, want %d %%", c.policy, average, c.within)
		}
		if c.policy != eviction.VolatileTTL && len(seen) < named/3 {
			t.Errorf("%v: only %d different keys of %d", c.policy, len(seen), named)
		}
	}
}

func TestSoonestToExpireAreNamedInOrder(t *testing.T) {
	k := numbered(1000)
	last := -1
	for _, n := range k.Nominate(eviction.VolatileTTL, 5000, 5, nowMs, anyKey) {
		i := numberOf(t, n)
		if last >= 0 && i != last+2 || last < 0 && i != 1 {
			t.Fatalf("key %d is named behind %d", i, last)
		}
		last = i
	}
	if last < 50 {
		t.Errorf("the last that was named is %d", last)
	}
}

func TestRandomPoliciesReachEveryKey(t *testing.T) {
	for _, policy := range []eviction.Policy{eviction.AllKeysRandom, eviction.VolatileRandom} {
		k := numbered(500)
		seen := map[int]int{}
		for range 1500 {
			for _, n := range k.Nominate(policy, 1000, 5, nowMs, anyKey) {
				seen[numberOf(t, n)]++
			}
		}
		want := 500
		if policy.Volatile() {
			want = 250
		}
		if len(seen) != want {
			t.Errorf("%v: %d of %d keys were named at some time", policy, len(seen), want)
		}
	}
}

func TestOnlyTheOwnKeysAndWhatMayGoAreNamed(t *testing.T) {
	k := numbered(3000)
	mine := func(_ int, key []byte) bool { return key[len(key)-1] == '7' }
	for p := eviction.AllKeysLRU; p.Valid(); p++ {
		list := k.Nominate(p, 2000, 5, nowMs, mine)
		if len(list) == 0 {
			t.Errorf("%v: nothing was named", p)
		}
		for _, n := range list {
			if numberOf(t, n)%10 != 7 {
				t.Errorf("%v: key %s is another node's", p, n.Key)
			}
		}
	}
	if list := k.Nominate(eviction.NoEviction, 2000, 5, nowMs, anyKey); list != nil {
		t.Errorf("noeviction: %d keys were named", len(list))
	}
	lasting := New()
	lasting.SetString(0, []byte("k"), nil, 0, nowMs)
	for _, p := range []eviction.Policy{eviction.VolatileLRU, eviction.VolatileLFU, eviction.VolatileRandom, eviction.VolatileTTL} {
		if list := lasting.Nominate(p, 2000, 5, nowMs, anyKey); list != nil {
			t.Errorf("%v: a key without a deadline was named", p)
		}
	}
}

func TestWhatHasExpiredGoesFirst(t *testing.T) {
	k := numbered(1000)
	k.SetString(0, []byte("over"), nil, nowMs+5000, nowMs+999_000)
	k.Touch(0, []byte("over"), 1e6, nowMs+999_000)
	for _, p := range []eviction.Policy{eviction.AllKeysLRU, eviction.AllKeysLFU, eviction.VolatileLRU, eviction.VolatileTTL} {
		list := k.Nominate(p, 500, 100, nowMs+1_000_000, anyKey)
		if len(list) == 0 || string(list[0].Key) != "over" {
			t.Errorf("%v: a key that has expired is not the first", p)
		}
	}
}

// What is said of each key adds up to what the data takes, and that is what the process grew by.
func TestMemoryOfAKeyIsItsShare(t *testing.T) {
	for name, size := range map[string]func(i int) int{
		"16":    func(int) int { return 16 },
		"64":    func(int) int { return 64 },
		"1024":  func(int) int { return 1024 },
		"mixed": func(i int) int { return i * 7919 % 3000 },
		"20k":   func(int) int { return 20_000 },
	} {
		for _, due := range []int64{0, nowMs + 1e9} {
			k := New()
			n := 20_000
			if name == "20k" {
				n = 1000
			}
			var keys [][]byte
			for i := range n {
				key := fmt.Appendf(nil, "key:%08d", i)
				keys = append(keys, key)
				k.SetString(0, key, make([]byte, size(i)), due, nowMs)
			}
			var sum int64
			for _, key := range keys {
				bytes, _ := k.MemoryOf(0, key, nowMs)
				sum += bytes
			}
			took := k.MemoryBytes()
			if sum < took*85/100 || sum > took*115/100 {
				t.Errorf("values of %s bytes, deadline %v: the keys say %d each, it is %d", name, due > 0, sum/int64(n), took/int64(n))
			}
			slices.Reverse(keys)
			for _, key := range keys[:n*9/10] {
				k.Delete(0, key, nowMs)
			}
			if left := k.MemoryBytes(); left > took/5 {
				t.Errorf("values of %s bytes: with a tenth of the keys left it takes %d of %d", name, left, took)
			}
		}
	}
}

func TestMemoryOfABigHashIsWhatItTakes(t *testing.T) {
	for _, fields := range []int{300, 600, 2000, 10_000} {
		for _, bytes := range []int{20, 200} {
			k := New()
			const hashes = 20
			for i := range hashes {
				w := k.HashForWrite(0, fmt.Appendf(nil, "hash:%d", i), nowMs)
				for j := range fields {
					w.Set(fmt.Appendf(nil, "field%06d", j), make([]byte, bytes))
				}
			}
			said, _ := k.MemoryOf(0, []byte("hash:0"), nowMs)
			if took := k.MemoryBytes() / hashes; said < took*85/100 || said > took*115/100 {
				t.Errorf("%d fields with values of %d bytes: it says %d, it is %d", fields, bytes, said, took)
			}
		}
	}
}

func BenchmarkNominate(b *testing.B) {
	k := numbered(1_000_000)
	for _, policy := range []eviction.Policy{eviction.AllKeysLRU, eviction.AllKeysLFU, eviction.VolatileLRU, eviction.AllKeysRandom, eviction.VolatileTTL} {
		b.Run(policy.String(), func(b *testing.B) {
			keys := 0
			for b.Loop() {
				keys += len(k.Nominate(policy, 10_000, 5, nowMs+1e9, anyKey))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(keys), "ns/key")
		})
	}
}
