package sim

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"

	"github.com/cespare/xxhash/v2"

	"brainer/broker/replication"
	"brainer/internal/command"
	"brainer/node/replica"
)

// Options says what to run.
type Options struct {
	Seed     uint64
	Broker   replication.Fault // planted mistakes
	Node     replica.Fault
	Trace    io.Writer   // every step, for a person; nil: none
	SyncLate bool        // planted: what is told under fsync always was not synced before
	Change   func(*Plan) // of what the seed has drawn
	Table    *command.Table

	inspect func(*world) // at the end
}

// Result is what a run came to.
type Result struct {
	Seed  uint64
	Err   error // the first invariant that did not hold
	Trace uint64
	Stats Stats
}

// Stats counts what happened in a run.
type Stats struct {
	Steps, Frames             int
	Ops, OK, Refused, Unknown int
	Reads, Writes             int
	Entries                   int
	Faults                    [faultKinds]int
	Views, Eras, Histories    int
	Snapshots, Resumes        int
	Read                      int // snapshots that were read in the broker
	Resends, Rerouted         int
	Hedged, HedgesWon         int
	NearHits                  int
	SentAhead                 int
	Evictions, Evicted        int // entries, keys
	OutOfMemory               int
	Compared                  int // ranges
	LostUnsafe                int // acknowledged by fewer than all, and lost, as it may be
	LostOnDisk                int // acknowledged, not synced, and lost when everything was down
	FromDisks                 int // times that what was left on disks was all there was
	CopiesLost                int // runs in which the last copy was lost
	Retries                   int // writes with an id that had been ordered before
}

// Add sums two up.
func (s *Stats) Add(t Stats) {
	s.Steps += t.Steps
	s.Frames += t.Frames
	s.Ops += t.Ops
	s.OK += t.OK
	s.Refused += t.Refused
	s.Unknown += t.Unknown
	s.Reads += t.Reads
	s.Writes += t.Writes
	s.Entries += t.Entries
	for i := range s.Faults {
		s.Faults[i] += t.Faults[i]
	}
	s.Views += t.Views
	s.Eras += t.Eras
	s.Histories += t.Histories
	s.Snapshots += t.Snapshots
	s.Resumes += t.Resumes
	s.Read += t.Read
	s.Resends += t.Resends
	s.Rerouted += t.Rerouted
	s.Hedged += t.Hedged
	s.HedgesWon += t.HedgesWon
	s.NearHits += t.NearHits
	s.SentAhead += t.SentAhead
	s.Evictions += t.Evictions
	s.Evicted += t.Evicted
	s.OutOfMemory += t.OutOfMemory
	s.Compared += t.Compared
	s.LostUnsafe += t.LostUnsafe
	s.LostOnDisk += t.LostOnDisk
	s.FromDisks += t.FromDisks
	s.CopiesLost += t.CopiesLost
	s.Retries += t.Retries
}

// FaultsTotal is how many faults were injected.
func (s *Stats) FaultsTotal() int {
	n := 0
	for _, k := range s.Faults {
		n += k
	}
	return n
}

const stepsMax = 2_000_000

const startUs = 1_700_000_000_000_000

// world is one simulated cluster with its clients.
type world struct {
	opt   Options
	plan  Plan
	rng   *rand.Rand
	nowUs int64
	queue eventQueue
	order uint64 // of events, and of what clients see

	net     network
	broker  *brokerHost
	nodes   []*nodeHost
	clients []*client
	reader  reader
	faults  injector
	check   checker
	history history

	hash  *xxhash.Digest
	stats Stats
	err   error
}

// Run simulates one seed.
func Run(opt Options) (result Result) {
	w := &world{opt: opt, nowUs: startUs, rng: newRand(opt.Seed), hash: xxhash.New()}
	if w.opt.Table == nil {
		w.opt.Table = command.NewTable()
	}
	defer func() {
		if fault := recover(); fault != nil {
			result = Result{Seed: opt.Seed, Err: fmt.Errorf("panic (at %.3f s): %v\n%s", w.seconds(), fault, debug.Stack())}
		}
	}()
	w.plan = drawPlan(w.rng)
	w.plan.IDs = opt.Seed%3 == 0
	if opt.Seed%2 == 0 {
		w.plan.Broker.IDKeepMs = 200
	}
	if opt.Seed%4 == 1 {
		w.plan.Disks, w.plan.Always = w.plan.Nodes-int(opt.Seed/16%2), opt.Seed/8%2 == 0
		w.plan.Versions = false // what disks need to be told of is new in this one
	}
	if opt.Change != nil {
		opt.Change(&w.plan)
	}
	w.tracef("plan %+v", w.plan)
	w.net.w = w
	w.check.init(w)
	w.history.init(w)
	w.broker = newBrokerHost(w)
	for i := 0; i < w.plan.Nodes; i++ {
		w.nodes = append(w.nodes, newNodeHost(w, i))
	}
	for i := 0; i < w.plan.Clients; i++ {
		w.clients = append(w.clients, newClient(w, i))
	}
	w.script()
	w.stats.Histories = len(w.history.clusters)
	if opt.inspect != nil {
		opt.inspect(w)
	}
	return Result{Seed: opt.Seed, Err: w.err, Trace: w.hash.Sum64(), Stats: w.stats}
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x5eed)) }

// script is the course of a run: form, work under faults, heal, be quiet, compare.
func (w *world) script() {
	w.broker.start()
	for _, n := range w.nodes[:w.plan.FirstNodes] {
		n.start()
	}
	w.runFor(w.plan.WarmUpUs)
	for _, c := range w.clients {
		c.begin()
	}
	w.reader.begin(w)
	w.faults.begin(w)
	w.runFor(w.plan.FaultsUs)
	w.faults.heal()
	if w.plan.QuietAtEnd {
		for _, c := range w.clients {
			c.stopped = true
		}
	}
	w.settle()
	if w.err != nil {
		return
	}
	w.check.calm = true
	for _, c := range w.clients {
		c.stopped = false
		c.think()
	}
	w.runFor(300_000)
	for _, c := range w.clients {
		c.stopped = true
	}
	w.runFor(700_000)
	w.plan.QuietAtEnd = true
	for i := 0; i < 200 && w.err == nil && w.check.unsettled() != ""; i++ {
		w.runFor(5_000) // a TICK may just be under way, or a node just be back that left when all was healed
	}
	if w.err == nil {
		w.check.atEnd()
	}
	if w.err == nil {
		w.history.verify()
	}
}

// settle waits for the cluster to come back by itself, within the promised time.
func (w *world) settle() {
	const withinUs, pacedUs, stepUs = 5_000_000, 20_000_000, 50_000
	deadline := w.nowUs + withinUs
	asked, paced := false, false
	w.runFor(1_500_000) // what broke last must be noticed first
	for w.err == nil {
		why := w.check.unsettled()
		if why == "" {
			return
		}
		if w.nowUs >= deadline {
			if w.check.copyLost() {
				if asked {
					w.failf("9: an operator's word did not help: %s", why)
					return
				}
				asked = true
				w.stats.CopiesLost++
				if w.broker.serving() {
					w.failf("3: the broker serves although no member of its set is alive")
					return
				}
				w.broker.recoverEmpty()
				deadline = w.nowUs + withinUs
				continue
			}
			if !paced && w.broker.pacesAJoin() {
				paced = true // clients write, and plans have a floor of 20 kB/s
				deadline += pacedUs
				continue
			}
			w.failf("9: not settled within %d ms after healing: %s", withinUs/1000, why)
			return
		}
		w.runFor(stepUs)
	}
}

func (w *world) runFor(us int64) {
	end := w.nowUs + us
	for w.err == nil && len(w.queue) > 0 && w.queue[0].atUs <= end {
		e := w.queue.pop()
		w.nowUs = e.atUs
		if w.stats.Steps++; w.stats.Steps > stepsMax {
			w.failf("9: more than %d steps", stepsMax)
		}
		e.run()
	}
	w.nowUs = end
}

// after runs f when us microseconds have passed.
func (w *world) after(us int64, f func()) { w.at(w.nowUs+us, f) }

func (w *world) at(atUs int64, f func()) {
	w.order++
	w.queue.push(event{atUs, w.order, f})
}

// between draws a duration.
func (w *world) between(fromUs, toUs int64) int64 { return fromUs + w.rng.Int64N(toUs-fromUs+1) }

// chance is true with probability p.
func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

func (w *world) failf(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("invariant %s (at %.3f s)", fmt.Sprintf(format, args...), w.seconds())
		w.tracef("FAILED %v", w.err)
	}
}

func (w *world) seconds() float64 { return float64(w.nowUs-startUs) / 1e6 }

// mark folds a step into the trace's hash.
func (w *world) mark(kind byte, a, b, c uint64) {
	var buf [33]byte
	buf[0] = kind
	binary.LittleEndian.PutUint64(buf[1:], uint64(w.nowUs))
	binary.LittleEndian.PutUint64(buf[9:], a)
	binary.LittleEndian.PutUint64(buf[17:], b)
	binary.LittleEndian.PutUint64(buf[25:], c)
	w.hash.Write(buf[:])
}

func (w *world) tracing() bool { return w.opt.Trace != nil }

func (w *world) tracef(format string, args ...any) {
	if w.opt.Trace != nil {
		fmt.Fprintf(w.opt.Trace, "%10.6f %s\n", w.seconds(), fmt.Sprintf(format, args...))
	}
}

// event is something that happens at a time; those of one time happen in the order of their making.
type event struct {
	atUs  int64
	order uint64
	run   func()
}

// eventQueue is a heap.
type eventQueue []event

func (q eventQueue) less(i, j int) bool {
	return q[i].atUs < q[j].atUs || q[i].atUs == q[j].atUs && q[i].order < q[j].order
}

func (q *eventQueue) push(e event) {
	*q = append(*q, e)
	h := *q
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h.less(i, up) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (q *eventQueue) pop() event {
	h := *q
	top := h[0]
	n := len(h) - 1
	h[0] = h[n]
	h[n] = event{}
	h = h[:n]
	*q = h
	for i := 0; ; {
		least := i
		for _, c := range [2]int{2*i + 1, 2*i + 2} {
			if c < n && h.less(c, least) {
				least = c
			}
		}
		if least == i {
			return top
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
