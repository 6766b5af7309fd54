package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"brainer/broker/replication"
	"brainer/internal/link"
	"brainer/internal/op"
	"brainer/internal/wire"
)

// Observer is told how long things took, for metrics. The owner goroutine calls it.
type Observer interface {
	WriteAcked(ack op.Ack, seconds float64)
	NodeAcked(node string, seconds float64)
}

// Config is what a Broker is made of.
type Config struct {
	Core      replication.Config
	Endpoint  string // where nodes and ZeroMQ clients dial
	Transport link.Transport
	Store     ViewStore
	Log       *slog.Logger
	Observer  Observer       // may be nil
	Serve     func(net.Conn) // serves a RESP client; set with SetServe when it is made later
	NowUs     func() int64   // microseconds; nil: the system's clock
	Inflight  int64          // request bytes of clients that are not answered yet; more waits
	Waiting   time.Duration  // how long it waits before -TRYAGAIN
}

const (
	tick            = 20 * time.Millisecond // how often the core is told the time while something waits
	idleTick        = 95 * time.Millisecond // and while nothing does: nodes answer its heartbeats with theirs, before these are due
	inflightDefault = 64 << 20
	slowStore       = 500 * time.Millisecond // of writing the record: worth a word
	receiveMax      = 1024                   // messages taken in before turns are sent
	atOnceUs        = 1000                   // microseconds for which it is taken that clients are answered without a node
	askMax          = 5 * time.Second        // for the owner goroutine to take a question
	sliceBytes      = 4 << 20                // moved before heartbeats and time get their turn
)

// Broker is the shell around the core.
type Broker struct {
	cfg    Config
	core   *replication.Core
	router link.Router
	placer link.Placer // the router, if it is one
	log    *slog.Logger

	mu        sync.Mutex
	submitted []*op.Batch
	asleep    bool
	stopped   bool

	calls  chan call
	stored chan storeResult
	ended  chan struct{} // closed when Run has returned

	// The owner goroutine's.
	batches  []*op.Batch
	tickedUs int64
	sent     bool  // something was sent since the socket was last found empty
	failed   error // the record cannot be written: the end
	idle     atomic.Bool
	noMemory atomic.Bool

	notServing atomic.Pointer[string]
	crowd      crowd
	atOnceUs   int64 // when something was answered without a node
	readers    map[uint64]*Snapshot

	inflight *inflight
	clients  *clients
	serve    atomic.Pointer[func(net.Conn)]
	beside   Beside
	storing  chan replication.View
}

type storeResult struct {
	no  uint64
	err error
}

// New binds the endpoint and reads the record of the in-sync set. Run does the rest.
func New(cfg Config) (*Broker, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.NowUs == nil {
		cfg.NowUs = systemClock()
	}
	if cfg.Inflight == 0 {
		cfg.Inflight = inflightDefault
	}
	if cfg.Waiting == 0 {
		cfg.Waiting = time.Second
	}
	view, err := cfg.Store.Load()
	if err != nil {
		return nil, err
	}
	router, err := cfg.Transport.Bind(cfg.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("--broker: %w", err)
	}
	b := &Broker{cfg: cfg, router: router, log: cfg.Log, calls: make(chan call, 64), ended: make(chan struct{}), readers: map[uint64]*Snapshot{},
		stored: make(chan storeResult, 1), storing: make(chan replication.View, 1)}
	b.inflight = newInflight(cfg.Inflight)
	b.clients = newClients(b)
	if cfg.Serve != nil {
		b.SetServe(cfg.Serve)
	}
	b.core = replication.New(cfg.Core, view, cfg.NowUs())
	if p, ok := router.(link.Placer); ok {
		b.placer = p
		p.SetPlace(wire.HeaderBytes, b.core.Place)
	}
	text := b.core.NotServing()
	b.notServing.Store(&text)
	return b, nil
}

// Beside is worked on by the owner goroutine, so that what it submits, and the answers, wake nobody.
type Beside interface {
	Work() (worked bool) // without waiting
	Pending() bool       // there is something to do that Descriptor does not tell
	Descriptor() int     // readable when there is something to do
}

// SetBeside gives the owner goroutine a front end to work on, too. Call it before Run.
func (b *Broker) SetBeside(beside Beside) { b.beside = beside }

// SetServe says who serves RESP clients that come through ZeroMQ.
func (b *Broker) SetServe(serve func(net.Conn)) { b.serve.Store(&serve) }

// Endpoint is where nodes dial.
func (b *Broker) Endpoint() string { return b.router.Endpoint() }

// systemClock is the wall clock at the start, moved on by the monotonic one: it never goes back.
func systemClock() func() int64 {
	start := time.Now()
	base := start.UnixMicro()
	return func() int64 { return base + time.Since(start).Microseconds() }
}

// Run owns the core and the socket until ctx ends; what is in flight then is answered as far as it
// is known. It returns an error when the record of the in-sync set cannot be written.
func (b *Broker) Run(ctx context.Context) error {
	storeDone := make(chan struct{})
	go func() {
		defer close(storeDone)
		for v := range b.storing {
			began := time.Now()
			err := b.cfg.Store.Save(v)
			if took := time.Since(began); took > slowStore {
				b.log.Warn("the record of the in-sync set was slow to write: what waits for it are writes; is the disk of --state-dir busy?",
					"took", took.Round(time.Millisecond))
			}
			b.stored <- storeResult{v.No, err}
			b.Kick()
		}
	}()
	defer func() {
		close(b.storing)
		select {
		case <-b.stored:
		case <-storeDone:
		}
		<-storeDone
		b.stop()
	}()
	stopKick := context.AfterFunc(ctx, b.Kick)
	defer stopKick()
	stopTimer := b.startTimer()
	defer stopTimer()
	b.tickedUs = b.cfg.NowUs()
	b.perform()
	var fds []int
	if b.beside != nil {
		fds = append(fds, b.beside.Descriptor())
	}
	err := b.router.Serve(func() bool { return b.work(ctx) }, fds...)
	if b.failed != nil {
		return b.failed
	}
	return err
}

// startTimer wakes the owner when time has to pass, more rarely while nothing waits for it.
func (b *Broker) startTimer() (stop func()) {
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		timer := time.NewTimer(tick)
		defer timer.Stop()
		for {
			select {
			case <-timer.C:
				b.Kick()
				if b.idle.Load() {
					timer.Reset(idleTick)
				} else {
					timer.Reset(tick)
				}
			case <-done:
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}

// work does all that there is to do; done ends the broker. When it returns false the owner may sleep:
// the socket was found empty behind the last send, and whoever has something else will kick.
func (b *Broker) work(ctx context.Context) (done bool) {
	b.mu.Lock()
	b.asleep = false
	b.mu.Unlock()
	b.yield()
	for {
		if ctx.Err() != nil || b.failed != nil {
			return true
		}
		worked := b.beside != nil && b.beside.Work()
		b.batches = b.takeSubmitted(b.batches[:0])
		if len(b.batches) > 0 {
			worked = true
			b.takeIn()
		}
		b.sent = false
		worked = b.receive() || worked
		worked = b.clients.flush() || worked
		now := b.cfg.NowUs()
		if now-b.tickedUs >= tick.Microseconds() {
			b.tickedUs = now
			b.core.Tick(now)
			b.noMemory.Store(b.core.OutOfMemory())
		}
		if text := b.core.NotServing(); text != *b.notServing.Load() { // before replies go out that say otherwise
			b.notServing.Store(&text)
		}
		held := b.crowd.gathers(now) && b.core.NodesAfar()
		if !held {
			b.crowd.left(now)
			b.core.Flush(now)
		}
		b.perform()
		select {
		case c := <-b.calls:
			b.answerCall(c)
			worked = true
		case r := <-b.stored:
			b.failed = b.viewStored(r)
			worked = true
		default:
		}
		if worked || b.sent {
			b.yield()
			continue
		}
		idle := b.core.Idle() && len(b.clients.blocked) == 0
		b.idle.Store(idle)
		if b.fallAsleep() {
			b.router.NextWait(b.nextWait(now, idle, held))
			return false
		}
	}
}

// nextWait is how long the owner may sleep at most, as far as the core does not only wait for ticks. While nodes are to
// answer soon it is woken fast. Clients that are answered at once come back one by one, and a slower wake-up is
// cheaper: more of them have come then.
func (b *Broker) nextWait(now int64, idle, held bool) (d time.Duration, alone bool) {
	switch at := b.core.FlushAt(); {
	case b.crowd.waits(now) && b.core.NodesAfar():
		return gatherUs * time.Microsecond, true
	case held:
		return gatherUs * time.Microsecond, false
	case at > 0:
		return max(time.Duration(at-now), 1) * time.Microsecond, false
	case idle || now-b.atOnceUs < atOnceUs:
		return -1, false
	}
	return 0, false
}

// takeIn has the core take what was submitted, and answers what needs no node.
func (b *Broker) takeIn() {
	now := b.cfg.NowUs()
	ops := 0
	for _, batch := range b.batches {
		ops += len(batch.Ops)
		for i := range batch.Ops {
			b.core.Submit(now, &batch.Ops[i])
		}
	}
	ops -= len(b.core.Out.Answered)
	atOnce := b.answer()
	b.crowd.take(len(b.batches)-atOnce, ops, now)
	if atOnce > 0 {
		b.atOnceUs = now
	}
	clear(b.batches)
}

// yield lets goroutines run that may have something for the same turns. A front end beside it has none
// that do, and yielding would wake threads.
func (b *Broker) yield() {
	if b.beside == nil {
		runtime.Gosched()
	}
}

func (b *Broker) viewStored(r storeResult) error {
	if r.err != nil {
		return fmt.Errorf("write the record of the in-sync set: %w", r.err)
	}
	b.core.ViewStored(b.cfg.NowUs(), r.no)
	b.perform()
	return nil
}

// receive takes in what has arrived.
func (b *Broker) receive() bool {
	worked := false
	taken := 0
	for i := 0; i < receiveMax && taken < sliceBytes; i++ {
		peer, body, err := b.router.RecvView()
		if err != nil {
			if !errors.Is(err, link.ErrAgain) {
				b.log.Error("receive", "err", err)
			}
			return worked
		}
		worked = true
		taken += len(body)
		if placed := b.placed(); len(placed) > 0 {
			taken += len(placed)
			b.core.ReceivePlaced(b.cfg.NowUs(), peer, body, placed)
		} else if wire.IsFrame(body) {
			b.core.Receive(b.cfg.NowUs(), peer, body)
		} else {
			b.clients.receive(peer, bytes.Clone(body))
		}
	}
	return worked
}

// placed is the rest of the message that was received last, if the core had a place for it.
func (b *Broker) placed() []byte {
	if b.placer == nil {
		return nil
	}
	return b.placer.Placed()
}

// stop answers what is left: nobody will.
func (b *Broker) stop() {
	b.mu.Lock()
	b.stopped = true
	left := b.submitted
	b.submitted = nil
	b.mu.Unlock()
	for _, batch := range left {
		refuseAll(batch, errStopping)
	}
	b.core.Stop(b.cfg.NowUs())
	b.answer()
	b.clients.closeAll()
	for {
		select {
		case c := <-b.calls:
			close(c.done)
			continue
		default:
		}
		break
	}
	b.router.Close()
	close(b.ended)
}

// Close lets go of the endpoint of a broker that does not Run; after Run there is nothing left to do.
func (b *Broker) Close() { b.router.Close() }
