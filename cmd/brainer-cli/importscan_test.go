package main

import (
	"testing"
	"time"

	"brainer/internal/redistest"
)

// A Redis before 7.0 does not tell deadlines: they follow from its clock and what is left.
func TestDeadlinesOfAnOlderRedis(t *testing.T) {
	const deadline = 4102444800123
	addr := redistest.Start(t)
	redistest.Dial(t, addr).Do("SET", "k", "v", "PXAT", "4102444800123")
	c := &cli{timeout: 10 * time.Second}
	from, err := c.parseSource(&importFlags{}, "redis://"+addr)
	if err != nil {
		t.Fatal(err)
	}
	r := from.open(0)
	defer r.Close()
	for _, tells := range []bool{true, false} {
		from.tellsDeadlines = tells
		keys, err := from.look(t.Context(), r, &intake{left: map[string]int64{}}, 0, []string{"k", "none"})
		if err != nil || len(keys) != 1 {
			t.Fatalf("%v, %v", keys, err)
		}
		const slack = 50 // ms between TIME and PTTL
		if d := keys[0].DeadlineMs - deadline; d < -slack || d > slack || tells && d != 0 {
			t.Errorf("tells %v: %d ms off", tells, d)
		}
	}
}
