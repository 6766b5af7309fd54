//go:build linux

package main

import (
	"container/list"
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkAdmission replays the traces on models of caches of so many keys, all of one size: what the policies that we have reach, LRU
// and LFU of five samples, and what an admission by frequency would, alone and in W-TinyLFU (Einziger, Friedman and Manes, 2017). Its
// figures are hits in %, of the second half of each trace.
func BenchmarkAdmission(b *testing.B) {
	const keys, requests = 400_000, 4_000_000
	for _, t := range traces() {
		next := t.begin(rand.New(rand.NewPCG(1, 7)), keys, 0, requests)
		trace := make([]uint64, requests)
		for i := range trace {
			trace[i] = next(i)
		}
		for _, room := range []int{20_000, 60_000, 120_000} {
			for _, p := range []struct {
				name  string
				model func() cacheModel
			}{
				{"lru", func() cacheModel { return newSampled(room, requests/8, false, false) }},
				{"lfu", func() cacheModel { return newSampled(room, requests/8, true, false) }},
				{"lru, admission", func() cacheModel { return newSampled(room, requests/8, false, true) }},
				{"w-tinylfu", func() cacheModel { return newWTinyLFU(room, room/100) }},
				{"w-tinylfu, a fifth window", func() cacheModel { return newWTinyLFU(room, room/5) }},
			} {
				b.Run(fmt.Sprintf("%s/%d/%s", t.name, room, p.name), func(b *testing.B) {
					hits := 0
					for b.Loop() {
						m := p.model()
						hits = 0
						for i, k := range trace {
							if m.ask(k) && i >= requests/2 {
								hits++
							}
						}
					}
					b.ReportMetric(100*float64(hits)/(requests/2), "hits-%")
				})
			}
		}
	}
}

// cacheModel is asked for a key, which it has, or takes in if it likes.
type cacheModel interface{ ask(key uint64) (hit bool) }

// sampled evicts the worst of five keys, as Redis and we do.
type sampled struct {
	r          *rand.Rand
	room       int
	lfu, admit bool
	at         map[uint64]int
	keys       []sampledKey
	seen       sketch
	now, decay int
}

type sampledKey struct {
	key   uint64
	last  int
	count int // logarithmic
	aged  int // when it was taken one from last
}

func newSampled(room, decay int, lfu, admit bool) *sampled {
	return &sampled{r: rand.New(rand.NewPCG(3, 3)), room: room, lfu: lfu, admit: admit, at: map[uint64]int{}, seen: newSketch(room), decay: decay}
}

func (s *sampled) countOf(k *sampledKey) int { return max(0, k.count-(s.now-k.aged)/s.decay) }

func (s *sampled) ask(key uint64) bool {
	s.now++
	if s.admit {
		s.seen.add(key)
	}
	if i, ok := s.at[key]; ok {
		k := &s.keys[i]
		if count := s.countOf(k); count != k.count {
			k.count, k.aged = count, s.now
		}
		if s.r.Float64() < 1/float64(max(0, k.count-5)*10+1) {
			k.count = min(255, k.count+1)
		}
		k.last = s.now
		return true
	}
	fresh := sampledKey{key, s.now, 5, s.now}
	if len(s.keys) < s.room {
		s.at[key] = len(s.keys)
		s.keys = append(s.keys, fresh)
		return false
	}
	worst := s.r.IntN(len(s.keys))
	for range 4 {
		i := s.r.IntN(len(s.keys))
		a, w := &s.keys[i], &s.keys[worst]
		ca, cw := s.countOf(a), s.countOf(w)
		if s.lfu && ca < cw || (!s.lfu || ca == cw) && a.last < w.last {
			worst = i
		}
	}
	if s.admit && s.seen.of(key) < s.seen.of(s.keys[worst].key) {
		return false
	}
	delete(s.at, s.keys[worst].key)
	s.keys[worst], s.at[key] = fresh, worst
	return false
}

// wTinyLFU has a window of newcomers, and behind an admission a segmented LRU of which a fifth is on probation.
type wTinyLFU struct {
	room                         int // of what is admitted
	windowMax, protectedMax      int
	window, probation, protected *list.List
	at                           map[uint64]*list.Element
	seen                         sketch
}

type wKey struct {
	key uint64
	in  *list.List
}

func newWTinyLFU(room, window int) *wTinyLFU {
	return &wTinyLFU{room: room - window, windowMax: window, protectedMax: (room - window) * 4 / 5, window: list.New(), probation: list.New(),
		protected: list.New(), at: map[uint64]*list.Element{}, seen: newSketch(room)}
}

func (c *wTinyLFU) put(key uint64, in *list.List) { c.at[key] = in.PushFront(&wKey{key, in}) }

func (c *wTinyLFU) ask(key uint64) bool {
	c.seen.add(key)
	if e, ok := c.at[key]; ok {
		if k := e.Value.(*wKey); k.in != c.probation {
			k.in.MoveToFront(e)
			return true
		}
		c.probation.Remove(e)
		c.put(key, c.protected)
		if c.protected.Len() > c.protectedMax {
			c.put(c.protected.Remove(c.protected.Back()).(*wKey).key, c.probation)
		}
		return true
	}
	c.put(key, c.window)
	if c.window.Len() <= c.windowMax {
		return false
	}
	candidate := c.window.Remove(c.window.Back()).(*wKey).key
	if c.probation.Len()+c.protected.Len() >= c.room {
		last := c.probation.Back()
		if last == nil {
			last = c.protected.Back()
		}
		victim := last.Value.(*wKey)
		if c.seen.of(candidate) <= c.seen.of(victim.key) {
			delete(c.at, candidate)
			return false
		}
		victim.in.Remove(last)
		delete(c.at, victim.key)
	}
	c.put(candidate, c.probation)
	return false
}

// sketch counts up to 15, and halves all after ten times as many as it has room for.
type sketch struct {
	counts     [4][]uint8
	added, max int
}

func newSketch(room int) sketch {
	size := 1
	for size < room {
		size *= 2
	}
	s := sketch{max: 10 * room}
	for i := range s.counts {
		s.counts[i] = make([]uint8, size)
	}
	return s
}

func (s *sketch) place(row int, key uint64) *uint8 {
	key ^= uint64(row) * 0x9e3779b97f4a7c15
	key = (key ^ key>>30) * 0xbf58476d1ce4e5b9
	key = (key ^ key>>27) * 0x94d049bb133111eb
	return &s.counts[row][(key^key>>31)%uint64(len(s.counts[row]))]
}

func (s *sketch) add(key uint64) {
	for row := range s.counts {
		if c := s.place(row, key); *c < 15 {
			*c++
		}
	}
	if s.added++; s.added < s.max {
		return
	}
	s.added /= 2
	for _, row := range s.counts {
		for i := range row {
			row[i] /= 2
		}
	}
}

func (s *sketch) of(key uint64) uint8 {
	least := uint8(255)
	for row := range s.counts {
		least = min(least, *s.place(row, key))
	}
	return least
}
