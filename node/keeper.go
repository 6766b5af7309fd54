package node

import (
	"log/slog"
	"sync"
	"time"

	"brainer/metrics"
	"brainer/node/replica"
	"brainer/node/storage"
)

const (
	syncEvery       = time.Second // with Fsync{}
	keptBytesMax    = 64 << 20    // that wait for the storage; then the owner waits
	keptRoomBytes   = 4 << 20     // while more wait, no piece of a snapshot is added
	compactMinBytes = 64 << 20    // of log before it is replaced by a snapshot
)

// keeper gives what a replica wants to be kept to its storage, in a goroutine of its own: the owner of the
// replica waits for no disk, unless very much waits for it.
type keeper struct {
	store storage.Storage
	fsync Fsync
	log   *slog.Logger
	kick  func() // wakes the owner when what it waits for has come

	mu      sync.Mutex
	changed sync.Cond // mu's: the queue, closing or what is kept has changed
	queue   []replica.Change
	bytes   int64  // in queue and being written
	put     uint64 // changes that were put, since the start
	kept    uint64 // of these, that are as durable as Fsync demands
	waits   bool   // the owner is to be kicked when something was kept
	began   uint64 // snapshots that were put
	ended   uint64 // and of these, that are complete or given up
	whole   uint64 // the number of the last that is complete
	closing bool
	failed  error // the storage has stopped
	stats   keeperStats
	done    chan struct{}

	// the goroutine's own
	snapshot bool // is being written
	over     keptSnapshots
	unsynced int // writes
	syncAt   time.Time
}

// describe fills in what metrics show.
func (k *keeper) describe(d *metrics.Disk) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := &k.stats
	d.Stopped, d.LogBytes, d.SnapshotBytes, d.WaitingBytes = k.failed != nil, s.usage.LogBytes, s.usage.SnapshotBytes, k.bytes
	d.Syncs, d.SyncSeconds, d.Errors, d.Snapshots = s.syncs, s.syncSeconds, s.errors, s.snapshots
}

// keeperStats are for metrics.
type keeperStats struct {
	usage       storage.Usage
	syncs       uint64
	syncSeconds float64
	errors      uint64
	snapshots   uint64 // that were completed
}

// startKeeper takes over a storage that was loaded. first is what must be durable before anything else happens.
func startKeeper(store storage.Storage, fsync Fsync, log *slog.Logger, kick func(), first []replica.Change) (*keeper, error) {
	k := &keeper{store: store, fsync: fsync, log: log, kick: kick, done: make(chan struct{}), syncAt: time.Now().Add(syncEvery)}
	k.changed.L = &k.mu
	if err := k.write(first); err != nil {
		return nil, err
	}
	if err := k.sync(); err != nil {
		return nil, err
	}
	k.stats.usage = store.Usage()
	go k.run()
	return k, nil
}

// enqueue takes what there is to keep. It waits while too much waits already.
func (k *keeper) enqueue(changes []replica.Change) {
	n, snapshots := int64(0), uint64(0)
	for i := range changes {
		n += int64(len(changes[i].Bytes))
		if changes[i].Kind == replica.ChangeSnapshot {
			snapshots++
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.began += snapshots
	for k.bytes > keptBytesMax && k.failed == nil {
		k.changed.Wait()
	}
	k.put += uint64(len(changes))
	if k.failed != nil {
		k.kept = k.put
		return
	}
	k.queue = append(k.queue, changes...)
	k.bytes += n
	k.changed.Broadcast()
}

// mark is what has to be kept before what happens now may be told; 0 when nothing waits for the disk.
func (k *keeper) mark() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.fsync.Always || k.failed != nil || k.kept == k.put {
		return 0
	}
	return k.put
}

// keptUpTo is the mark up to which all is kept; if that is less than wanted, the owner will be kicked.
func (k *keeper) keptUpTo(wanted uint64) uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed != nil {
		return k.put
	}
	k.waits = k.waits || k.kept < wanted
	return k.kept
}

// room says whether a piece of a snapshot may be added; if not, the owner will be kicked when there is.
func (k *keeper) room() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	has := k.bytes < keptRoomBytes
	k.waits = k.waits || !has
	return has
}

// wantsSnapshot: the log has grown beyond what a snapshot would take.
func (k *keeper) wantsSnapshot() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	u := k.stats.usage
	return k.failed == nil && k.began == k.ended && u.LogBytes > max(compactMinBytes, u.SnapshotBytes)
}

// lastSnapshot is the number of the snapshot that was put last.
func (k *keeper) lastSnapshot() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.began
}

// snapshotOver says whether the snapshot of that number has ended, and whether it, or a later one, is on disk.
func (k *keeper) snapshotOver(number uint64) (over, whole bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ended >= number, k.whole >= number
}

// stopped is why nothing is kept any more, nil while it is.
func (k *keeper) stopped() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed
}

// end keeps what waits, and then that this life has kept everything.
func (k *keeper) end() error {
	k.mu.Lock()
	k.queue = append(k.queue, replica.Change{Kind: replica.ChangeSnapshotAbort}, replica.Change{Kind: replica.ChangeRecord, Bytes: replica.EndRecord()})
	k.closing = true
	k.changed.Broadcast()
	k.mu.Unlock()
	<-k.done
	err := k.stopped()
	if e := k.store.Close(); err == nil {
		err = e
	}
	return err
}

func (k *keeper) run() {
	defer close(k.done)
	for {
		changes, bytes, end := k.next()
		if end {
			return
		}
		err := k.write(changes)
		if err == nil && k.due() {
			err = k.sync()
		}
		k.mu.Lock()
		k.bytes -= bytes
		ended := k.over.ended > k.ended
		k.ended, k.whole, k.stats.snapshots = k.over.ended, k.over.whole, k.over.complete
		k.stats.usage = k.store.Usage()
		if err != nil {
			k.stop(err)
		} else {
			k.kept += uint64(len(changes))
		}
		kick := k.waits || ended // the broker may wait for it
		k.waits = false
		k.changed.Broadcast()
		k.mu.Unlock()
		if kick {
			k.kick()
		}
	}
}

// next waits for something to keep, or for the time to sync what was.
func (k *keeper) next() (changes []replica.Change, bytes int64, end bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var timer *time.Timer
	for len(k.queue) == 0 {
		if k.closing || k.failed != nil {
			if k.closing {
				return nil, 0, true
			}
			k.changed.Wait()
			continue
		}
		if k.unsynced > 0 && k.fsync == (Fsync{}) {
			wait := time.Until(k.syncAt)
			if wait <= 0 {
				break
			}
			if timer == nil {
				timer = time.AfterFunc(wait, k.wake)
				defer timer.Stop()
			}
		}
		k.changed.Wait()
	}
	changes, k.queue = k.queue, nil
	for i := range changes {
		bytes += int64(len(changes[i].Bytes))
	}
	if k.failed != nil {
		return nil, bytes, false
	}
	return changes, bytes, false
}

func (k *keeper) wake() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.changed.Broadcast()
}

func (k *keeper) stop(err error) {
	if k.failed == nil {
		k.failed = err
		k.stats.errors++
		k.log.Error("the disk has stopped: nothing is kept from here on", "err", err)
	}
	k.kept, k.queue, k.bytes = k.put, nil, 0
	k.waits = true
}

// due says whether to sync now.
func (k *keeper) due() bool {
	k.mu.Lock()
	closing := k.closing && len(k.queue) == 0
	k.mu.Unlock()
	switch {
	case k.unsynced == 0:
		return false
	case k.fsync.Always || closing:
		return true
	case k.fsync.Every > 0:
		return k.unsynced >= k.fsync.Every
	}
	return !time.Now().Before(k.syncAt)
}

func (k *keeper) sync() error {
	began := time.Now()
	k.syncAt = began.Add(syncEvery)
	k.unsynced = 0
	err := k.store.Sync()
	k.mu.Lock()
	k.stats.syncs++
	k.stats.syncSeconds += time.Since(began).Seconds()
	k.mu.Unlock()
	return err
}

// write gives changes to the storage, what is between two parts of a snapshot in one piece.
func (k *keeper) write(changes []replica.Change) (err error) {
	var records [][]byte
	flush := func() error {
		rs := records
		records = nil
		return k.store.Append(rs...)
	}
	for i := 0; i < len(changes) && err == nil; i++ {
		c := &changes[i]
		switch c.Kind {
		case replica.ChangeEntry:
			n := run(changes[i:])
			records = append(records, joined(changes[i:i+n]))
			k.unsynced += n
			i += n - 1
		case replica.ChangeRecord:
			records = append(records, c.Bytes)
			k.unsynced++
		case replica.ChangeSnapshot:
			if err = flush(); err == nil {
				err = k.beginSnapshot(c.Bytes)
			}
		case replica.ChangeChunk:
			err = k.appendSnapshot(c.Bytes)
		case replica.ChangeSnapshotEnd:
			k.over.ended++
			if err = flush(); err == nil && k.snapshot {
				if err = k.appendSnapshot(c.Bytes); err == nil && k.snapshot {
					err = k.store.CommitSnapshot()
					k.snapshot = false
					k.over.whole = k.over.ended
					k.over.complete++
				}
			}
		case replica.ChangeSnapshotAbort:
			k.over.ended++
			if k.snapshot {
				k.snapshot = false
				err = k.store.AbortSnapshot()
			}
		}
	}
	if err == nil {
		err = flush()
	}
	return err
}

// keptSnapshots counts what has become of snapshots. They are numbered from 1 in the order in which they begin, which is
// that in which they end.
type keptSnapshots struct {
	ended    uint64 // complete or given up
	whole    uint64 // the number of the last that is complete
	complete uint64
}

// A snapshot that cannot be written stops the storage too: where there is no room for it there is soon none for the log, and
// a copy that came from the broker would not be kept at all.
func (k *keeper) beginSnapshot(head []byte) error {
	if err := k.store.BeginSnapshot(); err != nil {
		return err
	}
	k.snapshot = true
	return k.appendSnapshot(head)
}

func (k *keeper) appendSnapshot(record []byte) error {
	if !k.snapshot {
		return nil
	}
	return k.store.AppendSnapshot(record)
}

// run is how many entries of one era follow each other at the beginning.
func run(changes []replica.Change) int {
	n := 1
	for n < len(changes) && changes[n].Kind == replica.ChangeEntry && changes[n].Position.Era == changes[0].Position.Era {
		n++
	}
	return n
}

func joined(changes []replica.Change) []byte {
	entries := make([][]byte, len(changes))
	n := 0
	for i := range changes {
		entries[i] = changes[i].Bytes
		n += len(entries[i])
	}
	return replica.AppendEntries(make([]byte, 0, n+32), changes[0].Position, entries)
}
