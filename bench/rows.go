//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"brainer/bench/load"
	"brainer/bench/system"
)

// row is one line of the table: ours and a peer doing the same work, in turn.
type row struct {
	Name  string
	Title string
	Unit  string // of the value that is compared
	Ours  side
	Peer  side // without a system: nothing to compare with
	Goal  goal
	Extra bool // only measured when asked for by name
	Once  bool // repetitions show nothing

	measure func(ctx context.Context, r *runner, s side) (sample, error)
}

// side is one of the two in a row.
type side struct {
	System string    // one of systems
	Work   load.Work // what it is asked; also says what it is filled with beforehand
}

// goal is the target for a row. All zero: none.
type goal struct {
	AtLeast float64 `json:"at_least,omitempty"` // ratio of ours to the peer's
	AtMost  float64 `json:"at_most,omitempty"`
	Below   float64 `json:"below,omitempty"` // our own value
}

// setup is a system that can be started.
type setup struct {
	programs []string // that must be installed
	start    func(ctx context.Context, bin string, profiles bool) (*system.System, error)
}

func brainer(nodes int, more ...string) setup {
	return setup{nil, func(ctx context.Context, bin string, profiles bool) (*system.System, error) {
		return system.Brainer(ctx, bin, nodes, profiles, more...)
	}}
}

// systems are all setups, by the name that the report uses.
var systems = map[string]setup{
	three:  brainer(3),
	routed: brainer(3, "--near-cache", "0"),
	one:    brainer(1),
	// The log window ends before the first key, so a new node needs a snapshot.
	shortLog: brainer(1, "--window-bytes", "4194304"),
	embedded: brainer(0),
	redis: {[]string{"redis-server"}, func(ctx context.Context, _ string, _ bool) (*system.System, error) {
		return system.Redis(ctx, 0)
	}},
	replicas: {[]string{"redis-server"}, func(ctx context.Context, _ string, _ bool) (*system.System, error) {
		return system.Redis(ctx, 2)
	}},
	floor: {nil, func(ctx context.Context, _ string, _ bool) (*system.System, error) {
		return system.Floor(ctx)
	}},
	proxy: {[]string{"nutcracker", "redis-server"}, func(ctx context.Context, _ string, _ bool) (*system.System, error) {
		return system.Nutcracker(ctx, 3)
	}},
}

const (
	three    = "brainer, 3 nodes"
	routed   = "brainer, 3 nodes, near cache off"
	one      = "brainer, 1 node"
	shortLog = "brainer, 1 node, short log"
	embedded = "brainer, embedded node"
	redis    = "redis-server"
	replicas = "redis-server + 2 replicas"
	floor    = "redcon and a map"
	proxy    = "nutcracker + 3 redis-servers"

	// other marks a system of the programs that -than names.
	other = " (-than)"
)

// than is the row with other programs of ours as its peer.
func (r row) than() row {
	r.Peer, r.Goal = r.Ours, goal{}
	r.Peer.System += other
	return r
}

// missing names the first program that the row needs and that is not there.
func (r row) missing() string {
	for _, p := range append(systems[r.Ours.System].programs, systems[r.Peer.System].programs...) {
		if _, err := exec.LookPath(p); err != nil {
			return p
		}
	}
	return ""
}

// allRows is the table. Rows that use the same systems stand together: those then stay up.
func allRows(o options) []row {
	base := load.Work{Conns: 50, Pipeline: 1, Keys: 100_000, ValueBytes: 64, Threads: o.threads}
	get := with(base, func(w *load.Work) { w.Reads = 100 })
	deep := func(w *load.Work) { w.Pipeline = 16 }
	wait := func(w *load.Work) { w.Barrier, w.BarrierReply = []string{"WAIT", "2", "0"}, ":2\r\n" }
	primary := func(w *load.Work) { w.Prelude = []string{"BRAINER", "ACK", "primary"} }
	many := load.Work{Conns: 50, Pipeline: 64, Keys: o.keys, ValueBytes: 64, Threads: o.threads}
	same := func(name, title, ours, peer string, w load.Work, g goal) row {
		return throughput(name, title, side{ours, w}, side{peer, w}, g)
	}
	rows := []row{
		same("get", "GET, no pipelining, 3 nodes, near cache off", routed, proxy, get, goal{AtLeast: 1}),
		same("get-p16", "GET, pipelines of 16, 3 nodes, near cache off", routed, proxy, with(get, deep), goal{AtLeast: 1.5}),
		throughput("set", "SET to 3 nodes, all acknowledging, no pipelining; peer: SET then WAIT 2",
			side{three, base}, side{replicas, with(base, wait)}, goal{AtLeast: 1}),
		throughput("set-p16", "SET to 3 nodes, all acknowledging, pipelines of 16; peer: one WAIT 2 per pipeline",
			side{three, with(base, deep)}, side{replicas, with(base, deep, wait)}, goal{AtLeast: 1.3}),
		same("embedded-get-p16", "GET, pipelines of 16, the broker alone with its embedded node", embedded, redis, with(get, deep), goal{AtLeast: 0.9}),
		same("embedded-set-p16", "SET, pipelines of 16, the broker alone with its embedded node", embedded, redis, with(base, deep), goal{AtLeast: 0.9}),
		{Name: "join", Title: "a further copy of all keys by snapshot, from its start until it is in sync; peer: full sync of a new replica", Unit: "s",
			Ours: side{shortLog, many}, Peer: side{redis, many}, Goal: goal{AtMost: 1}, measure: join},
		{Name: "memory", Title: "resident bytes for each key, one node", Unit: "B/key",
			Ours: side{one, many}, Peer: side{redis, many}, Goal: goal{AtMost: 1.1}, measure: memory},
		{Name: "idle", Title: "CPU of the busiest process while nothing is asked", Unit: "% of a core",
			Ours: side{three, base}, Peer: side{replicas, base}, Goal: goal{Below: 1}, Once: true, measure: idle},
	}
	further := []row{
		{Name: "join-log", Title: "the same while the log window still holds every entry: no snapshot", Unit: "s",
			Ours: side{one, many}, Peer: side{redis, many}, measure: join},
		same("embedded-get", "GET, no pipelining, the broker alone with its embedded node", embedded, redis, get, goal{}),
		same("embedded-set", "SET, no pipelining, the broker alone with its embedded node", embedded, redis, base, goal{}),
		throughput("set-primary-p16", "SET, ack primary, pipelines of 16; peer: no replication",
			side{three, with(base, deep, primary)}, side{proxy, with(base, deep)}, goal{AtLeast: 1}),
		same("get-zipf", "GET, zipf 1.1 keys, no pipelining", three, redis, with(get, zipf), goal{AtLeast: 0.85}),
		same("get-zipf-p16", "GET, zipf 1.1 keys, pipelines of 16", three, redis, with(get, zipf, deep), goal{AtLeast: 0.9}),
		throughput("mixed-zipf", "90 % GET, 10 % SET, zipf 1.1 keys, no pipelining; peer: WAIT 2 behind each command",
			side{three, with(base, zipf, mixed)}, side{replicas, with(base, zipf, mixed, wait)}, goal{AtLeast: 1.2}),
		same("get-16k", "GET of 16 KB, no pipelining, near cache off", routed, proxy, with(get, sized(16<<10, 2000)), goal{AtLeast: 0.8}),
		throughput("set-16k", "SET of 16 KB, no pipelining; peer: SET then WAIT 2",
			side{three, with(base, sized(16<<10, 2000))}, side{replicas, with(base, sized(16<<10, 2000), wait)}, goal{AtLeast: 0.8}),
		same("get-1m", "GET of 1 MB, no pipelining, near cache off", routed, proxy, with(get, sized(1<<20, 50)), goal{AtLeast: 0.8}),
		throughput("set-1m", "SET of 1 MB, no pipelining; peer: SET then WAIT 2",
			side{three, with(base, sized(1<<20, 50))}, side{replicas, with(base, sized(1<<20, 50), wait)}, goal{AtLeast: 0.8}),
		same("get-1000c", "GET, 1,000 connections, near cache off", routed, proxy, with(get, conns(1000)), goal{AtLeast: 1}),
		same("get-10000c", "GET, 10,000 connections, near cache off", routed, proxy, with(get, conns(9900)), goal{AtLeast: 1}),
	}
	for _, w := range []struct {
		name, title string
		work        load.Work
	}{
		{"get", "GET, no pipelining", get}, {"set", "SET, no pipelining", base},
		{"get-p16", "GET, pipelines of 16", with(get, deep)}, {"set-p16", "SET, pipelines of 16", with(base, deep)},
	} {
		further = append(further, same("floor-"+w.name, w.title+", the broker alone; peer: the least that a server in Go costs", embedded, floor, w.work, goal{}))
	}
	for _, r := range further {
		r.Extra = true
		rows = append(rows, r)
	}
	return rows
}

func with(w load.Work, changes ...func(*load.Work)) load.Work {
	for _, change := range changes {
		change(&w)
	}
	return w
}

func zipf(w *load.Work)  { w.Zipf = 1.1 }
func mixed(w *load.Work) { w.Reads = 90 }

func sized(valueBytes, keys int) func(*load.Work) {
	return func(w *load.Work) { w.ValueBytes, w.Keys = valueBytes, keys }
}

func conns(n int) func(*load.Work) { return func(w *load.Work) { w.Conns = n } }

// throughput is a row that compares commands per second.
func throughput(name, title string, ours, peer side, g goal) row {
	return row{Name: name, Title: title, Unit: "op/s", Ours: ours, Peer: peer, Goal: g, measure: work}
}

// work asks a filled system for a while.
func work(ctx context.Context, r *runner, s side) (sample, error) {
	sys, err := r.filled(ctx, s)
	if err != nil {
		return sample{}, err
	}
	return ask(ctx, sys, s.Work, r.duration)
}

// ask runs w against sys and accounts for the CPU.
func ask(ctx context.Context, sys *system.System, w load.Work, d time.Duration) (sample, error) {
	session, err := load.Dial(sys.Address, w)
	if err != nil {
		return sample{}, err
	}
	defer session.Close()
	before, err := readMeters(sys)
	if err != nil {
		return sample{}, err
	}
	result, err := session.Run(ctx, d)
	if err != nil {
		return sample{}, err
	}
	after, err := readMeters(sys)
	if err != nil {
		return sample{}, err
	}
	s := sample{Value: result.PerSecond(), Errors: result.Errors + result.Misses, FirstError: result.FirstError}
	if result.Misses > 0 && s.FirstError == "" {
		s.FirstError = "keys are missing"
	}
	s.P50, s.P99, s.P999 = micros(result.Latency.Quantile(0.5)), micros(result.Latency.Quantile(0.99)), micros(result.Latency.Quantile(0.999))
	s.Max = micros(result.Latency.Quantile(1))
	s.account(before, after, float64(result.Commands))
	return s, nil
}

// join lets a new copy come, load everything and go.
func join(ctx context.Context, r *runner, s side) (sample, error) {
	sys, err := r.filled(ctx, s)
	if err != nil {
		return sample{}, err
	}
	j, err := sys.Join(ctx, int64(s.Work.Keys))
	if err != nil {
		return sample{}, err
	}
	out := sample{Value: j.Total.Seconds(), More: map[string]float64{
		"snapshot_s": j.Snapshot.Seconds(), "joiner_cpu_s": j.JoinerCPU.Seconds(),
		"joiner_resident_mb": megabytes(j.JoinerResident), "joiner_peak_mb": megabytes(j.JoinerPeak),
		"donor_resident_mb": megabytes(j.DonorResident), "donor_peak_mb": megabytes(j.DonorPeak),
	}}
	if strings.HasPrefix(s.System, shortLog) && !j.BySnapshot {
		out.Errors, out.FirstError = 1, "the joiner needed no snapshot"
	}
	if j.Keys != int64(s.Work.Keys) {
		out.Errors, out.FirstError = 1, fmt.Sprintf("the joiner has %d keys", j.Keys)
	}
	return out, nil
}

// memory fills a new system and sees by how much its copies grew.
func memory(ctx context.Context, r *runner, s side) (sample, error) {
	r.stop()
	sys, err := r.start(ctx, s.System)
	if err != nil {
		return sample{}, err
	}
	holder := sys.Processes[len(sys.Processes)-1] // the node, or redis-server
	before, _, err := holder.Memory()
	if err != nil {
		return sample{}, err
	}
	sys, err = r.filled(ctx, s)
	if err != nil {
		return sample{}, err
	}
	now, peak, err := holder.Memory()
	if err != nil {
		return sample{}, err
	}
	keys := float64(s.Work.Keys)
	out := sample{Value: float64(now-before) / keys, More: map[string]float64{"peak_b_per_key": float64(peak-before) / keys}}
	if first := sys.Processes[0]; first != holder {
		resident, _, err := first.Memory()
		if err != nil {
			return sample{}, err
		}
		out.More["broker_resident_mb"] = megabytes(resident)
	}
	return out, nil
}

// idle asks nothing.
func idle(ctx context.Context, r *runner, s side) (sample, error) {
	sys, err := r.filled(ctx, s)
	if err != nil {
		return sample{}, err
	}
	// What the fill left to do is not idleness.
	if err := pause(ctx, min(2*time.Second, r.duration)); err != nil {
		return sample{}, err
	}
	const runs = 5 // times as long as a run under load: there is little to see
	type used struct {
		role string
		from time.Duration
	}
	var from []used
	began := time.Now()
	for _, p := range sys.Processes {
		cpu, err := p.CPU()
		if err != nil {
			return sample{}, err
		}
		from = append(from, used{p.Role, cpu})
	}
	if err := pause(ctx, runs*r.duration); err != nil {
		return sample{}, err
	}
	elapsed := time.Since(began)
	out := sample{More: map[string]float64{}}
	for i, p := range sys.Processes {
		cpu, err := p.CPU()
		if err != nil {
			return sample{}, err
		}
		percent := 100 * (cpu - from[i].from).Seconds() / elapsed.Seconds()
		out.Value = max(out.Value, percent)
		key := from[i].role + "_percent"
		out.More[key] = max(out.More[key], percent)
	}
	return out, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func megabytes(n int64) float64 { return float64(n) / (1 << 20) }
