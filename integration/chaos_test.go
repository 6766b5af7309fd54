package integration

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"brainer/broker"
	"brainer/internal/op"
)

var (
	chaosFor  = flag.Duration("chaos", time.Minute, "TestChaos: inject faults for so long")
	chaosAck  = flag.String("chaosack", "all", "TestChaos: the broker's --ack; with primary it finds losses")
	soaking   = flag.Bool("soak", false, "TestChaos: leave the broker alone, and look whether it leaks")
	chaosSeed = flag.Uint64("chaosseed", 0, "TestChaos: choose the faults by this seed; 0: by the clock")
)

// chaos injects faults into a cluster whose clients write down what they do.
type chaos struct {
	*cluster
	h     *historian
	rnd   *rand.Rand
	links map[string]link
	tally map[string][]time.Duration // by fault: how long no write was acknowledged, at worst
	probe *writeProbe
	sizes map[string][]size // of each process, after each fault

	delays    bool     // the links can be slow
	nodeFlags []string // of every node
	replayed  int      // looks at a node that was catching up
}

// fault is one way to go wrong; it returns when all is as before, but for what mends itself.
type fault struct {
	name   string
	weight int
	run    func(*chaos)

	needs needs
	short bool // it ends the broker's process, or all nodes but one: a soak wants lives that last
}

// needs is what a fault asks of the links.
type needs int

const (
	needsNothing needs = iota
	needsProxy         // it tells a node's connections apart
	needsDelay         // a namespace has that with netem
	needsNetem         // it is for namespaces
)

// can says whether links through proxies, or between namespaces with or without netem, can go wrong like that.
func (n needs) can(proxy, netem bool) bool {
	switch n {
	case needsProxy:
		return proxy
	case needsDelay:
		return proxy || netem
	case needsNetem:
		return netem
	}
	return true
}

var faults = []fault{
	{name: "SIGKILL of a node, back empty", weight: 3, run: func(x *chaos) {
		id := x.mortal(2)
		x.nodes[id].kill()
		x.wait(300)
		x.join(id)
	}},
	{name: "two nodes killed", weight: 1, run: func(x *chaos) {
		a := x.mortal(3)
		b := x.mortal(3)
		for b == a {
			b = x.mortal(3)
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
	{name: "broker killed, started again", weight: 2, short: true, run: func(x *chaos) {
		x.h.roll() // what is under way then has no known outcome: it shall not burden long histories
		x.broker.kill()
		x.startBroker()
		x.h.roll()
		x.awaitActive()
		x.h.look()
	}},
	{name: "broker and a node killed, others behind", weight: 3, short: true, run: brokerAndPrimaryKilled},
	{name: "broker killed, an empty node first", weight: 1, short: true, run: emptyNodeFirst},
	{name: "a newcomer, then the others killed", weight: 2, short: true, run: newcomerAlone},
	{name: "a node leaves and joins", weight: 2, run: func(x *chaos) {
		id := x.mortal(2)
		x.nodes[id].terminate()
		if code := x.nodes[id].exit(); code != 0 {
			x.t.Errorf("%s left with status %d", id, code)
		}
		x.join(id)
	}},
	{name: "a node far behind on a slow link", weight: 4, run: farBehind},
	{name: "link held, both ways", weight: 2, run: badFor(2500, func(l link) { l.hold(true, true) })},
	{name: "link held, to the broker", weight: 1, run: badFor(2000, func(l link) { l.hold(true, false) })},
	{name: "link held, from the broker", weight: 1, run: badFor(2000, func(l link) { l.hold(false, true) })},
	{name: "link held for turns or heartbeats only", weight: 2, needs: needsProxy, run: badFor(1500, func(l link) { l.(*badLink).holdSome() })},
	{name: "link half open", weight: 1, run: badFor(1500, func(l link) { l.halfOpen() })},
	{name: "link slow", weight: 1, needs: needsDelay, run: badFor(1000, func(l link) { l.slow(20 * time.Millisecond) })},
	{name: "link loses a tenth", weight: 1, needs: needsNetem, run: badFor(1500, func(l link) { l.(*netLink).lossy(10) })},
	{name: "link of 100 kB a second", weight: 1, run: badFor(1500, func(l link) { l.throttle(100_000) })},
	{name: "link cut", weight: 2, run: func(x *chaos) { x.links[x.spare(2)].cut() }},
}

// badFor makes a node's link bad for up to so many milliseconds.
func badFor(ms int, how func(link)) func(*chaos) {
	return func(x *chaos) {
		l := x.links[x.spare(2)]
		how(l)
		x.wait(ms)
		l.heal()
	}
}

// brokerAndPrimaryKilled keeps everything from all nodes but one for a moment, kills the broker, and then
// that one: what only it had applied is lost, so nobody may have been told of it, or shown it.
func brokerAndPrimaryKilled(x *chaos) {
	id := x.spare(3)
	x.h.roll()
	for other, l := range x.links {
		if other != id {
			l.hold(false, true)
		}
	}
	counted := x.h.burst(32)
	<-time.After(20 * time.Millisecond)
	x.wait(150) // less than what puts the others out
	x.broker.kill()
	for other, l := range x.links {
		if other != id {
			l.cut()
		}
	}
	if x.recorded() >= 2 { // or the machine stood still, and the others were put out
		x.nodes[id].kill()
	}
	for _, l := range x.links {
		l.heal()
	}
	counted()
	x.startBroker()
	x.h.roll()
	x.awaitActive()
	x.h.look()
	if !x.nodes[id].alive() {
		x.join(id)
	}
}

// emptyNodeFirst lets a broker that comes back see nobody for a while but a node whose memory is gone.
func emptyNodeFirst(x *chaos) {
	id := x.spare(3)
	x.h.roll()
	x.broker.kill()
	x.h.roll()
	x.nodes[id].kill()
	for other, l := range x.links {
		if other != id {
			l.cut()
			l.hold(true, true)
		}
	}
	x.startBroker()
	x.join(id)
	x.awaitStatus("the empty node is there", func(s op.Status) bool { return nodeOf(s, id).Up })
	<-time.After(2500 * time.Millisecond) // more than a broker waits for the others
	for _, l := range x.links {
		l.heal()
	}
	x.awaitActive()
	x.h.look()
}

// newcomerAlone kills all others, and the broker with them or not, the moment that a node which came back
// empty is in sync.
func newcomerAlone(x *chaos) {
	id, withBroker := x.spare(2), x.rnd.IntN(2) == 0
	x.nodes[id].kill()
	x.awaitStatus(id+" is out", func(s op.Status) bool { return !nodeOf(s, id).InSync })
	if x.delays {
		x.links[id].slow(20 * time.Millisecond) // what is on its way to it is lost with the broker
	}
	x.join(id)
	x.h.roll()
	for deadline := time.Now().Add(patience); ; { // without a rest between the looks
		s, err := x.status()
		must(x.t, err)
		if nodeOf(s, id).InSync {
			break
		}
		if time.Now().After(deadline) {
			x.t.Fatalf("%s does not join: %s", id, summary(s))
		}
	}
	if withBroker {
		x.broker.kill()
		x.links[id].cut()
	}
	for other, p := range x.nodes {
		if other != id {
			p.kill()
		}
	}
	x.links[id].heal()
	if withBroker {
		x.h.roll()
		x.startBroker()
		x.awaitActive()
	}
	x.h.awaitProgress(50)
	x.h.look()
	for other := range x.nodes {
		if other != id {
			x.join(other)
		}
	}
}

// farBehind keeps a node away until it is put out of the set, and has it catch up slowly: it must not be
// asked for reads meanwhile. (No history could tell: what it is asked it would answer when it is level.)
func farBehind(x *chaos) {
	id := x.spare(2)
	l := x.links[id]
	l.hold(true, true)
	x.awaitStatus(id+" is out", func(s op.Status) bool { return !nodeOf(s, id).InSync })
	x.wait(500)
	if x.delays {
		l.slow(40 * time.Millisecond) // every turn: it has some to go until it is level
	} else {
		l.throttle(200_000)
	}
	l.hold(false, false)
	defer l.heal()
	outside := func(s op.Status, err error) (sessions string) {
		n := nodeOf(s, id)
		if err != nil || n.InSync || n.State != "replay" && n.State != "adding" {
			return ""
		}
		return fmt.Sprint(s.Epoch, n.Incarnation, s.ResumesTotal, s.SnapshotsTotal)
	}
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); {
		s, err := x.status()
		if err == nil && nodeOf(s, id).InSync {
			return
		}
		before := outside(s, err)
		reads := x.nodeReads(id)
		<-time.After(20 * time.Millisecond)
		more := x.nodeReads(id) - reads
		if before != "" && outside(x.status()) == before {
			x.replayed++
			if more > 0 {
				x.t.Errorf("%s answered %v reads while it was not in the in-sync set", id, more)
				return
			}
		}
	}
}

// nodeReads is how many reads the node has answered in its life.
func (x *chaos) nodeReads(id string) float64 {
	return metricValue(x.nodePage(id), "brainer_replica_reads_total")
}

// recorded is how many members the durable record of the in-sync set names, while no broker runs.
func (x *chaos) recorded() int {
	x.t.Helper()
	store, err := broker.OpenFileStore(x.stateDir())
	must(x.t, err)
	defer store.Close()
	v, err := store.Load()
	must(x.t, err)
	return len(v.Members)
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

// mortal names a node that may be lost, and whose process may end: a soak looks how n1's fares.
func (x *chaos) mortal(copies int) string {
	for {
		if id := x.spare(copies); id != nodeName(1) || !*soaking {
			return id
		}
	}
}

// join starts a node, as it was started before.
func (x *chaos) join(id string, flags ...string) {
	if flags != nil {
		x.nodeFlags = flags
	}
	x.startNode(id, append([]string{"--broker", x.links[id].endpoint(), "--metrics", x.links[id].metricsAddr()}, x.nodeFlags...)...)
}

// wait lets up to so many milliseconds pass: how long a fault lasts is a part of it.
func (x *chaos) wait(ms int) { <-time.After(time.Duration(x.rnd.IntN(ms)) * time.Millisecond) }

const chaosNodes, chaosClients = 4, 20

// flags are the broker's. A small window: what it may grow to is no leak.
func (x *chaos) flags() []string {
	hedge := []string{"off", "p95"}[x.rnd.IntN(2)]
	near := []string{"0", "67108864"}[x.rnd.IntN(2)]
	x.t.Logf("--hedge-reads %s --near-cache %s", hedge, near)
	return []string{"--embedded=false", "--hold-off-max", "1s", "--window-bytes", "16777216", "--ack", *chaosAck, "--hedge-reads", hedge, "--near-cache", near}
}

// TestChaos injects faults at random into a broker and four nodes under twenty clients; porcupine looks
// through what these have seen, and at the end all copies are the same.
func TestChaos(t *testing.T) {
	t.Parallel()
	x := newChaos(t)
	x.startBroker(x.flags()...)
	for i := range chaosNodes {
		id := nodeName(i + 1)
		x.links[id] = newBadLink(t, x.cluster)
		x.join(id)
	}
	x.delays = true
	x.rage(slices.DeleteFunc(slices.Clone(faults), func(f fault) bool {
		return !f.needs.can(true, false) || *soaking && f.short
	}), *chaosFor)
}

func newChaos(t testing.TB) *chaos {
	seed := *chaosSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-chaosseed %d chooses the same faults", seed)
	return &chaos{cluster: newCluster(t), links: map[string]link{}, rnd: rand.New(rand.NewPCG(seed, 1)),
		tally: map[string][]time.Duration{}, sizes: map[string][]size{}}
}

// rage injects faults for so long and checks what the clients saw.
func (x *chaos) rage(kinds []fault, d time.Duration) {
	nodes := len(x.links)
	x.awaitInSync(nodes)
	x.h = startHistorian(x.t, x.cluster, chaosClients)
	x.probe = startWriteProbe(x.t, x.cluster)
	sum := 0
	for _, f := range kinds {
		sum += f.weight
	}
	injected := 0
	for began := time.Now(); time.Since(began) < d; injected++ {
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
			x.restAndMeasure()
		}
		if x.t.Failed() {
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
	for i := range nodes {
		x.sameOnAll(want, nodeName(i+1))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d faults, %d calls, %d looks at a node that caught up; how long no write was acknowledged (p50, longest):\n", injected, x.h.ops.Load(), x.replayed)
	for _, name := range slices.Sorted(maps.Keys(x.tally)) {
		d := x.tally[name]
		fmt.Fprintf(&b, "  %-40s %3d times  %6d ms %6d ms\n", name, len(d), quantile(d, 0.5).Milliseconds(), quantile(d, 1).Milliseconds())
	}
	x.t.Log(b.String())
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
	go func() {
		defer close(p.done)
		for ctx.Err() == nil {
			p.write(ctx, c.addr)
			pause(ctx)
		}
	}()
	t.Cleanup(p.stop)
	return p
}

// write uses one connection as long as it lasts.
func (p *writeProbe) write(ctx context.Context, addr string) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return
	}
	defer conn.Close()
	reply := make([]byte, 1024)
	for ctx.Err() == nil {
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err := conn.Write([]byte("SET probe x\r\n")); err != nil {
			return
		}
		n, err := conn.Read(reply)
		if err != nil {
			return
		}
		if string(reply[:n]) == "+OK\r\n" {
			p.mu.Lock()
			now := time.Now()
			p.longest = max(p.longest, now.Sub(p.since))
			p.since = now
			p.mu.Unlock()
		}
		pause(ctx)
	}
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
