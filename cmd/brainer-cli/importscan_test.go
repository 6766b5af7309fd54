package main

import (
	"testing"
	"time"

	"brainer/internal/redistest"
)

// A Redis before 7.0 does not tell deadlines: they follow from its clock and what is left. One before 6.0 has no HELLO.
func TestDeadlinesOfAnOlderRedis(t *testing.T) {
	const deadline = 4102444800123
	for _, test := range []struct {
		lacks   []string
		slackMs int64
	}{
		{[]string{"TIME", "HELLO"}, 0},
		{[]string{"PEXPIRETIME", "EXPIRETIME"}, 50}, // between TIME and PTTL
		{[]string{"PEXPIRETIME", "EXPIRETIME", "HELLO", "OBJECT", "DUMP", "COPY", "GETDEL"}, 50},
	} {
		var settings []string
		for _, name := range test.lacks {
			settings = append(settings, "--rename-command", name, "")
		}
		addr := redistest.Start(t, settings...)
		redistest.Dial(t, addr).Do("SET", "k", "v", "PXAT", "4102444800123")
		c := &cli{timeout: 10 * time.Second}
		from, err := c.parseSource(&importFlags{}, "redis://"+addr)
		if err != nil {
			t.Fatal(err)
		}
		r := from.open(0)
		defer r.Close()
		for range 2 {
			keys, err := from.look(t.Context(), r, &intake{left: map[string]int64{}}, 0, []string{"k", "none"})
			if err != nil || len(keys) != 1 {
				t.Fatalf("without %v: %v, %v", test.lacks, keys, err)
			}
			if d := keys[0].DeadlineMs - deadline; d < -test.slackMs || d > test.slackMs {
				t.Errorf("without %v: %d ms off", test.lacks, d)
			}
		}
	}
}
