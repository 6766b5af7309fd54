package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
)

// Options are of a Disk.
type Options struct {
	Log          *slog.Logger // nil: the default one
	SegmentBytes int64        // a segment that is longer is followed by another; 0: 64 MB
	Repair       bool         // put what is damaged aside, rather than refuse to load
	Fault        Fault        // planted in tests only
}

// Fault plants mistakes, so that tests can show that they would be found.
type Fault struct {
	RenameEarly  bool // a snapshot is renamed before it is synced
	CommitNoSync bool // Sync does nothing
	TrustSums    bool // checksums are not looked at
}

const (
	segmentBytes = 64 << 20
	// A snapshot is synced each time it has grown by so much: the log waits for a little each time, and not for all of it in the end.
	snapshotSyncBytes = 8 << 20

	logSuffix      = ".log"
	snapshotSuffix = ".snap"
	newSuffix      = ".new"
	damagedSuffix  = ".damaged"
)

// Disk keeps records in a directory.
type Disk struct {
	fs   FS
	opt  Options
	log  *slog.Logger
	pack packer

	base     uint64   // the snapshot's number: the first segment behind it
	earlier  []uint64 // segments that an earlier life or the present one has ended, from base on
	segment  *writer  // the one that is written
	snapshot *writer  // nil while none is written
	usage    Usage
	repaired bool
	broken   error // a write failed: nothing may follow it
}

// OpenDisk locks the directory. Nothing in it is changed before Load.
func OpenDisk(fs FS, opt Options) (*Disk, error) {
	if opt.SegmentBytes == 0 {
		opt.SegmentBytes = segmentBytes
	}
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	names, err := fs.Names()
	if err != nil {
		return nil, err
	}
	if len(names) > 0 && !slices.Contains(names, lockName) && !slices.ContainsFunc(names, ours) &&
		!slices.Equal(names, []string{"lost+found"}) {
		return nil, fmt.Errorf("%s is not empty and holds nothing of a node's (but %s): choose a directory of its own", fs.Name(), names[0])
	}
	if err := fs.Lock(); err != nil {
		return nil, err
	}
	return &Disk{fs: fs, opt: opt, log: opt.Log}, nil
}

func ours(name string) bool {
	_, isLog := numberOf(name, logSuffix)
	_, isSnapshot := numberOf(name, snapshotSuffix)
	return isLog || isSnapshot
}

func numberOf(name, suffix string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, ok && err == nil && fileName(n, suffix) == name
}

func fileName(n uint64, suffix string) string { return fmt.Sprintf("%010d%s", n, suffix) }

// writer is a file that frames are written to.
type writer struct {
	name   string
	number uint64
	file   File
	frames uint32
	bytes  int64
	synced int64
}

func (d *Disk) create(name, magic string, number uint64) (*writer, error) {
	f, err := d.fs.Create(name)
	if err != nil {
		return nil, err
	}
	w := &writer{name: name, number: number, file: f}
	if err := w.write(appendFileHead(nil, magic, number)); err != nil {
		f.Close()
		return nil, err
	}
	return w, nil
}

func (w *writer) write(b []byte) error {
	_, err := w.file.Write(b)
	w.bytes += int64(len(b))
	return err
}

func (d *Disk) writeFrame(w *writer, records ...[]byte) (int64, error) {
	b, err := d.pack.frameOf(w.frames, w.synced, records...)
	if err != nil {
		return 0, err
	}
	w.frames++
	return int64(len(b)), w.write(b)
}

func (w *writer) sync() error {
	if err := w.file.Sync(); err != nil {
		return err
	}
	w.synced = w.bytes
	return nil
}

// fail keeps the first error: a file may have ended in the middle of a frame, and what a failed sync has
// written nobody knows.
func (d *Disk) fail(doing string, err error) error {
	if err != nil && d.broken == nil {
		d.broken = fmt.Errorf("%s %s: %w", doing, d.fs.Name(), err)
	}
	return d.broken
}

// Append adds one frame of the records to the log.
func (d *Disk) Append(records ...[]byte) error {
	if d.broken != nil || len(records) == 0 {
		return d.broken
	}
	if d.segment.bytes >= d.opt.SegmentBytes {
		if err := d.nextSegment(); err != nil {
			return err
		}
	}
	n, err := d.writeFrame(d.segment, records...)
	d.usage.LogBytes += n
	return d.fail("write to", err)
}

// Sync makes the log durable.
func (d *Disk) Sync() error {
	if d.broken != nil || d.segment.synced == d.segment.bytes {
		return d.broken
	}
	if d.opt.Fault.CommitNoSync {
		return nil
	}
	return d.fail("sync", d.segment.sync())
}

// nextSegment ends the present segment, which is durable then, and begins another: so only the last one can
// have a torn tail.
func (d *Disk) nextSegment() error {
	if err := d.Sync(); err != nil {
		return err
	}
	if err := d.fail("close a file of", d.segment.file.Close()); err != nil {
		return err
	}
	d.earlier = append(d.earlier, d.segment.number)
	return d.beginSegment(d.segment.number + 1)
}

func (d *Disk) beginSegment(number uint64) error {
	w, err := d.create(fileName(number, logSuffix), magicLog, number)
	if err == nil {
		err = d.fs.SyncDir()
	}
	if err != nil {
		return d.fail("begin a log in", err)
	}
	d.segment = w
	return nil
}

// BeginSnapshot begins the file that will replace the segments up to the one that it ends.
func (d *Disk) BeginSnapshot() error {
	if d.broken != nil {
		return d.broken
	}
	if d.snapshot != nil {
		return errors.New("storage: a snapshot is being written")
	}
	if err := d.nextSegment(); err != nil {
		return err
	}
	number := d.segment.number
	w, err := d.create(fileName(number, snapshotSuffix)+newSuffix, magicSnapshot, number)
	if err != nil {
		return fmt.Errorf("begin a snapshot in %s: %w", d.fs.Name(), err)
	}
	d.snapshot = w
	return nil
}

// AppendSnapshot adds a record. After an error only AbortSnapshot may follow; the log goes on.
func (d *Disk) AppendSnapshot(record []byte) error {
	w := d.snapshot
	_, err := d.writeFrame(w, record)
	if err == nil && w.bytes-w.synced >= snapshotSyncBytes {
		err = w.sync()
	}
	if err != nil {
		return fmt.Errorf("write a snapshot to %s: %w", d.fs.Name(), err)
	}
	return nil
}

// CommitSnapshot makes the snapshot the one that Load reads, and removes what it replaces.
func (d *Disk) CommitSnapshot() error {
	w := d.snapshot
	name := fileName(w.number, snapshotSuffix)
	_, err := d.writeFrame(w) // a frame without records: the end
	if err == nil && d.opt.Fault.RenameEarly {
		err = d.fs.Rename(w.name, name)
	}
	if err == nil {
		err = w.sync()
	}
	if err == nil {
		err = w.file.Close()
	}
	if err == nil && !d.opt.Fault.RenameEarly {
		err = d.fs.Rename(w.name, name)
	}
	if err == nil {
		err = d.fs.SyncDir()
	}
	if err != nil {
		return fmt.Errorf("complete a snapshot in %s: %w", d.fs.Name(), err)
	}
	d.snapshot = nil
	was := d.base
	d.base = w.number
	if was > 0 {
		d.remove(fileName(was, snapshotSuffix))
	}
	d.usage = Usage{SnapshotBytes: w.bytes, LogBytes: d.segment.bytes}
	d.earlier = slices.DeleteFunc(d.earlier, func(n uint64) bool {
		if n < d.base {
			d.remove(fileName(n, logSuffix))
		}
		return n < d.base
	})
	return nil
}

// AbortSnapshot drops what was written of a snapshot.
func (d *Disk) AbortSnapshot() error {
	w := d.snapshot
	if w == nil {
		return nil
	}
	d.snapshot = nil
	_ = w.file.Close()
	d.remove(w.name)
	return nil
}

// remove drops a file that Load would not read; one that stays is dropped by the next Load.
func (d *Disk) remove(name string) {
	if err := d.fs.Remove(name); err != nil {
		d.log.Warn("a file that is not needed any more stays", "dir", d.fs.Name(), "file", name, "err", err)
	}
}

// Usage says how much is kept.
func (d *Disk) Usage() Usage { return d.usage }

// Repaired says whether Load has put something aside: what is left is not all that had been kept.
func (d *Disk) Repaired() bool { return d.repaired }

// Close ends the files and lets another process have the directory; what was not synced may be lost.
func (d *Disk) Close() error {
	_ = d.AbortSnapshot()
	if d.segment != nil {
		_ = d.segment.file.Close()
		d.segment = nil
	}
	return d.fs.Close()
}
