package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"brainer/internal/command"
	"brainer/internal/link"
	"brainer/internal/wire"
	"brainer/node/replica"
	"brainer/node/storage"
)

// Config is what a Node is made of.
type Config struct {
	Replica   replica.Config
	Broker    string // where the broker listens for nodes
	Transport link.Transport
	Log       *slog.Logger
	NowMs     func() int64 // for reads at the node's own endpoint; nil: the system's clock
	// Storage keeps the copy for the next life; nil: nothing does. The node closes it.
	Storage storage.Storage
	Fsync   Fsync
	// EndWithDisk has the node end when its storage fails; otherwise it goes on without.
	EndWithDisk bool
	// Share is how long the node works on a turn before the link's goroutine, which is the broker's then, can do something
	// else; 0: to the end.
	Share time.Duration
	// OnLimit is told the smallest memory limit of all nodes when it has changed; may be nil.
	OnLimit func(bytes int64)
}

const (
	beatEvery      = 100 * time.Millisecond
	brokerSilent   = 3 * time.Second        // without a word of the broker for so long, a new session
	takenPerS      = 50 << 20               // bytes; how fast a broker takes in a large answer at least
	helloWithin    = 400 * time.Millisecond // a dial that has not got its hello out by then is given up
	reopenEvery    = 100 * time.Millisecond
	missedTold     = 3 // dials without an answer, after which the log says so
	refusedEvery   = 2 * time.Second
	outsideShrinks = 64              // what is outside of the data is taken to shrink by that part of the difference with a heartbeat
	pauseBytes     = 4 << 20         // sent in one go
	leaveWithin    = 2 * time.Second // how long a goodbye waits for its answer
)

// Node is the shell around a replica.
type Node struct {
	cfg   Config
	log   *slog.Logger
	own   link.Router // nil without an endpoint
	state shared

	replica *replica.Replica
	keeper  *keeper                // nil without a storage
	keeping atomic.Pointer[keeper] // the same, for other goroutines
	changes []replica.Change
	held    []heldFrame
	wanted  wantedSnapshot
	pace    keptPace

	faultsLogged int
	diskGone     bool // the storage has failed, and that was dealt with

	limitBytes int64  // that OnLimit was told
	refused    string // the last refusal, so that it is logged once
	inSync     bool   // as last logged
	cutOff     string // why the last connection did not come about
	missed     int    // dials in a row that no broker answered
	clients    map[string]*localClient
	calls      chan func()
	leaving    bool

	serving   atomic.Pointer[link.Dealer] // of the session that is being served
	localCame atomic.Bool                 // something came to the own endpoint

	sessions atomic.Uint64 // opened since the start
}

// shared is what the heartbeat goroutine reads.
type shared struct {
	session, epoch atomic.Uint64
	version        atomic.Uint32 // of the protocol
	applied, turn  atomic.Uint64
	keys, used     atomic.Int64
	ids            atomic.Int64
	memory         atomic.Int64 // compared with a limit
	data           atomic.Int64 // of the process, for the data
	outside        atomic.Int64 // and besides
	limit          atomic.Int64 // the smallest of all nodes
	idsAnswered    atomic.Uint64
	deadlineMs     atomic.Int64
	behind         atomic.Bool
	stepBeganNs    atomic.Int64  // 0: idle
	heldSinceNs    atomic.Int64  // 0: nothing waits to be kept before it is told
	snapshotKept   atomic.Uint64 // the last one that the broker wanted, and that is on disk
	loadDone       atomic.Int64  // bytes of what was kept, that are loaded
	loadTotal      atomic.Int64  // 0: nothing is being loaded
	progress       atomic.Uint64 // entries and reads executed
	heardNs        atomic.Int64  // the broker's last word on either socket
	patienceNs     atomic.Int64  // what it may be silent beyond the usual: it takes in what was sent last
}

// busySeconds is how long the present step has been running, 0 when none is.
func (s *shared) busySeconds() float64 {
	began := s.stepBeganNs.Load()
	if began == 0 {
		return 0
	}
	return time.Since(time.Unix(0, began)).Seconds()
}

// errSession ends a session; a new one follows after wait.
type errSession struct {
	why  string
	wait time.Duration
}

func (e errSession) Error() string { return e.why }

var errDismissed = errors.New("dismissed")

// New binds the node's own endpoint, if it has one. Run does the rest.
func New(cfg Config) (*Node, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.NowMs == nil {
		cfg.NowMs = func() int64 { return time.Now().UnixMilli() }
	}
	n := &Node{cfg: cfg, log: cfg.Log, clients: map[string]*localClient{}, calls: make(chan func(), 16)}
	if e := cfg.Replica.Endpoint; e != "" {
		own, err := cfg.Transport.Bind(e)
		if err != nil {
			return nil, fmt.Errorf("--node-endpoint: %w", err)
		}
		n.own = own
		cfg.Replica.Endpoint = own.Endpoint() // with the port that the system chose
	}
	n.cfg.Replica.Progress = &n.state.progress
	n.cfg.Replica.Keep = cfg.Storage != nil
	n.cfg.Replica.OnFault = n.logFault
	n.replica = replica.New(n.cfg.Replica)
	return n, nil
}

// logFault tells of a mistake in the program; a client that found one may repeat it at will.
func (n *Node) logFault(f command.Fault) {
	if n.faultsLogged >= faultsLogged {
		return
	}
	n.faultsLogged++
	n.log.Error("a command failed with an internal error; please report it", "command", f.Command, "fault", fmt.Sprint(f.Value), "stack", string(f.Stack))
}

// faultsLogged are told with their stacks in a node's life; all are counted.
const faultsLogged = 20

// Close lets go of the own endpoint of a node that does not Run; after Run there is nothing left to do.
func (n *Node) Close() {
	if n.own != nil {
		n.own.Close()
	}
}

// Endpoint is where the node's own ROUTER is bound, "" without one.
func (n *Node) Endpoint() string {
	if n.own == nil {
		return ""
	}
	return n.own.Endpoint()
}

// Status asks the owner goroutine where the copy stands.
func (n *Node) Status() (s replica.Status, ok bool) {
	ok = n.call(func() { s = n.replica.Status() })
	return s, ok
}

// call has the owner goroutine do f; false when it did not come to it in time.
func (n *Node) call(f func()) bool {
	done := make(chan struct{})
	late := time.NewTimer(5 * time.Second)
	defer late.Stop()
	select {
	case n.calls <- func() { f(); close(done) }:
	case <-late.C:
		return false
	}
	n.kick()
	select {
	case <-done:
		return true
	case <-late.C:
		return false
	}
}

// Run serves until ctx ends; then it says goodbye, and waits for a moment to be let go.
func (n *Node) Run(ctx context.Context) error {
	defer n.Close()
	if err := n.restore(ctx); err != nil {
		if errors.Is(err, errDismissed) {
			return nil
		}
		return err
	}
	defer n.endKeeping()
	for {
		err := n.session(ctx)
		var over errSession
		switch {
		case errors.Is(err, errDismissed):
			n.log.Info("node dismissed")
			return nil
		case errors.As(err, &over):
			n.log.Debug("session over", "why", over.why)
			if !n.idle(ctx, over.wait) {
				return nil
			}
		case err != nil:
			return err
		}
	}
}

// endKeeping keeps what is left, and that this was a good end.
func (n *Node) endKeeping() {
	if n.keeper == nil {
		return
	}
	n.keepChanges()
	if err := n.keeper.end(); err != nil && !n.diskGone {
		n.log.Error("the end was not kept", "err", err)
	}
}

// idle serves the node's own endpoint while there is no session.
func (n *Node) idle(ctx context.Context, wait time.Duration) bool {
	wait += time.Duration(rand.Int64N(int64(wait)/5 + 1))
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		n.serveLocal()
		select {
		case <-timer.C:
			return true
		case <-n.ownReady():
		case f := <-n.calls:
			f()
		case <-ctx.Done():
			return false
		}
	}
}

func (n *Node) ownReady() <-chan struct{} {
	if n.own == nil {
		return nil
	}
	return n.own.Ready()
}

// session is one connection to the broker: from hello until something breaks.
func (n *Node) session(ctx context.Context) error {
	id := rand.Uint64() | 1
	dealer, err := n.cfg.Transport.Dial(n.cfg.Broker, n.routingID("d", id))
	if err != nil {
		return fmt.Errorf("--broker: %w", err)
	}
	defer dealer.Close()
	n.forgetHeld()
	n.replica.Open(id)
	if err := n.sayHello(ctx, dealer); err != nil {
		return err
	}
	n.answered()
	n.state.session.Store(id)
	n.state.version.Store(uint32(n.replica.Version()))
	n.sessions.Add(1)
	defer n.state.session.Store(0)
	n.state.heardNs.Store(time.Now().UnixNano())
	n.publish()
	beatCtx, stopBeat := context.WithCancel(context.WithoutCancel(ctx)) // also while the goodbye waits
	lost := make(chan string, 1)
	beatDone := make(chan struct{})
	go func() {
		defer close(beatDone)
		n.beat(beatCtx, id, dealer, lost)
	}()
	defer func() {
		stopBeat()
		<-beatDone
	}()
	return n.serve(ctx, dealer, lost)
}

func (n *Node) routingID(socket string, session uint64) string {
	id := n.cfg.Replica.NodeID
	if len(id) > 200 {
		id = id[:200]
	}
	return "n-" + id + "-" + socket + strconv.FormatUint(session, 16)
}

// sayHello sends what Open put out, once the connection stands.
func (n *Node) sayHello(ctx context.Context, dealer link.Dealer) error {
	timer := time.NewTimer(helloWithin)
	defer timer.Stop()
	for {
		err := n.sendAll(dealer, n.replica.Out)
		if err == nil {
			return nil
		}
		if !errors.Is(err, link.ErrAgain) {
			return errSession{err.Error(), reopenEvery}
		}
		if r, ok := dealer.(link.Refuser); ok {
			if why := r.Refused(); why != nil {
				return n.notLetIn(why.Error())
			}
		}
		n.serveLocal()
		select { // not its Ready: Serve will wait for it
		case <-n.ownReady():
		case f := <-n.calls:
			f()
		case <-time.After(2 * time.Millisecond):
		case <-timer.C:
			n.unanswered()
			return errSession{"the broker does not answer at " + n.cfg.Broker, reopenEvery}
		case <-ctx.Done():
			return errDismissed
		}
	}
}

// notLetIn tells of a connection that was refused, when it was so twice in a row: a broker that dies
// in the handshake looks like one that refuses.
func (n *Node) notLetIn(why string) error {
	if n.cutOff == why && n.refused != why {
		n.refused = why
		n.log.Error("not let in by the broker", "broker", n.cfg.Broker, "why", why)
	}
	n.cutOff = why
	return errSession{why, reopenEvery}
}

// unanswered tells of a broker that is not there, once and not for one that only starts anew.
func (n *Node) unanswered() {
	if n.missed++; n.missed == missedTold {
		n.log.Warn("no broker answers; the node keeps trying", "broker", n.cfg.Broker)
	}
}

// answered ends what unanswered told.
func (n *Node) answered() {
	if n.missed >= missedTold {
		n.log.Info("the broker answers", "broker", n.cfg.Broker)
	}
	n.missed = 0
}

// serve moves frames until the session ends. The goroutine waits for the session's socket alone;
// whatever else happens kicks it.
func (n *Node) serve(ctx context.Context, dealer link.Dealer, lost <-chan string) error {
	n.serveLocal()
	defer n.forwardLocal(dealer)()
	defer context.AfterFunc(ctx, dealer.Kick)()
	var ending error
	var leaveBy time.Time
	step := func() bool {
		began := n.begin()
		for ending == nil {
			n.answerCalls(dealer)
			switch {
			case len(lost) > 0:
				ending = errSession{<-lost, time.Millisecond}
			case ctx.Err() != nil && !n.leaving:
				n.leaving = true
				leaveBy = time.Now().Add(leaveWithin)
				time.AfterFunc(leaveWithin+time.Millisecond, dealer.Kick) // harmless when it is closed by then
				n.replica.Goodbye()
				if n.sendOut(dealer) != nil {
					ending = errDismissed
				}
			case n.leaving && !leaveBy.IsZero() && time.Now().After(leaveBy):
				n.log.Warn("the broker did not answer the goodbye")
				ending = errDismissed
			default:
				if ending = n.diskStopped(); ending != nil {
					break
				}
				if ending = n.receive(dealer, began); ending != nil {
					break
				}
				if n.replica.Busy() || n.hadItsShare(began) {
					dealer.Kick()
					return false
				}
				if n.replica.Pump() {
					ending = n.sendOut(dealer)
					continue
				}
				if n.pumpKept() {
					continue
				}
				var some bool
				if some, ending = n.release(dealer); some {
					continue
				}
				if len(lost)+len(n.calls) == 0 && !n.localCame.Load() {
					return false
				}
			}
		}
		return true
	}
	if err := dealer.Serve(step); err != nil {
		return err
	}
	return ending
}

// answerCalls does what other goroutines and clients of the own endpoint ask for.
func (n *Node) answerCalls(dealer link.Dealer) {
	for {
		select {
		case f := <-n.calls:
			f()
			continue
		default:
		}
		break
	}
	if n.localCame.Swap(false) {
		n.serveLocal()
		n.ownReady() // has it signal again
	}
}

// forwardLocal kicks the session's wait when something comes to the node's own endpoint.
func (n *Node) forwardLocal(dealer link.Dealer) (stop func()) {
	n.serving.Store(&dealer)
	if n.own == nil {
		return func() { n.serving.Store(nil) }
	}
	ready, done, ended := n.ownReady(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ready:
				n.localCame.Store(true)
				dealer.Kick()
			case <-done:
				return
			}
		}
	}()
	return func() {
		n.serving.Store(nil)
		close(done)
		<-ended
	}
}

// begin is when a step begins, where that matters.
func (n *Node) begin() (t time.Time) {
	if n.cfg.Share > 0 {
		t = time.Now()
	}
	return t
}

func (n *Node) hadItsShare(began time.Time) bool {
	return n.cfg.Share > 0 && time.Since(began) > n.cfg.Share
}

// receive takes in what the broker has sent and executes it, or as much as its share allows.
func (n *Node) receive(dealer link.Dealer, began time.Time) error {
	for {
		if n.replica.Busy() {
			n.refused = ""
			if err := n.step(dealer, began); err != nil || n.replica.Busy() {
				return err
			}
		}
		frame, err := dealer.RecvView()
		if err == link.ErrAgain {
			return nil
		}
		if err != nil {
			return errSession{err.Error(), reopenEvery}
		}
		n.state.heardNs.Store(time.Now().UnixNano())
		verdict, reason := n.replica.Receive(frame)
		if err := n.sendOut(dealer); err != nil {
			return err
		}
		switch verdict {
		case replica.Reopen:
			return errSession{"the broker ended it: " + reason, time.Millisecond}
		case replica.Refused:
			if n.refused != reason {
				n.refused = reason
				n.log.Error("refused by the broker", "why", reason)
			}
			return errSession{"refused: " + reason, refusedEvery}
		case replica.Dismissed:
			if n.leaving {
				return errDismissed
			}
		}
		n.tellWhetherInSync() // what a turn says too, which the next one may take back
		if !n.replica.Busy() {
			n.publish()
		}
	}
}

// tellWhetherInSync logs what the broker says, when it says something else. (The broker's log has it of an embedded node.)
func (n *Node) tellWhetherInSync() {
	in := n.replica.InSync()
	if in == n.inSync || n.cfg.Replica.Embedded {
		return
	}
	n.inSync = in
	s := n.replica.Status()
	if in {
		n.log.Info("in sync: this copy answers reads, and writes wait for it", "index", s.Position.Index, "keys", s.Keys)
	} else if !n.leaving {
		n.log.Warn("no longer in sync: catching up with the others", "index", s.Position.Index)
	}
}

// step executes the turn at hand.
func (n *Node) step(dealer link.Dealer, began time.Time) error {
	for n.replica.Busy() && !n.hadItsShare(began) {
		n.state.stepBeganNs.Store(time.Now().UnixNano())
		n.replica.Step()
		err := n.sendOut(dealer)
		n.state.stepBeganNs.Store(0)
		if err != nil {
			return err
		}
	}
	n.publish()
	return nil
}

// publish tells the heartbeats where the copy stands.
func (n *Node) publish() {
	n.replica.SetOutside(n.state.outside.Load())
	if limit := n.replica.MemoryLimit(); limit != n.limitBytes {
		n.state.limit.Store(limit)
		if n.limitBytes = limit; n.cfg.OnLimit != nil {
			n.cfg.OnLimit(limit)
		}
	}
	b := n.replica.Beat(0)
	s := &n.state
	s.applied.Store(b.Applied)
	s.turn.Store(b.Turn)
	s.keys.Store(b.Keys)
	s.used.Store(b.UsedBytes)
	s.ids.Store(b.IDs)
	s.memory.Store(b.MemoryBytes)
	s.data.Store(n.replica.DataBytes())
	s.idsAnswered.Store(b.IDsAnswered)
	s.deadlineMs.Store(n.replica.NextDeadlineMs())
	s.behind.Store(n.replica.Behind())
	_, epoch := n.replica.Session()
	s.epoch.Store(epoch)
}

func (n *Node) sendAll(dealer link.Dealer, frames []replica.Frame) error {
	bytes := 0
	for _, f := range frames {
		bytes += f.Len()
	}
	if bytes > 0 {
		n.state.patienceNs.Store(int64(bytes) * int64(time.Second) / takenPerS)
	}
	for _, f := range frames {
		emit := dealer.SendJoined
		if f.Len() > pauseBytes {
			sent := 0
			emit = func(head, body []byte) error {
				if sent += len(body); sent > pauseBytes {
					sent = 0
					runtime.Gosched() // the heartbeats go on
				}
				return dealer.SendJoined(head, body)
			}
		}
		if err := wire.Split(f.Bytes, f.More, wire.FrameBytesMax, emit); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) sendFrames(dealer link.Dealer, frames []replica.Frame) error {
	if err := n.sendAll(dealer, frames); err != nil {
		return errSession{"the connection broke", time.Millisecond}
	}
	return nil
}
