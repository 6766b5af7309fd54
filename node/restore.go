package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"brainer/internal/link"
	"brainer/internal/wire"

	"brainer/node/storage"
)

const (
	restoreAhead     = 32 // records that are read ahead of the replica
	loadingToldEvery = 250 * time.Millisecond
)

// restore takes what the storage has kept, before the first session.
func (n *Node) restore(ctx context.Context) error {
	store := n.cfg.Storage
	if store == nil {
		return nil
	}
	began := time.Now()
	n.replica.BeginRestore()
	err := n.takeKept(ctx)
	n.state.loadTotal.Store(0)
	if err != nil {
		return errors.Join(fmt.Errorf("--data-dir: %w", err), store.Close())
	}
	whole := true
	if d, ok := store.(interface{ Repaired() bool }); ok {
		whole = !d.Repaired()
	}
	same, err := n.replica.EndRestore(n.cfg.Fsync.Always, whole)
	if err != nil {
		return errors.Join(fmt.Errorf("--data-dir: %w", err), store.Close())
	}
	if s := n.replica.Status(); s.Position.Index > 0 {
		n.log.Info("copy loaded", "index", s.Position.Index, "keys", s.Keys, "ms", time.Since(began).Milliseconds())
	}
	if !same {
		n.log.Warn("the last life did not end by itself: the copy may lack what it had acknowledged last, and takes that from the others")
	}
	n.keeper, err = startKeeper(store, n.cfg.Fsync, n.log, n.kick, n.replica.TakeChanges(nil))
	if err != nil {
		return errors.Join(fmt.Errorf("--data-dir: %w", err), store.Close())
	}
	n.keeping.Store(n.keeper)
	return nil
}

// takeKept lets a goroutine read and unpack while this one fills the replica, and answers who asks meanwhile.
func (n *Node) takeKept(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	records := make(chan []byte, restoreAhead)
	failed := make(chan error, 1)
	go func() {
		defer close(records)
		failed <- n.cfg.Storage.Load(func(i storage.Item) error {
			n.state.loadDone.Store(i.Done)
			n.state.loadTotal.Store(i.Total)
			select {
			case records <- i.Record:
				return nil
			case <-ctx.Done():
				return errDismissed
			}
		})
	}()
	told := make(chan struct{})
	go func() {
		defer close(told)
		n.tellLoading(ctx)
	}()
	defer func() {
		cancel()
		<-told
	}()
	take := func() error {
		for {
			select {
			case record, ok := <-records:
				if !ok {
					return nil
				}
				if err := n.replica.Restore(record); err != nil {
					return err
				}
			case f := <-n.calls:
				f()
			case <-n.ownReady():
				n.serveLocal()
			}
		}
	}
	err := take()
	cancel()
	for range records { // until it has ended
	}
	if e := <-failed; err == nil {
		err = e
	}
	return err
}

// tellLoading tells the broker how far loading has come, until ctx ends.
func (n *Node) tellLoading(ctx context.Context) {
	ticker := time.NewTicker(loadingToldEvery)
	defer ticker.Stop()
	var dealer link.Dealer
	session := rand.Uint64() | 1
	for {
		select {
		case <-ctx.Done():
			if dealer != nil {
				dealer.Close()
			}
			return
		case <-ticker.C:
		}
		done, total := n.Loading()
		if total == 0 {
			continue
		}
		if dealer == nil || !dealer.Connected() {
			if dealer != nil {
				dealer.Close()
			}
			var err error
			if dealer, err = n.cfg.Transport.Dial(n.cfg.Broker, n.routingID("l", session)); err != nil {
				return // the session will say what is wrong with it
			}
			session++
		}
		cfg := n.cfg.Replica
		m := wire.Hello{NodeID: cfg.NodeID, Endpoint: cfg.Endpoint, Incarnation: cfg.Incarnation, Embedded: cfg.Embedded, Software: cfg.Software,
			Disk: true, LoadDone: uint64(done), LoadTotal: uint64(total)}
		_ = dealer.Send(m.Append(nil, wire.Header{Session: session})) // again in a moment
	}
}

// Loading is how far what was kept has been loaded, in bytes; total is 0 when nothing is being loaded.
func (n *Node) Loading() (done, total int64) {
	return n.state.loadDone.Load(), n.state.loadTotal.Load()
}

// kick wakes the owner goroutine in its session, if there is one.
func (n *Node) kick() {
	if d := n.serving.Load(); d != nil {
		(*d).Kick()
	}
}
