package storage

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Load reads the latest snapshot and the segments behind it, and begins a new one.
func (d *Disk) Load(take func(Item) error) error {
	names, err := d.fs.Names()
	if err != nil {
		return err
	}
	var segments []uint64
	snapshots := map[uint64]bool{}
	for _, name := range names {
		if n, ok := numberOf(name, logSuffix); ok {
			segments = append(segments, n)
		}
		if n, ok := numberOf(name, snapshotSuffix); ok {
			snapshots[n] = true
			d.base = max(d.base, n)
		}
	}
	slices.Sort(segments)
	l := loading{d: d, take: take}
	keep := segments[:0:0]
	for _, n := range segments {
		if n >= d.base {
			keep = append(keep, n)
		}
	}
	if err := l.measure(keep); err != nil {
		return err
	}
	if d.base > 0 && d.opt.Repair { // a part of a snapshot is nothing: look through it first
		look := loading{d: d, take: func(Item) error { return nil }}
		if err := look.snapshot(); err != nil {
			if keep, err = l.maybeRepair(err, keep, 0); err != nil {
				return err
			}
		}
	}
	if d.base > 0 {
		if err := l.snapshot(); err != nil {
			_, err = l.maybeRepair(err, nil, 0)
			return err
		}
	}
	keep, err = l.logs(keep)
	if err != nil {
		return err
	}
	if err := d.clean(names); err != nil {
		return err
	}
	d.earlier = keep
	next := max(d.base, 1)
	if len(keep) > 0 {
		next = keep[len(keep)-1] + 1
	}
	return d.beginSegment(next)
}

// damage is something in a file that was durable and is not readable any more.
type damage struct {
	name   string
	offset int64
	why    string
}

// missing is a damage's why when there is no such file, although there are later ones.
const missing = " is missing"

func (e damage) Error() string {
	if e.why == missing {
		return e.name + missing
	}
	return fmt.Sprintf("%s is damaged at byte %d: %s", e.name, e.offset, e.why)
}

type loading struct {
	d           *Disk
	take        func(Item) error
	done, total int64
}

func (l *loading) measure(segments []uint64) error {
	names := make([]string, 0, len(segments)+1)
	for _, n := range segments {
		names = append(names, fileName(n, logSuffix))
	}
	if l.d.base > 0 {
		names = append(names, fileName(l.d.base, snapshotSuffix))
	}
	for _, name := range names {
		f, size, err := l.d.fs.Open(name)
		if err != nil {
			return err
		}
		f.Close()
		l.total += size
	}
	return nil
}

// snapshot reads the snapshot; it was durable before it had its name.
func (l *loading) snapshot() error {
	name := fileName(l.d.base, snapshotSuffix)
	end, ended, err := l.file(name, magicSnapshot, l.d.base, true)
	if err == nil && !ended {
		err = damage{name, end, "its end is missing"}
	}
	l.d.usage.SnapshotBytes = end
	return err
}

// logs reads the segments and returns those that are to stay.
func (l *loading) logs(segments []uint64) ([]uint64, error) {
	expect := max(l.d.base, 1)
	for i, n := range segments {
		if n != expect {
			return l.maybeRepair(damage{fileName(expect, logSuffix), 0, missing}, segments, i)
		}
		expect++
		name := fileName(n, logSuffix)
		end, whole, err := l.file(name, magicLog, n, false)
		l.d.usage.LogBytes += end
		switch {
		case err == nil && whole && i < len(segments)-1:
			continue
		case err == nil && whole:
			// What a process that was killed had written may not be on the disk yet.
			if err := l.d.fs.Truncate(name, end); err != nil {
				return nil, fmt.Errorf("sync %s: %w", name, err)
			}
			continue
		case err != nil:
			return l.maybeRepair(err, segments, i)
		case i < len(segments)-1:
			return l.maybeRepair(damage{name, end, "it was durable when the next one began"}, segments, i)
		}
		// The last one ends in something that was never synced.
		l.d.log.Warn("the end of the log is torn and was cut off; it had not been synced", "file", name, "at", end)
		if end < fileHead {
			if err := l.d.fs.Remove(name); err != nil {
				return nil, err
			}
			return segments[:i], nil
		}
		if err := l.d.fs.Truncate(name, end); err != nil {
			return nil, fmt.Errorf("cut off the end of %s: %w", name, err)
		}
	}
	return segments, nil
}

// file hands over the records of a file. It returns where that ended and whether that is the file's end; an
// error if the rest had been durable.
func (l *loading) file(name, magic string, number uint64, snapshot bool) (end int64, whole bool, err error) {
	f, size, err := l.d.fs.Open(name)
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, int(min(size+16, 1<<20)))
	var head [fileHead]byte
	n, err := io.ReadFull(r, head[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, false, unreadable(name, err)
	}
	switch err := checkFileHead(head[:n], magic, number); {
	case errors.Is(err, errTorn):
		return 0, false, l.unlessTorn(name, r, 0, 0, snapshot)
	case err != nil:
		return 0, false, fmt.Errorf("%s/%s %w", l.d.fs.Name(), name, err)
	}
	end = fileHead
	l.done += fileHead
	for expect := uint32(0); end < size; expect++ {
		var fh [frameHead]byte
		n, err := io.ReadFull(r, fh[:])
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return end, false, unreadable(name, err)
		}
		fr, ok := parseFrameHead(fh[:n])
		if !ok || fr.number != expect || int64(fr.stored) > size-end-frameHead {
			return end, false, l.unlessTorn(name, io.MultiReader(bytes.NewReader(fh[:n]), r), end, expect, snapshot)
		}
		body := make([]byte, fr.stored)
		if _, err := io.ReadFull(r, body); err != nil {
			return end, false, unreadable(name, err)
		}
		if !l.d.opt.Fault.TrustSums && !fr.fits(body) {
			return end, false, l.unlessTorn(name, io.MultiReader(bytes.NewReader(fh[1:]), bytes.NewReader(body), r), end, expect, snapshot)
		}
		if snapshot && fr.raw == 0 {
			return end + frameHead, end+frameHead == size, nil
		}
		l.done += int64(frameHead + fr.stored)
		err = fr.unpack(body, func(record []byte) error {
			return l.take(Item{Record: record, Snapshot: snapshot, Done: l.done, Total: l.total})
		})
		var t taken
		switch {
		case errors.As(err, &t):
			return end, false, t.error
		case err != nil:
			return end, false, damage{name, end, err.Error()}
		}
		end += int64(frameHead + fr.stored)
	}
	return end, !snapshot, nil
}

func unreadable(name string, err error) error { return fmt.Errorf("read %s: %w", name, err) }

// unlessTorn looks through what follows the place at which a file cannot be read any more: a frame there that
// was written when this place had been synced makes it damage.
func (l *loading) unlessTorn(name string, r io.Reader, at int64, number uint32, snapshot bool) error {
	if snapshot {
		return damage{name, at, "something else was written there, or its end is missing"}
	}
	rest, err := io.ReadAll(r)
	if err != nil {
		return unreadable(name, err)
	}
	magic := binary.LittleEndian.AppendUint32(nil, frameMagic)
	for {
		i := bytes.Index(rest, magic)
		if i < 0 {
			return nil
		}
		rest = rest[i:]
		f, ok := parseFrameHead(rest)
		if ok && f.number >= number && f.synced > at && f.stored <= len(rest)-frameHead && f.fits(rest[frameHead:frameHead+f.stored]) {
			return damage{name, at, "what follows says that this was synced"}
		}
		rest = rest[1:]
	}
}

// maybeRepair puts what is damaged, and all behind it, aside, when it was told to.
func (l *loading) maybeRepair(err error, segments []uint64, from int) ([]uint64, error) {
	var d damage
	if !errors.As(err, &d) {
		return nil, err
	}
	if !l.d.opt.Repair {
		return nil, fmt.Errorf("%s/%w. Start once with --repair to put it and what follows aside (*%s): the copy is then as it was before that, and takes what it lacks from the others", l.d.fs.Name(), d, damagedSuffix)
	}
	aside := []string{}
	if strings.HasSuffix(d.name, snapshotSuffix) {
		aside = append(aside, d.name)
		l.d.base, l.d.usage = 0, Usage{}
	}
	for _, n := range segments[from:] {
		name := fileName(n, logSuffix)
		if name != d.name || d.offset < fileHead || !strings.HasSuffix(d.name, logSuffix) {
			aside = append(aside, name)
			continue
		}
		if err := l.keepBeginning(name, d.offset); err != nil {
			return nil, err
		}
		from++
	}
	for _, name := range aside {
		to, err := l.aside(name)
		if err == nil {
			err = l.d.fs.Rename(name, to)
		}
		if err != nil {
			return nil, fmt.Errorf("put %s aside: %w", name, err)
		}
	}
	l.d.repaired = true
	l.d.log.Warn("the storage was repaired: what could not be read, and all behind it, was put aside", "dir", l.d.fs.Name(), "why", err, "aside", aside)
	return segments[:from], l.d.fs.SyncDir()
}

// aside is a name for what was put aside: nothing is overwritten.
func (l *loading) aside(name string) (string, error) {
	names, err := l.d.fs.Names()
	to := name + damagedSuffix
	for i := 2; slices.Contains(names, to); i++ {
		to = fmt.Sprintf("%s%s%d", name, damagedSuffix, i)
	}
	return to, err
}

// keepBeginning copies a segment aside and cuts the original where the damage begins.
func (l *loading) keepBeginning(name string, size int64) error {
	from, _, err := l.d.fs.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	copied, err := l.aside(name)
	if err != nil {
		return err
	}
	to, err := l.d.fs.Create(copied)
	if err != nil {
		return err
	}
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		return fmt.Errorf("put %s aside: %w", name, err)
	}
	if err := to.Sync(); err != nil {
		return fmt.Errorf("put %s aside: %w", name, err)
	}
	return l.d.fs.Truncate(name, size)
}

// clean removes what an earlier life would have removed: replaced files and unfinished snapshots.
func (d *Disk) clean(names []string) error {
	removed := false
	for _, name := range names {
		n, isSnapshot := numberOf(name, snapshotSuffix)
		s, isLog := numberOf(name, logSuffix)
		old := isSnapshot && n < d.base || isLog && s < d.base
		base, isNew := strings.CutSuffix(name, newSuffix)
		if _, unfinished := numberOf(base, snapshotSuffix); old || isNew && unfinished {
			if err := d.fs.Remove(name); err != nil {
				return fmt.Errorf("remove %s: %w", name, err)
			}
			removed = true
		}
	}
	if removed {
		return d.fs.SyncDir()
	}
	return nil
}
