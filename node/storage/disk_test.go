package storage_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"brainer/node/storage"
	"brainer/node/storage/simfs"
	"brainer/node/storage/storagetest"
)

var quiet = slog.New(slog.DiscardHandler)

func TestDiskIsAStorage(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) func() storage.Storage {
		path := filepath.Join(t.TempDir(), "data")
		return func() storage.Storage {
			fs, err := storage.Dir(path)
			storagetest.Do(t, err)
			d, err := storage.OpenDisk(fs, storage.Options{Log: quiet, SegmentBytes: 100_000})
			storagetest.Do(t, err)
			return d
		}
	})
}

func TestSimulatedDiskIsAStorage(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) func() storage.Storage {
		sim := simfs.New(rand.New(rand.NewPCG(1, 1)))
		return func() storage.Storage {
			sim.Crash()
			return open(t, sim, storage.Options{})
		}
	})
}

func open(t testing.TB, sim *simfs.Disk, o storage.Options) *storage.Disk {
	t.Helper()
	o.Log = quiet
	d, err := storage.OpenDisk(sim.Mount(), o)
	storagetest.Do(t, err)
	return d
}

// life is what a process did with its storage until it was cut off.
type life struct {
	synced  int // records that were synced
	written int
}

// crashOnce lives once on a disk, appending numbered records from next on, and returns what must and may be there then.
func crashOnce(sim *simfs.Disk, r *rand.Rand, o storage.Options, next int) (l life, err error) {
	o.Log = quiet
	d, err := storage.OpenDisk(sim.Mount(), o)
	if err != nil {
		return l, err
	}
	has, err := held(d)
	if err != nil {
		return l, err
	}
	l = life{next, next}
	if has < next {
		return l, fmt.Errorf("%d records of %d that were synced", has, next)
	}
	l.written, l.synced = has, next
	inSnapshot := 0
	sim.DiesIn = 1 + r.IntN(80)
	defer func() {
		sim.DiesIn = 0
		if errors.Is(err, simfs.ErrDead) {
			err = nil
		}
	}()
	for range r.IntN(40) {
		switch k := r.IntN(10); {
		case k < 5:
			var rs [][]byte
			for range 1 + r.IntN(3) {
				rs = append(rs, record(l.written))
				l.written++
			}
			err = d.Append(rs...)
		case k < 8:
			if err = d.Sync(); err == nil {
				l.synced = l.written
			}
		case inSnapshot == 0:
			if err = d.BeginSnapshot(); err == nil {
				inSnapshot = 1
				l.synced = l.written // the segment was ended
				for i := 0; i < l.written && err == nil; i++ {
					err = d.AppendSnapshot(record(i))
				}
			}
		case k == 8:
			err, inSnapshot = d.AbortSnapshot(), 0
		default:
			err, inSnapshot = d.CommitSnapshot(), 0
		}
		if err != nil {
			return l, err
		}
	}
	return l, nil
}

func record(i int) []byte {
	return []byte(fmt.Sprintf("%d %s", i, strings.Repeat(fmt.Sprint(i*i), i%50*i%7)))
}

// held counts the records, which must be in order from 0 on.
func held(d *storage.Disk) (n int, err error) {
	err = d.Load(func(i storage.Item) error {
		if string(i.Record) != string(record(n)) {
			return fmt.Errorf("record %d is %.30q", n, i.Record)
		}
		n++
		return nil
	})
	return n, err
}

// crashes lets a disk lose power many times.
func crashes(seed uint64, o storage.Options) error {
	r := rand.New(rand.NewPCG(seed, 7))
	sim := simfs.New(r)
	o.SegmentBytes = 200 + r.Int64N(3000)
	next := 0
	for range 6 {
		l, err := crashOnce(sim, r, o, next)
		if err != nil {
			return err
		}
		next = l.synced
		if r.IntN(2) == 0 {
			sim.Kill()
			continue
		}
		sim.Crash()
	}
	return nil
}

func TestWhatWasSyncedSurvivesPowerFailures(t *testing.T) {
	for seed := uint64(1); seed <= 2000; seed++ {
		if err := crashes(seed, storage.Options{}); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func TestPlantedFaultsOfTheDiskAreFound(t *testing.T) {
	for name, f := range map[string]storage.Fault{
		"RenameEarly":  {RenameEarly: true},
		"CommitNoSync": {CommitNoSync: true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); seed <= 500; seed++ {
				if err := crashes(seed, storage.Options{Fault: f}); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Error("not found")
		})
	}
}

// kept returns a disk with records 0 to 29, each synced, in several segments behind a snapshot of the first ten.
func kept(t *testing.T) *simfs.Disk {
	t.Helper()
	sim := simfs.New(rand.New(rand.NewPCG(1, 2)))
	d := open(t, sim, storage.Options{SegmentBytes: 300})
	storagetest.Loaded(t, d)
	for i := range 30 {
		if i == 10 {
			storagetest.Do(t, d.BeginSnapshot())
			for k := range i {
				storagetest.Do(t, d.AppendSnapshot(record(k)))
			}
			storagetest.Do(t, d.CommitSnapshot())
		}
		storagetest.Do(t, d.Append(record(i)), d.Sync())
	}
	storagetest.Do(t, d.Close())
	return sim
}

func TestEveryThirdFlippedBitIsNoticed(t *testing.T) {
	for name, size := range kept(t).Files() {
		for bit := 0; bit < size*8; bit += 3 {
			sim := kept(t)
			before := sim.Files()
			sim.FlipBit(name, bit)
			d := open(t, sim, storage.Options{SegmentBytes: 300})
			n, err := held(d)
			switch {
			case err == nil && n < 29: // but the last record, of which nothing says that it was synced
				t.Fatalf("%s bit %d: %d records", name, bit, n)
			case err != nil && strings.Contains(err.Error(), "\n"):
				t.Fatalf("more than one line: %v", err)
			case err != nil && fmt.Sprint(before) != fmt.Sprint(sim.Files()):
				t.Fatalf("%s bit %d: files were changed: %v, then %v", name, bit, before, sim.Files())
			case err != nil:
				storagetest.Do(t, d.Close())
				repaired := open(t, sim, storage.Options{SegmentBytes: 300, Repair: true})
				if n, err := held(repaired); err == nil {
					if !repaired.Repaired() || n > 29 {
						t.Fatalf("%s bit %d: repaired, %d records", name, bit, n)
					}
					storagetest.Do(t, repaired.Append(record(n)), repaired.Sync(), repaired.Close())
					again := open(t, sim, storage.Options{})
					if m, err := held(again); err != nil || m != n+1 {
						t.Fatalf("%s bit %d: after a repair and one more of %d: %d %v", name, bit, n, m, err)
					}
				} else if !strings.Contains(err.Error(), "is no file of a node's storage") {
					t.Fatalf("%s bit %d: repair: %v", name, bit, err)
				}
			}
		}
	}
}

func TestTrustedSumsAreFound(t *testing.T) {
	for bit := range 2000 {
		sim := kept(t)
		for name := range sim.Files() {
			sim.FlipBit(name, bit)
		}
		_, err := held(open(t, sim, storage.Options{Fault: storage.Fault{TrustSums: true}}))
		if err != nil && strings.Contains(err.Error(), "record ") {
			t.Logf("bit %d: %v", bit, err)
			return
		}
	}
	t.Error("no flipped bit was taken for data")
}

func TestATailThatIsCutAnywhereLeavesWhatWasBefore(t *testing.T) {
	whole := kept(t)
	names := []string{}
	for name := range whole.Files() {
		names = append(names, name)
	}
	slices.Sort(names)
	last := names[len(names)-1]
	if strings.HasSuffix(last, ".snap") {
		last = names[len(names)-2]
	}
	content := whole.Get(last)
	for n := range content {
		sim := kept(t)
		sim.Put(last, content[:n])
		d := open(t, sim, storage.Options{})
		got, err := held(d)
		if err != nil || got < 10 || got > 30 {
			t.Fatalf("cut at %d of %d: %d records, %v", n, len(content), got, err)
		}
		storagetest.Do(t, d.Append(record(got)), d.Sync(), d.Close())
		if m, err := held(open(t, sim, storage.Options{})); err != nil || m != got+1 {
			t.Fatalf("cut at %d, one more of %d: %d %v", n, got, m, err)
		}
	}
}

func TestAMissingSegmentOrSnapshotIsRefused(t *testing.T) {
	for name := range kept(t).Files() {
		sim := kept(t)
		m := sim.Mount()
		storagetest.Do(t, m.Remove(name), m.SyncDir())
		n, err := held(open(t, sim, storage.Options{}))
		lastGone := err == nil && n >= 20
		if !lastGone && (err == nil || !strings.Contains(err.Error(), "missing")) {
			t.Errorf("without %s: %d records, %v", name, n, err)
		}
	}
}

func TestFullAndReadOnlyDisks(t *testing.T) {
	sim := simfs.New(rand.New(rand.NewPCG(1, 3)))
	d := open(t, sim, storage.Options{})
	storagetest.Loaded(t, d)
	storagetest.Do(t, d.Append(record(0)), d.Sync())
	sim.FullAt = 150
	n := 1
	var err error
	for ; err == nil && n < 100; n++ {
		err = d.Append(record(n))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("%v", err)
	}
	sim.FullAt = 0
	if again := d.Append(record(n)); !errors.Is(again, syscall.ENOSPC) {
		t.Errorf("after a write that was cut short: %v", again)
	}
	sim.Kill()
	if m, err := held(open(t, sim, storage.Options{})); err != nil || m < 1 || m >= n {
		t.Errorf("%d records, %v", m, err)
	}
	sim.Kill()
	sim.ReadOnly = true
	if _, err := storage.OpenDisk(sim.Mount(), storage.Options{Log: quiet}); !errors.Is(err, syscall.EROFS) {
		t.Errorf("read-only: %v", err)
	}
}

func TestASnapshotThatFindsNoRoomLeavesTheLog(t *testing.T) {
	sim := simfs.New(rand.New(rand.NewPCG(1, 4)))
	d := open(t, sim, storage.Options{})
	storagetest.Loaded(t, d)
	storagetest.Do(t, d.Append(record(0)), d.BeginSnapshot())
	sim.FullAt = 200
	var err error
	for err == nil {
		err = d.AppendSnapshot(record(49))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	storagetest.Do(t, d.AbortSnapshot(), d.Append(record(1)), d.Sync(), d.Close())
	if n, err := held(open(t, sim, storage.Options{})); n != 2 || err != nil {
		t.Errorf("%d records, %v", n, err)
	}
}

func TestAFailedSyncIsNotForgotten(t *testing.T) {
	sim := simfs.New(rand.New(rand.NewPCG(1, 5)))
	d := open(t, sim, storage.Options{})
	storagetest.Loaded(t, d)
	storagetest.Do(t, d.Append(record(0)))
	sim.SyncErr = syscall.EIO
	first := d.Sync()
	sim.SyncErr = nil
	if second := d.Sync(); !errors.Is(first, syscall.EIO) || !errors.Is(second, syscall.EIO) {
		t.Errorf("%v, then %v", first, second)
	}
}

func TestWhatIsRefused(t *testing.T) {
	dir := func(files map[string]string) string {
		path := t.TempDir()
		for name, content := range files {
			storagetest.Do(t, os.WriteFile(filepath.Join(path, name), []byte(content), 0o600))
		}
		return path
	}
	newer := []byte("BRAINLOG\x02\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00")
	newer = storage.AppendSum(newer)
	for _, c := range []struct {
		name, want string
		path       string
	}{
		{"a directory of something else", "holds nothing of a node's", dir(map[string]string{"photo.jpg": "x"})},
		{"a foreign file", "is no file of a node's storage", dir(map[string]string{"0000000001.log": "some text that is long enough"})},
		{"a newer version", "newer run_node (format 2, this one knows 1)", dir(map[string]string{"0000000001.log": string(newer)})},
		{"a snapshot cut short", "damaged", dir(map[string]string{"0000000003.snap": "BRAINSNP"})},
	} {
		before := tree(t, c.path)
		fs, err := storage.Dir(c.path)
		storagetest.Do(t, err)
		d, err := storage.OpenDisk(fs, storage.Options{Log: quiet})
		if err == nil {
			err = d.Load(func(storage.Item) error { return nil })
			storagetest.Do(t, d.Close())
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", c.name, err)
		}
		if after := tree(t, c.path); before != strings.Replace(after, "lock= ", "", 1) {
			t.Errorf("%s: %s became %s", c.name, before, after)
		}
	}
	file := filepath.Join(dir(map[string]string{"f": ""}), "f")
	if _, err := storage.Dir(file); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("a file as directory: %v", err)
	}
}

func tree(t *testing.T, path string) (s string) {
	t.Helper()
	entries, err := os.ReadDir(path)
	storagetest.Do(t, err)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(path, e.Name()))
		storagetest.Do(t, err)
		s += e.Name() + "=" + string(b) + " "
	}
	return s
}

func TestOnlyOneProcessHasADirectory(t *testing.T) {
	path := t.TempDir()
	open := func() (*storage.Disk, error) {
		fs, err := storage.Dir(path)
		storagetest.Do(t, err)
		return storage.OpenDisk(fs, storage.Options{Log: quiet})
	}
	first, err := open()
	storagetest.Do(t, err)
	if _, err := open(); err == nil || !strings.Contains(err.Error(), "in use by another node") {
		t.Errorf("%v", err)
	}
	storagetest.Do(t, first.Close())
	second, err := open()
	storagetest.Do(t, err, second.Close())
}

func TestADirectoryOfAnotherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory away")
	}
	path := t.TempDir()
	storagetest.Do(t, os.Chown(path, 12345, 12345))
	if _, err := storage.Dir(path); err == nil || !strings.Contains(err.Error(), "belongs to user 12345") {
		t.Errorf("%v", err)
	}
}
