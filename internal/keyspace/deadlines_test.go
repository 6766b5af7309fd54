package keyspace

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestDeadlinesStayInOrder(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 3))
		d := deadlines{m: newMemory()}
		var want []due
		compare := func(a, b due) int {
			if a.less(b) {
				return -1
			}
			if b.less(a) {
				return 1
			}
			return 0
		}
		for step := range 30000 {
			x := due{ms: 1 + int64(r.IntN(50)), hash: uint64(r.IntN(30))} // many equal ones
			switch {
			case seed == 1:
				x = due{ms: int64(step + 1), hash: r.Uint64()} // always the last
			case seed == 2:
				x = due{ms: 1 + r.Int64N(1e12), hash: r.Uint64()}
			}
			if len(want) > 0 && r.IntN(10) < 4+step/15000*3 {
				i := r.IntN(len(want))
				d.remove(want[i].ms, want[i].hash)
				want = slices.Delete(want, i, i+1)
				continue
			}
			d.add(x.ms, x.hash)
			i, _ := slices.BinarySearchFunc(want, x, compare)
			want = slices.Insert(want, i, x)
			if step%1000 != 0 {
				continue
			}
			var got []due
			for i := range d.leaves {
				got = append(got, d.leaves[i].dues[:d.leaves[i].n]...)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d step %d: order is lost", seed, step)
			}
			ms := want[r.IntN(len(want))].ms
			n, _ := slices.BinarySearchFunc(want, due{ms: ms + 1}, compare)
			if d.until(ms) != n {
				t.Fatalf("seed %d step %d: %d until %d, want %d", seed, step, d.until(ms), ms, n)
			}
			if first, ok := d.min(); !ok || first != want[0] {
				t.Fatalf("seed %d step %d: first is %v", seed, step, first)
			}
		}
		for _, x := range want {
			d.remove(x.ms, x.hash)
		}
		if d.n != 0 || d.m.used != 0 {
			t.Fatalf("%d deadlines and %d pages are left", d.n, d.m.used)
		}
	}
}
