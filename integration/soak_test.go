package integration

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// size is what a process takes at one moment.
type size struct {
	rss                     int64 // bytes
	descriptors, goroutines int
}

// soakEvery is how long a soak lets pass from one fault to the next.
const soakEvery = 20 * time.Second

// restAndMeasure waits until all is well and a while longer, and writes down what each process takes. A
// node that was killed has begun again: only a life that lasts can show a leak.
func (x *chaos) restAndMeasure() {
	x.t.Helper()
	x.awaitInSync(len(x.links))
	<-time.After(min(soakEvery, *chaosFor/30))
	x.measure("broker", x.broker, func() string { _, body := x.page("/metrics"); return body })
	for id, p := range x.nodes {
		x.measure(fmt.Sprintf("%s, process %d", id, p.cmd.Process.Pid), p, func() string { return x.nodePage(id) })
	}
}

func (x *chaos) measure(name string, p *process, page func() string) {
	x.t.Helper()
	goroutines := metricValue(page(), "go_goroutines")
	if goroutines < 1 {
		x.t.Fatal("no go_goroutines")
	}
	x.sizes[name] = append(x.sizes[name], size{p.rss(x.t), p.descriptors(x.t), int(goroutines)})
}

// noLeak compares, for each process that has lived long enough, the last third of what was measured with
// the second: the first is for warming up.
func (x *chaos) noLeak() {
	x.t.Helper()
	least := func(all []size) size {
		s := all[0]
		for _, o := range all {
			s.rss, s.descriptors, s.goroutines = min(s.rss, o.rss), min(s.descriptors, o.descriptors), min(s.goroutines, o.goroutines)
		}
		return s
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-22s %8s %18s %18s %18s\n", "at least, in the", "measured", "first third", "second third", "last third")
	fmt.Fprintf(&b, "%-22s %8s %18s %18s %18s\n", "", "", "MB, fds, goroutines", "", "")
	judged := 0
	for _, name := range slices.Sorted(maps.Keys(x.sizes)) {
		all := x.sizes[name]
		third := len(all) / 3
		if third < 2 && name != "broker" {
			continue
		}
		if third == 0 {
			x.t.Fatalf("%d faults are too few to see a leak", len(all))
		}
		judged++
		first, second, last := least(all[:third]), least(all[third:2*third]), least(all[2*third:])
		show := func(s size) string { return fmt.Sprintf("%d, %d, %d", s.rss>>20, s.descriptors, s.goroutines) }
		fmt.Fprintf(&b, "%-22s %8d %18s %18s %18s\n", name, len(all), show(first), show(second), show(last))
		if last.descriptors > second.descriptors+5 || last.goroutines > second.goroutines+5 {
			x.t.Errorf("%s: descriptors or goroutines leak", name)
		}
		if last.rss > second.rss*5/4+16<<20 {
			x.t.Errorf("%s: memory leaks", name)
		}
	}
	x.t.Logf("what %d processes took:\n%s", judged, b.String())
}
