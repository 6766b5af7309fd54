package broker_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"brainer/broker"
	"brainer/broker/replication"
	"brainer/internal/command"
	"brainer/internal/link/mem"
	"brainer/internal/op"
	"brainer/node"
	"brainer/node/replica"
	"brainer/resp"
)

// memStore keeps the record for as long as the test runs.
type memStore struct{ v replication.View }

func (s *memStore) Load() (replication.View, error) { return s.v, nil }
func (s *memStore) Save(v replication.View) error   { s.v = v; return nil }

func testLog() *slog.Logger {
	level := slog.LevelError
	if testing.Verbose() {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

func startBroker(t *testing.T, net *mem.Network, store broker.ViewStore) (*broker.Broker, func()) {
	t.Helper()
	cfg := replication.DefaultConfig()
	cfg.BrokerRun, cfg.Rand = rand.Uint64(), rand.Uint64
	b, err := broker.New(broker.Config{Core: cfg, Endpoint: "b", Transport: net, Store: store, Log: testLog()})
	if err != nil {
		t.Fatal(err)
	}
	return b, run(t, b.Run)
}

func startNode(t *testing.T, net *mem.Network, id string) (*node.Node, func()) {
	t.Helper()
	return startNodeWith(t, net, id, nil)
}

func startNodeWith(t *testing.T, net *mem.Network, id string, change func(*node.Config)) (*node.Node, func()) {
	t.Helper()
	cfg := replica.DefaultConfig()
	cfg.NodeID, cfg.Incarnation, cfg.Rand, cfg.Table = id, rand.Uint64(), rand.Uint64, command.NewTable()
	c := node.Config{Replica: cfg, Broker: "b", Transport: net, Log: testLog().With("node", id)}
	if change != nil {
		change(&c)
	}
	n, err := node.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return n, run(t, n.Run)
}

func run(t *testing.T, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := f(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func do(t *testing.T, b *broker.Broker, args ...string) string {
	t.Helper()
	raw := make([][]byte, len(args))
	for i, a := range args {
		raw[i] = []byte(a)
	}
	row := command.NewTable().Lookup(raw[0])
	batch := op.NewBatch()
	kind := op.Write
	if row.Flags&command.ReadOnly != 0 {
		kind = op.Read
	}
	batch.Ops = append(batch.Ops, op.Op{Kind: kind, Proto: 2, Keys: row.AppendKeyHashes(nil, 0, raw), Body: resp.AppendCommand(nil, raw...)})
	batch.Begin()
	b.Submit(batch)
	select {
	case <-batch.Done():
		return string(batch.Ops[0].Reply)
	case <-time.After(patience):
		t.Fatalf("%v: no answer; %+v", args, b.Status())
		return ""
	}
}

// patience is how long a test waits for what must happen: it costs nothing when it does.
const patience = 30 * time.Second

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: did not come", what)
}

func inSync(b *broker.Broker) int {
	k := 0
	for _, n := range b.Status().Nodes {
		if n.InSync {
			k++
		}
	}
	return k
}

func TestWriteIsReadFromAnyNode(t *testing.T) {
	net := mem.New()
	b, _ := startBroker(t, net, &memStore{})
	_, stop1 := startNode(t, net, "n1")
	await(t, "n1 in sync", func() bool { return inSync(b) == 1 })
	await(t, "active", func() bool { return b.Status().State == "active" })
	if got := do(t, b, "SET", "k", "v"); got != "+OK\r\n" {
		t.Fatalf("SET: %q", got)
	}
	startNode(t, net, "n2")
	await(t, "n2 in sync", func() bool { return inSync(b) == 2 })
	if got := do(t, b, "INCR", "n"); got != ":1\r\n" {
		t.Fatalf("INCR: %q", got)
	}
	stop1()
	await(t, "n1 left", func() bool { return inSync(b) == 1 })
	if got := do(t, b, "GET", "k"); got != "$1\r\nv\r\n" {
		t.Fatalf("GET: %q", got)
	}
}
