package integration

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"brainer/internal/op"
)

var (
	chaosFor  = flag.Duration("chaos", 20*time.Second, "TestChaos: inject faults for so long")
	soaking   = flag.Bool("soak", false, "TestChaos: leave the broker alone, and look whether it leaks")
	chaosSeed = flag.Uint64("chaosseed", 0, "TestChaos: choose the faults by this seed; 0: by the clock")
)

// chaos injects faults into a cluster whose clients write down what they do.
type chaos struct {
	*cluster
	h     *historian
	rnd   *rand.Rand
	links map[string]*badLink
	tally map[string][]time.Duration // by fault: how long no write was acknowledged, at worst
	probe *writeProbe
	sizes []size // of the broker, every second or so
}

// fault is one way to go wrong; it returns when all is as before, but for what mends itself.
type fault struct {
	name   string
	weight int
	run    func(*chaos)

	ofBroker bool // it ends the broker's process
}

var faults = []fault{
	{name: "SIGKILL of a node, back empty", weight: 3, run: func(x *chaos) {
		id := x.spare(2)
		x.nodes[id].kill()
		x.wait(300)
		x.join(id)
	}},
	{name: "two nodes killed", weight: 1, run: func(x *chaos) {
		a, b := x.spare(3), ""
		for b == "" || b == a {
			b = x.any()
		}
		x.nodes[a].kill()
		x.nodes[b].kill()
		x.wait(300)
		x.join(a)
		x.join(b)
	}},
	{name: "SIGSTOP of a node", weight: 3, run: func(x *chaos) {
		id := x.spare(2)
		x.nodes[id].pause()
		x.wait(2500)
		x.nodes[id].resume()
	}},
	{name: "broker killed, started again", weight: 2, ofBroker: true, run: func(x *chaos) {
		x.h.roll() // what is under way then has no known outcome: it shall not burden long histories
		x.broker.kill()
		x.startBroker()
		x.h.roll()
		x.awaitActive()
	}},
	{name: "a node leaves and joins", weight: 2, run: func(x *chaos) {
		id := x.spare(2)
		x.nodes[id].terminate()
		if code := x.nodes[id].exit(); code != 0 {
			x.t.Errorf("%s left with status %d", id, code)
		}
		x.join(id)
	}},
	{name: "link held, both ways", weight: 2, run: badFor(2500, func(l *badLink) { l.hold(true, true) })},
	{name: "link held, to the broker", weight: 1, run: badFor(2000, func(l *badLink) { l.hold(true, false) })},
	{name: "link held, from the broker", weight: 1, run: badFor(2000, func(l *badLink) { l.hold(false, true) })},
	{name: "link slow", weight: 1, run: badFor(1000, func(l *badLink) { l.slow(20 * time.Millisecond) })},
	{name: "link cut", weight: 2, run: func(x *chaos) { x.links[x.spare(2)].cut() }},
}

// badFor makes a node's link bad for up to so many milliseconds.
func badFor(ms int, how func(*badLink)) func(*chaos) {
	return func(x *chaos) {
		l := x.links[x.spare(2)]
		how(l)
		x.wait(ms)
		l.heal()
	}
}

// any is the name of a node.
func (x *chaos) any() string { return nodeName(1 + x.rnd.IntN(len(x.links))) }

// spare names a node that may be lost: with it so many copies are in sync.
func (x *chaos) spare(copies int) string {
	id := x.any()
	x.awaitStatus(fmt.Sprintf("%d copies, one of them of %s", copies, id), func(s op.Status) bool {
		in := inSync(s)
		return s.State == "active" && len(in) >= copies && slices.Contains(in, id)
	})
	return id
}

func (x *chaos) join(id string) { x.startNode(id, "--broker", x.links[id].endpoint()) }

// wait lets up to so many milliseconds pass: how long a fault lasts is a part of it.
func (x *chaos) wait(ms int) { <-time.After(time.Duration(x.rnd.IntN(ms)) * time.Millisecond) }

// TestChaos injects faults at random into a broker and four nodes under twenty clients; porcupine looks
// through what these have seen, and at the end all copies are the same.
func TestChaos(t *testing.T) {
	seed := *chaosSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	const nodes, clients = 4, 20
	x := &chaos{cluster: newCluster(t), links: map[string]*badLink{}, rnd: rand.New(rand.NewPCG(seed, 1)), tally: map[string][]time.Duration{}}
	// A small window: what it may grow to is no leak.
	x.startBroker("--embedded=false", "--hold-off-max", "1s", "--window-bytes", "16777216")
	for i := range nodes {
		id := nodeName(i + 1)
		x.links[id] = newBadLink(t, x.cluster, id)
		x.join(id)
	}
	x.awaitInSync(nodes)
	x.h = startHistorian(t, x.cluster, clients)
	x.probe = startWriteProbe(t, x.cluster)
	kinds := slices.Clone(faults)
	if *soaking {
		kinds = slices.DeleteFunc(kinds, func(f fault) bool { return f.ofBroker })
	}
	sum := 0
	for _, f := range kinds {
		sum += f.weight
	}
	injected := 0
	for began := time.Now(); time.Since(began) < *chaosFor; injected++ {
		n, i := x.rnd.IntN(sum), 0
		for n >= kinds[i].weight {
			n -= kinds[i].weight
			i++
		}
		f := &kinds[i]
		x.probe.begin()
		f.run(x)
		if x.rnd.IntN(2) == 0 { // or the next one comes upon what mends itself
			x.awaitInSync(nodes)
		}
		x.h.awaitProgress(50)
		x.tally[f.name] = append(x.tally[f.name], x.probe.worst())
		if *soaking {
			x.measure()
		}
		if t.Failed() {
			break
		}
	}
	x.awaitInSync(nodes)
	if *soaking {
		x.noLeak()
	}
	x.probe.stop()
	x.h.check()
	x.awaitLevel()
	want := x.contents(nodeName(1))
	x.sameOnAll(want, nodeName(2), nodeName(3), nodeName(4))
	t.Logf("seed %d: %d faults, %d calls; how long no write was acknowledged (p50, longest):", seed, injected, x.h.ops.Load())
	names := make([]string, 0, len(x.tally))
	for name := range x.tally {
		names = append(names, name)
	}
	slices.SortFunc(names, cmp.Compare[string])
	for _, name := range names {
		d := x.tally[name]
		slices.Sort(d)
		t.Logf("  %-32s %3d times  %6d ms %6d ms", name, len(d), d[len(d)/2].Milliseconds(), d[len(d)-1].Milliseconds())
	}
}

// writeProbe is a client that does nothing but write, and knows for how long it could not.
type writeProbe struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	since   time.Time // of the last acknowledged write
	longest time.Duration
}

func startWriteProbe(t testing.TB, c *cluster) *writeProbe {
	ctx, cancel := context.WithCancel(context.Background())
	p := &writeProbe{cancel: cancel, done: make(chan struct{}), since: time.Now()}
	r := c.newClient(onlyOne, func(o *redis.Options) { o.ReadTimeout = 5 * time.Second })
	go func() {
		defer close(p.done)
		for i := 0; ctx.Err() == nil; i++ {
			err := r.Set(context.Background(), "probe", i, 0).Err()
			p.mu.Lock()
			now := time.Now()
			if err == nil {
				p.longest = max(p.longest, now.Sub(p.since))
				p.since = now
			}
			p.mu.Unlock()
			pause(ctx)
		}
	}()
	t.Cleanup(p.stop)
	return p
}

func (p *writeProbe) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.longest = 0
}

func (p *writeProbe) worst() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.longest, time.Since(p.since))
}

func (p *writeProbe) stop() {
	p.cancel()
	<-p.done
}
