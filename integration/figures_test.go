package integration

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"
)

var figures = flag.Int("figures", 1, "TestFailureFigures: so often each fault")

// figure is one row of the table: a fault, and what it did.
type figure struct {
	name     string
	promise  string
	run      func(*figureRun) (again time.Duration) // how long it took, once mended, until all was in sync
	ofBroker bool

	stalls      map[loadKind][]time.Duration // each client's longest, each time
	again       []time.Duration
	outages     []time.Duration // of the broker, from its start to the first write acknowledged
	reads, sets int             // that failed
}

type figureRun struct {
	*cluster
	link   *badLink
	load   *openLoad
	outage time.Duration
}

// victim is the node that everything happens to. The others dial the broker themselves, it goes through
// a link that can be held.
const victim = "n1"

// away is how long a node is stopped or cut off: more than what puts it out of the set.
const away = 2 * time.Second

var failureFigures = []figure{
	{name: "nothing", run: func(r *figureRun) time.Duration {
		<-time.After(away)
		return 0
	}},
	{name: "SIGKILL of a node", promise: "150 ms (p99)", run: func(r *figureRun) time.Duration {
		r.nodes[victim].kill()
		r.awaitInSync(2)
		return r.back(func() { r.startNode(victim, "--broker", r.link.endpoint()) })
	}},
	{name: "SIGSTOP of a node", promise: "400 ms alone, 1.3 s others", run: func(r *figureRun) time.Duration {
		r.nodes[victim].pause()
		<-time.After(away)
		return r.back(r.nodes[victim].resume)
	}},
	{name: "partition of a node", promise: "400 ms alone, 1.3 s others", run: func(r *figureRun) time.Duration {
		r.link.hold(true, true)
		<-time.After(away)
		return r.back(r.link.heal)
	}},
	{name: "broker killed, restarted", promise: "1.5 s from its start", ofBroker: true, run: func(r *figureRun) time.Duration {
		r.broker.kill()
		return r.back(func() {
			began := time.Now()
			r.startBroker()
			firstWrite(r.t, r.cluster)
			r.outage = time.Since(began)
		})
	}},
}

// back mends something and waits until all nodes are in sync.
func (r *figureRun) back(mend func()) time.Duration {
	began := time.Now()
	mend()
	r.awaitInSync(3)
	return time.Since(began)
}

// TestFailureFigures finds what three nodes can do, offers half of that, and lets things go wrong: no call
// may fail while the broker lives, nothing acknowledged may be lost. How long clients waited is printed.
func TestFailureFigures(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short")
	}
	r := &figureRun{cluster: newCluster(t)}
	r.startBroker("--embedded=false", "--near-cache", "0", "--hold-off-max", "0") // reads are to need a node
	r.link = newBadLink(t, r.cluster)
	r.startNode(victim, "--broker", r.link.endpoint())
	r.startNode("n2")
	r.startNode("n3")
	r.awaitInSync(3)

	const clients = 48
	capacity := r.capacity(clients)
	r.load = startOpenLoad(t, r.cluster, clients, capacity/2)
	calls, began := r.load.calls(), time.Now()
	for range *figures {
		for i := range failureFigures {
			failureFigures[i].once(r)
		}
	}
	took := time.Since(began)
	calls = r.load.calls() - calls
	r.load.stop()
	r.awaitLevel()
	lost := r.load.lost("n1", "n2", "n3")
	_, _, texts := r.load.failures()
	for i := range failureFigures {
		f := &failureFigures[i]
		if !f.ofBroker && f.reads+f.sets > 0 {
			t.Errorf("%s: %d reads and %d writes failed: %v", f.name, f.reads, f.sets, texts)
		}
	}
	if n := float64(calls) / took.Seconds(); n < 0.9*capacity/2 {
		t.Logf("only %.0f requests a second were sent: the clients could not keep up", n)
	}
	t.Logf("capacity %.0f requests a second; %.0f offered by %d clients; each fault %d times; acknowledged writes lost: %d\n%s",
		capacity, capacity/2, clients, *figures, lost, failureTable())
}

// capacity is how many requests a second the clients get answered when each asks again at once.
func (r *figureRun) capacity(clients int) float64 {
	r.t.Helper()
	probe := startClosedLoad(r.t, r.cluster, clients)
	measure := func(d time.Duration) float64 {
		ctx, cancel := context.WithTimeout(context.Background(), d)
		defer cancel()
		n, began := probe.calls(), time.Now()
		<-ctx.Done()
		return float64(probe.calls()-n) / time.Since(began).Seconds()
	}
	measure(time.Second) // warming up
	perSecond := measure(3 * time.Second)
	probe.stop()
	if lost := probe.lost("n1", "n2", "n3"); lost > 0 {
		r.t.Fatalf("%d acknowledged writes are lost before anything went wrong", lost)
	}
	r.do("FLUSHALL")
	return perSecond
}

// once injects the fault and notes what the clients saw.
func (f *figure) once(r *figureRun) {
	reads, sets, _ := r.load.failures()
	r.load.stalls() // what the last one did is over
	r.load.watch()
	again := f.run(r)
	stalls := r.load.stalls()
	if f.stalls == nil {
		f.stalls = map[loadKind][]time.Duration{}
	}
	for kind, d := range stalls {
		f.stalls[kind] = append(f.stalls[kind], d...)
	}
	f.again = append(f.again, again)
	if f.ofBroker {
		f.outages = append(f.outages, r.outage)
	}
	readsNow, setsNow, _ := r.load.failures()
	f.reads, f.sets = f.reads+readsNow-reads, f.sets+setsNow-sets
}

func failureTable() string {
	var b strings.Builder
	line := func(columns ...any) { fmt.Fprintf(&b, "%-25s %7v %7v  %-20v %-20v %-20v %-14v %s\n", columns...) }
	line("", "reads", "writes", "longest stall of a client (ms): p50, p99, max", "", "", "in sync again", "")
	line("", "failed", "failed", loadKinds[readsAlone], loadKinds[writes], loadKinds[readsBehind], "p50, max (ms)", "promise")
	three := func(d []time.Duration) string {
		return fmt.Sprintf("%d, %d, %d", quantile(d, 0.5).Milliseconds(), quantile(d, 0.99).Milliseconds(), quantile(d, 1).Milliseconds())
	}
	two := func(d []time.Duration) string {
		return fmt.Sprintf("%d, %d", quantile(d, 0.5).Milliseconds(), quantile(d, 1).Milliseconds())
	}
	for i := range failureFigures {
		f := &failureFigures[i]
		promise := f.promise
		if len(f.outages) > 0 {
			promise += "; was p50, max " + two(f.outages) + " ms"
		}
		line(f.name, f.reads, f.sets, three(f.stalls[readsAlone]), three(f.stalls[writes]), three(f.stalls[readsBehind]), two(f.again), promise)
	}
	return b.String()
}
