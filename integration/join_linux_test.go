package integration

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"brainer/internal/op"
	"brainer/resp"
)

var wholeJoin = flag.Bool("join", false, "TestJoinUnderLoad: 1,000,000 keys, 30 s of absence, a table of what clients see")

// joinSize is how much of it a run does.
type joinSize struct {
	keys, fields, valueBytes int
	clients                  int
	look, absence            time.Duration
	perSecond                float64 // 0: half of what is found
	window                   int
}

func joinSizes() joinSize {
	if *wholeJoin {
		return joinSize{keys: 1_000_000, fields: 1_000_000, valueBytes: 50 << 20, clients: 50, look: 8 * time.Second,
			absence: 30 * time.Second, window: 256 << 20}
	}
	return joinSize{keys: 20_000, fields: 20_000, valueBytes: 256 << 10, clients: 10, look: time.Second / 2, absence: time.Second,
		perSecond: 500, window: 4 << 20}
}

// steadyWriters send SETs that are due at times which are set beforehand, each client on a connection of
// its own: what waits because the service is slow counts from when it was due.
type steadyWriters struct {
	t       testing.TB
	closing atomic.Bool
	done    sync.WaitGroup
	began   time.Time

	answers [][]answerTime // of each client, room for all from the beginning: growing would take time
	counts  []atomic.Int64 // of them

	mu     sync.Mutex
	failed map[string]int
}

type answerTime struct{ due, took time.Duration } // due since the beginning

// answersMax is how many answers of one client are kept: some minutes of what it can do.
const answersMax = 1 << 18

const steadyValueLen = 64

// joinKey is the number of one of the keys that a join has to carry.
func joinKey(i int) string { return fmt.Sprintf("join:%07d", i) }

// startWriters offers so many writes a second; 0: each client writes again when it is answered.
func startWriters(t testing.TB, addr string, clients, keys int, perSecond float64) *steadyWriters {
	t.Helper()
	w := &steadyWriters{t: t, failed: map[string]int{}, answers: make([][]answerTime, clients), counts: make([]atomic.Int64, clients)}
	for i := range w.answers {
		w.answers[i] = make([]answerTime, answersMax)
	}
	w.began = time.Now()
	every := time.Duration(0)
	if perSecond > 0 {
		every = time.Duration(float64(clients) / perSecond * float64(time.Second))
	}
	for i := range clients {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		first := every * time.Duration(i) / time.Duration(clients)
		w.done.Go(func() { w.run(conn, i, keys, first, every) })
	}
	t.Cleanup(w.stop)
	return w
}

func (w *steadyWriters) stop() {
	w.closing.Store(true)
	w.done.Wait()
}

func (w *steadyWriters) run(conn net.Conn, client, keys int, due, every time.Duration) {
	defer conn.Close()
	rnd := rand.New(rand.NewPCG(uint64(client), 5))
	sent := make(chan time.Duration, 1<<16)
	answered := make(chan struct{}, 1)
	var reader sync.WaitGroup
	reader.Go(func() {
		r := bufio.NewReader(conn)
		for due := range sent {
			line, err := r.ReadString('\n')
			w.note(client, due, line, err)
			select {
			case answered <- struct{}{}:
			default:
			}
		}
	})
	defer reader.Wait()
	defer close(sent)
	value := []byte(strings.Repeat("v", steadyValueLen))
	var out []byte
	for !w.closing.Load() {
		now := time.Since(w.began)
		if every == 0 {
			due = now
		}
		out = out[:0]
		for ; due <= now; due += max(every, 1) {
			copy(value, strconv.AppendUint(nil, rnd.Uint64(), 16))
			out = resp.AppendCommand(out, []byte("SET"), []byte(joinKey(rnd.IntN(keys))), value)
			sent <- due
			if every == 0 {
				break
			}
		}
		if _, err := conn.Write(out); err != nil {
			return // the reader tells
		}
		if every == 0 {
			<-answered
			continue
		}
		<-time.After(due - time.Since(w.began))
	}
}

func (w *steadyWriters) note(client int, due time.Duration, line string, err error) {
	took := time.Since(w.began) - due
	n := w.counts[client].Load()
	switch {
	case n == answersMax:
		line = "more answers than a run has room for"
		fallthrough
	case err != nil || line != "+OK\r\n":
		w.mu.Lock()
		defer w.mu.Unlock()
		w.failed[fmt.Sprint(line, err)]++
		return
	}
	w.answers[client][n] = answerTime{due, took}
	w.counts[client].Store(n + 1)
}

// between returns how long those took that were due in a time.
func (w *steadyWriters) between(from, to time.Time) (took []time.Duration) {
	f, t := from.Sub(w.began), to.Sub(w.began)
	for i := range w.answers {
		for _, a := range w.answers[i][:w.counts[i].Load()] {
			if a.due >= f && a.due < t {
				took = append(took, a.took)
			}
		}
	}
	return took
}

// watchMemory samples the resident bytes of processes until it is asked for the most of each.
func watchMemory(t testing.TB, ps ...*process) (most func() []int64) {
	largest := make([]int64, len(ps))
	stop, ended := make(chan struct{}), make(chan struct{})
	look := func() {
		for i, p := range ps {
			if p.alive() {
				largest[i] = max(largest[i], p.rss(t))
			}
		}
	}
	look()
	go func() {
		defer close(ended)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				look()
			}
		}
	}()
	return sync.OnceValue(func() []int64 { close(stop); <-ended; look(); return largest })
}

// joinTable is what a run has found, a row for each thing that happened.
type joinTable struct {
	rows []string
}

func (j *joinTable) row(what, took string, before, during []time.Duration, how, memory string) {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1000) }
	of := func(d []time.Duration) string {
		return fmt.Sprintf("%s / %s / %s", ms(quantile(d, 0.5)), ms(quantile(d, 0.99)), ms(quantile(d, 1)))
	}
	ratio := float64(quantile(during, 0.99)) / float64(max(1, quantile(before, 0.99)))
	j.rows = append(j.rows, fmt.Sprintf("| %s | %s | %s | %s | %.2f | %s | %s |", what, took, of(before), of(during), ratio, how, memory))
}

func (j *joinTable) String() string {
	return "| | took | before: p50 / p99 / max ms | meanwhile | p99 x | how | resident MB, before > at most |\n|---|---|---|---|---|---|---|\n" + strings.Join(j.rows, "\n")
}

// joinRun is a cluster under a steady load.
type joinRun struct {
	*cluster
	size  joinSize
	load  *steadyWriters
	table joinTable
}

// TestJoinUnderLoad lets nodes join, and come back, while clients write.
func TestJoinUnderLoad(t *testing.T) {
	t.Parallel()
	size := joinSizes()
	r := &joinRun{size: size, cluster: startCluster(t, 2, "--window-bytes", strconv.Itoa(size.window))}
	r.fill()
	rate := size.perSecond
	if rate == 0 {
		most := startWriters(t, r.addr, size.clients, size.keys, 0)
		time.Sleep(2 * time.Second) // for as long as it is measured
		from := time.Now()
		time.Sleep(5 * time.Second)
		most.stop()
		all := most.between(from, from.Add(5*time.Second))
		rate = float64(len(all)) / 5 / 2
		t.Logf("%d clients write %.0f times a second, p50 %s, p99 %s; the load is half of that", size.clients, 2*rate, quantile(all, 0.5), quantile(all, 0.99))
	}
	r.load = startWriters(t, r.addr, size.clients, size.keys, rate)

	r.during("a node joins", []string{"n3"}, "snapshot", func() { r.startNode("n3") })
	r.during(fmt.Sprintf("it is back after %s", size.absence), []string{"n3"}, "resume", r.absent("n3"))
	r.leave("n3")
	r.during("two join at once", []string{"n4", "n5"}, "snapshot", func() { r.startNode("n4"); r.startNode("n5") })
	r.leave("n4", "n5")
	r.fillLarge()
	r.during("one joins, with a large value and a huge hash", []string{"n6"}, "snapshot", func() { r.startNode("n6") })

	r.load.stop()
	r.awaitLevel()
	if len(r.load.failed) > 0 {
		t.Errorf("writes failed: %v", r.load.failed)
	}
	s := r.awaitStatus("each copy has every key", func(s op.Status) bool {
		return !slices.ContainsFunc(s.Nodes, func(n op.NodeStatus) bool { return n.InSync && n.Keys != int64(size.keys)+2 })
	})
	if s.DigestMismatches > 0 {
		t.Errorf("%d digests differ", s.DigestMismatches)
	}
	t.Logf("%.0f writes a second:\n%s", rate, r.table.String())
}

// fill makes the keys, and then fills the log window with something else.
func (r *joinRun) fill() {
	r.t.Helper()
	value := strings.Repeat("v", steadyValueLen)
	for full := false; !full; {
		for from := 0; from < r.size.keys; from += 1000 {
			args := []any{"MSET"}
			for i := range 1000 {
				args = append(args, joinKey(from+i), value)
			}
			r.do(args...)
		}
		s := r.awaitActive()
		full = s.WindowEntries < int64(s.Index)
	}
}

// fillLarge adds a large value and a huge hash.
func (r *joinRun) fillLarge() {
	r.t.Helper()
	r.do("SET", "large", strings.Repeat("x", r.size.valueBytes))
	for from := 0; from < r.size.fields; from += 1000 {
		args := []any{"HSET", "huge"}
		for i := range 1000 {
			args = append(args, "field"+strconv.Itoa(from+i), "value"+strconv.Itoa(from+i))
		}
		r.do(args...)
	}
}

// leave kills nodes and waits until the others go on without them.
func (r *joinRun) leave(ids ...string) {
	r.t.Helper()
	for _, id := range ids {
		r.nodes[id].kill()
	}
	r.awaitNodes("n1", "n2")
}

// absent stops a node for a while.
func (r *joinRun) absent(id string) func() {
	r.nodes[id].pause()
	r.awaitNodes("n1", "n2")
	time.Sleep(r.size.absence) // it is what is tested
	return r.nodes[id].resume
}

// during measures what clients see before and while what begin begins ends by itself.
func (r *joinRun) during(what string, joiners []string, how string, begin func()) {
	r.t.Helper()
	before := r.awaitActive()
	watched := []*process{r.broker, r.nodes["n1"], r.nodes["n2"]}
	names := []string{"broker", "n1", "n2"}
	was := make([]int64, len(watched))
	for i, p := range watched {
		was[i] = p.rss(r.t)
	}
	from := time.Now()
	time.Sleep(r.size.look) // for as long as it is measured
	began := time.Now()
	begin()
	for _, id := range joiners {
		watched, names, was = append(watched, r.nodes[id]), append(names, id), append(was, r.nodes[id].rss(r.t))
	}
	most := watchMemory(r.t, watched...)
	loaded := time.Time{}
	var slowest, last op.JoinStatus
	awaitWithin(r.t, 10*patience, what, func() (bool, string) {
		s, err := r.status()
		if err != nil {
			return false, err.Error()
		}
		for _, id := range joiners {
			if j := nodeOf(s, id).Join; j != nil {
				last = *j
				slowest.EntriesBehind = max(slowest.EntriesBehind, j.EntriesBehind)
				if j.Phase == "replay" && loaded.IsZero() {
					loaded = time.Now()
				}
			}
		}
		return len(inSync(s)) == 2+len(joiners), fmt.Sprintf("%s; the last join: %+v", summary(s), last)
	})
	ended := time.Now()
	r.awaitLevel()
	after := r.awaitActive()
	took := fmt.Sprintf("%.1f s", ended.Sub(began).Seconds())
	if !loaded.IsZero() {
		took += fmt.Sprintf(" (replay %.1f)", ended.Sub(loaded).Seconds())
	}
	snapshots, resumes := after.SnapshotsTotal-before.SnapshotsTotal, after.ResumesTotal-before.ResumesTotal
	if want := map[string]uint64{"snapshot": uint64(len(joiners)), "resume": 0}[how]; snapshots != want {
		r.t.Errorf("%s: %d snapshots and %d resumes, want %d snapshots", what, snapshots, resumes, want)
	}
	var memory []string
	for i, m := range most() {
		memory = append(memory, fmt.Sprintf("%s %d > %d", names[i], was[i]>>20, m>>20))
	}
	r.table.row(what, took, r.load.between(from, began), r.load.between(began, ended),
		fmt.Sprintf("%s, %d behind", how, slowest.EntriesBehind), strings.Join(memory, ", "))
	r.t.Log(r.table.rows[len(r.table.rows)-1])
}
