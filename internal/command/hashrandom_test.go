package command

import (
	"math"
	"strconv"
	"testing"

	"brainer/internal/redistest"
)

// TestHRandFieldPicksEveryFieldAlike counts how often each field is picked. The seeds are fixed; the
// bounds are five standard deviations.
func TestHRandFieldPicksEveryFieldAlike(t *testing.T) {
	for _, test := range []struct {
		fields int
		count  string // none: one pick
		picks  float64
	}{
		{10, "", 1}, {10, "3", 3}, {10, "-3", 3}, {200, "5", 5}, {200, "-5", 5}, {200, "100", 100}, {600, "3", 3},
	} {
		const mean = 100
		rounds := int(mean * float64(test.fields) / test.picks)
		n := newTestNode(2)
		for i := range test.fields {
			n.do("HSET", "h", strconv.Itoa(i), "v")
		}
		args := []string{"HRANDFIELD", "h"}
		if test.count != "" {
			args = append(args, test.count)
		}
		picked := map[string]int{}
		for range rounds {
			reply := redistest.Parse(n.do(args...))
			for _, v := range append(reply.Elems, reply) {
				if v.Kind == '$' {
					picked[v.Text]++
				}
			}
		}
		least, most := rounds, 0
		for _, times := range picked {
			least, most = min(least, times), max(most, times)
		}
		bound := int(5 * math.Sqrt(mean))
		if least < mean-bound || most > mean+bound || len(picked) != test.fields {
			t.Errorf("%d of %d fields, %v: picked %d to %d times, not %d±%d",
				len(picked), test.fields, args, least, most, mean, bound)
		}
	}
}
