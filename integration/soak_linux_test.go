package integration

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"
)

// size is what the broker's process takes at one moment.
type size struct {
	at                      time.Time
	rss                     int64
	descriptors, goroutines int
}

func (s size) String() string {
	return fmt.Sprintf("%d MB, %d descriptors, %d goroutines", s.rss>>20, s.descriptors, s.goroutines)
}

var goroutinesLine = regexp.MustCompile(`(?m)^go_goroutines (\d+)`)

func (x *chaos) measure() {
	x.t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", x.broker.cmd.Process.Pid))
	must(x.t, err)
	_, body := x.page("/metrics")
	m := goroutinesLine.FindStringSubmatch(body)
	if m == nil {
		x.t.Fatal("no go_goroutines")
	}
	goroutines, err := strconv.Atoi(m[1])
	must(x.t, err)
	x.sizes = append(x.sizes, size{time.Now(), x.broker.rss(x.t), len(fds), goroutines})
}

// noLeak compares the last third of what was measured with the second: the first is for warming up.
func (x *chaos) noLeak() {
	x.t.Helper()
	third := len(x.sizes) / 3
	if third == 0 {
		x.t.Fatalf("%d faults are too few to see a leak", len(x.sizes))
	}
	least := func(all []size) size {
		s := all[0]
		for _, o := range all {
			s.rss, s.descriptors, s.goroutines = min(s.rss, o.rss), min(s.descriptors, o.descriptors), min(s.goroutines, o.goroutines)
		}
		return s
	}
	before, after := least(x.sizes[third:2*third]), least(x.sizes[2*third:])
	x.t.Logf("the broker, at its least in the second third: %s; in the last third: %s", before, after)
	if after.descriptors > before.descriptors+5 || after.goroutines > before.goroutines+5 {
		x.t.Error("descriptors or goroutines leak")
	}
	if after.rss > before.rss*5/4+16<<20 {
		x.t.Error("memory leaks")
	}
}
