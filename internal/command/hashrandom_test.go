package command

import (
	"strconv"
	"testing"

	"brainer/internal/redistest"
)

// TestHRandFieldPicksEveryFieldAlike: each of 10 fields is expected in 3 of 10 replies of 3 distinct
// ones, and in 1 of 10 picks with repetition. The seeds are fixed; the bounds are five deviations.
func TestHRandFieldPicksEveryFieldAlike(t *testing.T) {
	n := newTestNode(2)
	const fields, rounds = 10, 4000
	for i := range fields {
		n.do("HSET", "h", strconv.Itoa(i), "v")
	}
	for _, test := range []struct {
		args     []string
		low, top int
	}{
		{[]string{"HRANDFIELD", "h", "3"}, 1055, 1345},
		{[]string{"HRANDFIELD", "h", "-3"}, 1036, 1364},
		{[]string{"HRANDFIELD", "h"}, 305, 495},
	} {
		picked := map[string]int{}
		for range rounds {
			reply := redistest.Parse(n.do(test.args...))
			for _, v := range append(reply.Elems, reply) {
				if v.Kind == '$' {
					picked[v.Text]++
				}
			}
		}
		for field, times := range picked {
			if times < test.low || times > test.top || len(picked) != fields {
				t.Errorf("%v: field %s %d times of %d, not %d to %d", test.args, field, times, rounds, test.low, test.top)
			}
		}
	}
}
