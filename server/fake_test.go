package server

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"brainer/internal/command"
	"brainer/internal/eviction"
	"brainer/internal/keyspace"
	"brainer/internal/op"
	"brainer/internal/redistest"
	"brainer/resp"
)

// fakeBackend runs everything on one keyspace, in its own goroutine, as one node that is always in
// sync would.
type fakeBackend struct {
	table *command.Table
	in    chan *op.Batch
	done  chan struct{}

	refuse  atomic.Pointer[string] // answer everything so, executing nothing
	hold    chan struct{}          // when set, answering waits for it
	batch   func(ops int)          // when set, called for every batch
	each    func(*op.Op)           // when set, called for every Op before it runs
	drop    func(*op.Op) bool      // when set, says whose reply is not kept
	holding atomic.Bool
	busy    atomic.Bool // TrySubmit is refused

	nodes atomic.Int32 // 1 or 2, in Status

	mu     sync.Mutex
	memory eviction.Settings // the data takes 1000 bytes

	// Of the goroutine.
	ctx     command.Ctx
	index   uint64
	watches map[uint64]map[string]bool // token -> db and key
	dirty   map[uint64]bool

	tail atomic.Uint64
}

func newFakeBackend() *fakeBackend {
	b := &fakeBackend{
		table:   command.NewTable(),
		in:      make(chan *op.Batch, 1000),
		done:    make(chan struct{}),
		watches: map[uint64]map[string]bool{},
		dirty:   map[uint64]bool{},
		memory:  eviction.Default,
	}
	b.ctx = command.Ctx{KS: keyspace.New(), W: &resp.Writer{}}
	b.ctx.KS.SetHooks(keyspace.Hooks{Changed: func(db int, key []byte) {
		for token, keys := range b.watches {
			if keys[watchName(db, key)] {
				b.dirty[token] = true
			}
		}
	}})
	go b.run()
	return b
}

func watchName(db int, key []byte) string { return string(rune(db)) + string(key) }

func (b *fakeBackend) Submit(batch *op.Batch) { b.in <- batch }

func (b *fakeBackend) TrySubmit(batch *op.Batch) bool {
	if b.busy.Load() {
		return false
	}
	select {
	case b.in <- batch:
		return true
	default:
		return false
	}
}

func (b *fakeBackend) close() {
	close(b.in)
	<-b.done
}

func (b *fakeBackend) Status() op.Status {
	index := b.tail.Load()
	nodes := []op.NodeStatus{
		{ID: "n1", Endpoint: "inproc://node", State: "live", Up: true, InSync: true, Embedded: true, Applied: index},
		{ID: "n2", Endpoint: "tcp://127.0.0.1:7001", State: "live", Up: true, InSync: true, Applied: index},
	}
	return op.Status{
		State: "active", Leader: true, Epoch: 1, ViewNo: 1, Index: index, Safe: index, MinInSync: 1, Ack: op.AckAll,
		Memory: op.Memory{Settings: b.settings(), UsedBytes: 1000},
		Nodes:  nodes[:max(1, int(b.nodes.Load()))],
		Hot:    []op.HotKey{{Key: []byte("k"), Reads: 5, Writes: 1, Spread: true}, {DB: 2, Key: []byte("j"), Writes: 3}},
	}
}

func (b *fakeBackend) SetMemory(change func(*eviction.Settings)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.memory)
}

func (b *fakeBackend) settings() eviction.Settings {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.memory
}

func (b *fakeBackend) NotServing() string {
	if text := b.refuse.Load(); text != nil && (strings.HasPrefix(*text, "LOADING ") || strings.HasPrefix(*text, "CLUSTERDOWN ")) {
		return *text
	}
	return ""
}

func (b *fakeBackend) OutOfMemory() bool {
	limit := b.settings().LimitBytes
	return limit > 0 && limit < 1000
}

func (b *fakeBackend) run() {
	defer close(b.done)
	for batch := range b.in {
		if b.hold != nil {
			b.holding.Store(true)
			<-b.hold
		}
		ops := batch.Ops // the last Answer gives the batch back
		if f := b.batch; f != nil {
			f(len(ops))
		}
		for i := range ops {
			o := &ops[i]
			if f := b.each; f != nil {
				f(o)
			}
			reply := b.execute(o)
			if b.drop != nil && b.drop(o) {
				o.Dropped, reply = true, nil
			}
			if f := o.OnSafe; f != nil && reply[0] != '-' {
				o.Reply = reply
				f(o)
			}
			o.Answer(reply)
		}
	}
}

func (b *fakeBackend) execute(o *op.Op) []byte {
	if text := b.refuse.Load(); text != nil {
		return []byte("-" + *text + "\r\n")
	}
	switch {
	case o.DenyOOM && b.OutOfMemory() && o.Kind == op.Txn:
		return []byte("-" + errExecRejected + errOOM + "\r\n")
	case o.DenyOOM && b.OutOfMemory():
		return []byte("-" + errOOM + "\r\n")
	}
	c := &b.ctx
	c.W.Reset(int(o.Proto))
	c.DB, c.NowMs = int(o.DB), time.Now().UnixMilli()
	c.Seed++
	if o.Kind == op.Write || o.Kind == op.Txn {
		b.index++
		o.Index = b.index
		b.tail.Store(b.index)
	}
	switch o.Kind {
	case op.Read, op.Write:
		c.Args, _, _ = command.SplitCommand(o.Body, c.Args[:0])
		command.Execute(c, b.table)
	case op.Txn:
		dirty := b.dirty[o.Token]
		delete(b.dirty, o.Token)
		delete(b.watches, o.Token)
		if dirty && o.Token != 0 {
			c.W.NullArray()
		} else if err := command.RunTxn(c, b.table, o.Body); err != nil {
			c.W.Error("ERR " + err.Error())
		}
	case op.Watch:
		args, _, _ := command.SplitCommand(o.Body, nil)
		if b.watches[o.Token] == nil {
			b.watches[o.Token] = map[string]bool{}
		}
		for _, key := range args[1:] {
			b.watches[o.Token][watchName(c.DB, key)] = true
		}
		c.W.OK()
	case op.Unwatch:
		delete(b.dirty, o.Token)
		delete(b.watches, o.Token)
		c.W.OK()
	case op.Barrier:
		c.W.Int(int64(max(1, b.nodes.Load()) - 1))
	}
	return bytes.Clone(c.W.B)
}

// testServer is a server on a port of its own, in front of a fake backend.
type testServer struct {
	*Server
	backend *fakeBackend
	addr    string
}

func startServer(t testing.TB, change func(*Options)) *testServer {
	t.Helper()
	backend := newFakeBackend()
	opts := Options{Table: backend.table, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Version: "test"}
	if change != nil {
		change(&opts)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &testServer{Server: New(backend, opts), backend: backend, addr: ln.Addr().String()}
	var wg sync.WaitGroup
	endLoop := func() {}
	if withLoop {
		endLoop = s.runLoop(t)
	}
	wg.Go(func() {
		if err := s.Serve(ln); err != nil && err != ErrClosed { // a short test may end before this goroutine begins
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error("shutdown:", err)
		}
		wg.Wait()
		endLoop()
		backend.close()
	})
	return s
}

func (s *testServer) dial(t testing.TB) *redistest.Client { return redistest.Dial(t, s.addr) }

// raw is a connection for bytes that are no commands.
func (s *testServer) raw(t testing.TB) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// patience is how long a test waits for what must happen: it costs nothing when it does.
const patience = 30 * time.Second

// await waits until ok.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, patience)
		}
		time.Sleep(time.Millisecond)
	}
}

func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
