package sim

import (
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"

	"brainer/node/replica"
	"brainer/node/storage"
	"brainer/node/storage/simfs"
)

// nodeDisk is a node's storage, and what package node's keeper does for it.
type nodeDisk struct {
	n      *nodeHost
	sim    *simfs.Disk
	always bool // synced before anything is told

	store   *storage.Disk // of the present life
	queue   []replica.Change
	put     uint64 // changes, in this life
	kept    uint64 // of these, that are written, and synced with always
	writing bool
	began   bool // a snapshot
	failed  bool
	held    []heldFrames

	// What was told under always: a later life must know it.
	toldPromise uint64
}

type heldFrames struct {
	frames []replica.Frame
	mark   uint64
}

const diskLogBytes = 3000 // before it is replaced by a snapshot

func newNodeDisk(n *nodeHost, always bool) *nodeDisk {
	return &nodeDisk{n: n, always: always, sim: simfs.New(rand.New(rand.NewPCG(n.w.opt.Seed, uint64(n.index)+0xd15c)))}
}

// load begins a life: the replica takes what was kept.
func (d *nodeDisk) load() {
	n := d.n
	d.queue, d.put, d.kept, d.held = nil, 0, 0, nil
	d.writing, d.began, d.failed = false, false, false
	d.sim.FullAt = 0
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	store, err := storage.OpenDisk(d.sim.Mount(), storage.Options{Log: quiet, SegmentBytes: 1000})
	if err == nil {
		d.store = store
		n.replica.BeginRestore()
		err = store.Load(func(i storage.Item) error { return n.replica.Restore(i.Record) })
	}
	same := false
	if err == nil {
		same, err = n.replica.EndRestore(d.always, true)
	}
	if err == nil {
		d.take()
		d.write(true)
	}
	if err != nil || d.failed {
		n.w.failf("the disk of %s cannot be loaded: %v", n.id, err)
		return
	}
	dataID, _, p, _ := n.replica.Copy()
	n.w.tracef("%s loads its disk: data=%x at=%v same=%v", n.id, dataID, p, same)
	if _, promised := n.replica.Session(); promised < d.toldPromise {
		n.w.failf("7: %s had said that it promised epoch %d, and after a restart knows of %d", n.id, d.toldPromise, promised)
	}
}

// take gets what is to be kept from the replica.
func (d *nodeDisk) take() {
	for _, c := range d.n.replica.TakeChanges(nil) {
		c.Bytes = slices.Clone(c.Bytes)
		d.queue = append(d.queue, c)
		d.put++
	}
}

// keep is what the owner does behind each piece of work.
func (d *nodeDisk) keep() {
	if d.failed || !d.n.alive {
		return
	}
	d.take()
	if d.store.Usage().LogBytes > diskLogBytes && d.n.replica.KeepSnapshot() {
		d.take()
	}
	if len(d.queue) > 0 && !d.writing {
		d.writing = true
		d.n.later(d.n.w.between(20, 3000), d.written)
	}
}

// written is the keeper's goroutine: it writes what waits.
func (d *nodeDisk) written() {
	d.writing = false
	d.write(d.always || d.n.w.chance(0.3))
	if d.failed {
		d.n.w.tracef("%s: the disk has stopped", d.n.id)
		d.n.replica.StopKeeping()
		if d.n.data != nil {
			d.n.endSession("the disk has stopped", 1000)
		}
		return
	}
	d.release()
	d.keep()
	if d.n.alive && d.n.replica.KeepsSnapshot() {
		d.n.wake()
	}
}

func (d *nodeDisk) write(sync bool) {
	var err error
	queue := d.queue
	d.queue = nil
	for _, c := range queue {
		switch c.Kind {
		case replica.ChangeEntry:
			err = d.store.Append(replica.AppendEntries(nil, c.Position, [][]byte{c.Bytes}))
		case replica.ChangeRecord:
			err = d.store.Append(c.Bytes)
		case replica.ChangeSnapshot:
			d.began = true
			if err = d.store.BeginSnapshot(); err == nil {
				err = d.store.AppendSnapshot(c.Bytes)
			}
		case replica.ChangeChunk:
			err = d.store.AppendSnapshot(c.Bytes)
		case replica.ChangeSnapshotEnd:
			d.began = false
			if err = d.store.AppendSnapshot(c.Bytes); err == nil {
				err = d.store.CommitSnapshot()
			}
		case replica.ChangeSnapshotAbort:
			d.began = false
			err = d.store.AbortSnapshot()
		}
		if err != nil {
			break
		}
	}
	if err == nil && sync {
		err = d.store.Sync()
	}
	if err != nil {
		d.failed = true
		return
	}
	d.kept += uint64(len(queue))
}

// mayTell says whether what happens now may be told at once.
func (d *nodeDisk) mayTell() bool {
	return !d.always || d.failed || d.n.w.opt.SyncLate || d.kept == d.put && len(d.held) == 0
}

func (d *nodeDisk) hold(frames []replica.Frame) {
	d.held = append(d.held, heldFrames{copyFrames(frames), d.put})
}

func (d *nodeDisk) release() {
	for len(d.held) > 0 && d.held[0].mark <= d.kept && d.n.data != nil {
		h := d.held[0]
		d.held = d.held[1:]
		if !d.n.transmit(h.frames) {
			return
		}
	}
}

// told notes what a later life must know, if nothing was told before it was kept.
func (d *nodeDisk) told() {
	if _, promised := d.n.replica.Session(); d.always && !d.failed {
		d.toldPromise = promised
	}
}

// end is a good end of a life: everything is kept.
func (d *nodeDisk) end() {
	if d.failed {
		return
	}
	d.take()
	d.queue = append(d.queue, replica.Change{Kind: replica.ChangeSnapshotAbort}, replica.Change{Kind: replica.ChangeRecord, Bytes: replica.EndRecord()})
	d.write(true)
	if err := d.store.Close(); err != nil {
		d.failed = true
	}
}

// crash ends the process, or the machine.
func (d *nodeDisk) crash(power bool) {
	if power {
		d.sim.Crash()
	} else {
		d.sim.Kill()
	}
}

// wipe is an operator's: the data is not needed.
func (d *nodeDisk) wipe() {
	d.sim = newNodeDisk(d.n, d.always).sim
	d.toldPromise = 0
}
