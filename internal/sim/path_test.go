package sim

import (
	"fmt"
	"testing"

	"brainer/broker/replication"
	"brainer/internal/command"
	"brainer/internal/op"
	"brainer/internal/wire"
	"brainer/node/replica"
	"brainer/resp"
)

// path is a core with replicas, whose frames are handed over at once: what commands cost without sockets.
type path struct {
	t        testing.TB
	core     *replication.Core
	replicas map[string]*replica.Replica
	order    []string
	nowUs    int64
	ops      []op.Op
	answered int
	wire     [][]byte // frames on their way
	peers    []string // to whom
}

const pathBatch = 64 // commands that come at once

func newPath(t testing.TB, nodes int, nearBytes int64) *path {
	cfg, drawn := replication.DefaultConfig(), uint64(0)
	cfg.Rand = func() uint64 { drawn++; return drawn }
	cfg.BrokerRun, cfg.NearBytes = 1, nearBytes
	p := &path{t: t, nowUs: 1_000_000_000, replicas: map[string]*replica.Replica{}, ops: make([]op.Op, pathBatch)}
	p.core = replication.New(cfg, replication.View{}, p.nowUs)
	p.settle()
	for i := range nodes {
		rc := replica.DefaultConfig()
		rc.NodeID, rc.Incarnation, rc.Table, rc.Rand = fmt.Sprint("n", i+1), uint64(i+1), table, cfg.Rand
		r := replica.New(rc)
		p.replicas[rc.NodeID] = r
		p.order = append(p.order, rc.NodeID)
		r.Open(uint64(i + 1))
		p.take(rc.NodeID, r)
		for range 200 {
			p.nowUs += 20_000
			p.beats()
			p.core.Tick(p.nowUs)
			p.settle()
		}
	}
	s := p.core.Status(p.nowUs)
	for _, n := range s.Nodes {
		if !n.InSync || s.State != "active" || s.Safe != s.Index {
			t.Fatalf("%+v", s)
		}
	}
	return p
}

// beats has each replica say that it lives.
func (p *path) beats() {
	for _, id := range p.order {
		r := p.replicas[id]
		session, epoch := r.Session()
		b := r.Beat(0)
		p.core.Receive(p.nowUs, id, b.Append(nil, wire.Header{Epoch: epoch, Session: session, Version: r.Version()}))
	}
}

// take hands what a replica has put out to the core.
func (p *path) take(id string, r *replica.Replica) {
	for _, f := range r.Out {
		p.core.Receive(p.nowUs, id, f.Joined())
	}
}

// settle performs what the core puts out until there is nothing more.
func (p *path) settle() {
	for out := &p.core.Out; ; {
		p.core.Flush(p.nowUs)
		if len(out.Frames)+len(out.Answered) == 0 && out.Store == nil {
			out.Events, out.Acks = out.Events[:0], out.Acks[:0]
			return
		}
		for len(p.wire) < len(out.Frames) {
			p.wire = append(p.wire, nil)
		}
		p.peers = p.peers[:0]
		for i, f := range out.Frames { // which last until the core is called
			p.wire[i] = append(p.wire[i][:0], f.Bytes...)
			p.peers = append(p.peers, f.Peer)
		}
		out.Frames = out.Frames[:0]
		for i, peer := range p.peers {
			if r := p.replicas[peer]; r != nil {
				r.Receive(p.wire[i])
				p.take(peer, r)
				for r.Busy() {
					r.Step()
					p.take(peer, r)
				}
			}
		}
		p.answered += len(out.Answered)
		out.Answered = out.Answered[:0]
		if v := out.Store; v != nil {
			out.Store = nil
			p.core.ViewStored(p.nowUs, v.No)
		}
	}
}

// do has the same commands done as one batch.
func (p *path) do(kind op.Kind, bodies [][]byte, keys []uint64, near bool) {
	p.nowUs += 100
	for i := range p.ops {
		k := i % len(bodies)
		p.ops[i] = op.Op{Kind: kind, Proto: 2, Keys: keys[k : k+1], Body: bodies[k], Near: near}
		p.core.Submit(p.nowUs, &p.ops[i])
	}
	p.settle()
	if p.nowUs%50_000 == 0 {
		p.beats()
		p.core.Tick(p.nowUs)
	}
}

// pathCommands are a command on each of some keys.
func pathCommands(name string, more ...[]byte) (bodies [][]byte, keys []uint64) {
	for i := range pathBatch {
		key := fmt.Appendf(nil, "key:%012d", i)
		bodies = append(bodies, resp.AppendCommand(nil, append([][]byte{[]byte(name), key}, more...)...))
		keys = append(keys, command.KeyHash(0, key))
	}
	return bodies, keys
}

// pathKinds are what is measured, and how many allocations a command may make: those that are made once for a turn, by
// pathBatch commands.
var pathKinds = []struct {
	name   string
	nodes  int
	near   int64
	kind   op.Kind
	allocs float64
}{
	{"SET to 1 node", 1, 0, op.Write, 0.1},
	{"SET to 3 nodes", 3, 0, op.Write, 0.2},
	{"GET from 3 nodes", 3, 0, op.Read, 0.15},
	{"GET near", 3, 1 << 20, op.Read, 0},
}

func (p *path) runner(kind op.Kind) (do func()) {
	value := make([]byte, 64)
	sets, keys := pathCommands("SET", value)
	gets, _ := pathCommands("GET")
	p.do(op.Write, sets, keys, false)
	if kind == op.Write {
		return func() { p.do(op.Write, sets, keys, false) }
	}
	for range 3 {
		p.do(op.Read, gets, keys, true)
	}
	return func() { p.do(op.Read, gets, keys, true) }
}

// What is allocated does not grow with the commands: it is a turn's, of which there is one for many.
func TestCommandsAllocateNothing(t *testing.T) {
	for _, k := range pathKinds {
		t.Run(k.name, func(t *testing.T) {
			p := newPath(t, k.nodes, k.near)
			do := p.runner(k.kind)
			for range 3000 {
				do()
			}
			before := p.answered
			const runs = 500
			perRun := testing.AllocsPerRun(runs, do)
			if n := p.answered - before; n != (runs+1)*pathBatch {
				t.Fatalf("%d answers", n)
			}
			if perCommand := perRun / pathBatch; perCommand > k.allocs {
				t.Errorf("%.2f allocations a command, of at most %.2f", perCommand, k.allocs)
			} else {
				t.Logf("%.3f allocations a command", perCommand)
			}
		})
	}
}

// BenchmarkCommand is what a command costs broker's core and replicas together, in batches of 64.
func BenchmarkCommand(b *testing.B) {
	for _, k := range pathKinds {
		b.Run(k.name, func(b *testing.B) {
			do := newPath(b, k.nodes, k.near).runner(k.kind)
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += pathBatch {
				do()
			}
		})
	}
}
