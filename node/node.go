package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"brainer/internal/command"
	"brainer/internal/link"
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
	outsideEvery   = 20 * time.Millisecond // and is measured so often while there is a limit
	outsideShrinks = 64                    // what is outside of the data is taken to shrink by that part of the difference with a heartbeat
	pauseBytes     = 4 << 20               // sent in one go
	leaveWithin    = 2 * time.Second       // how long a goodbye waits for its answer
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

	limitBytes int64     // that OnLimit was told
	outsideAt  time.Time // when noticeOutside looked last
	refused    string    // the last refusal, so that it is logged once
	inSync     bool      // as last logged
	cutOff     string    // why the last connection did not come about
	missed     int       // dials in a row that no broker answered
	clients    map[string]*localClient
	calls      chan func()
	leaving    bool

	serving   atomic.Pointer[link.Dealer] // of the session that is being served
	localCame atomic.Bool                 // something came to the own endpoint

	sessions atomic.Uint64 // opened since the start
}

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
