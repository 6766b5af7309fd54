package node

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"brainer/internal/wire"
	"brainer/node/replica"
	"brainer/node/storage"
	"brainer/node/storage/simfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// gate is a storage whose syncs wait to be let through.
type gate struct {
	storage.Memory
	syncs chan struct{}
	fail  error
}

func (g *gate) Sync() error {
	<-g.syncs
	return g.fail
}

func entries(from, to uint64) (cs []replica.Change) {
	for i := from; i <= to; i++ {
		e := wire.AppendEntry(nil, &wire.Entry{Kind: wire.EntryTick, TimeMs: 1})
		cs = append(cs, replica.Change{Kind: replica.ChangeEntry, Position: wire.Position{Era: 1, Index: i}, Bytes: e})
	}
	return cs
}

func start(t *testing.T, s storage.Storage, fsync Fsync) (*keeper, chan struct{}) {
	t.Helper()
	kicks := make(chan struct{}, 100)
	k, err := startKeeper(s, fsync, quiet, func() { kicks <- struct{}{} }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return k, kicks
}

// patience is how long a test waits for what must happen: it costs nothing when it does.
const patience = 30 * time.Second

func await(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatal("it does not come")
	}
}

func TestUnderAlwaysNothingIsToldBeforeItIsSynced(t *testing.T) {
	g := &gate{syncs: make(chan struct{}, 10)}
	g.syncs <- struct{}{} // of the start
	k, kicks := start(t, g, Fsync{Always: true})
	if k.mark() != 0 {
		t.Error("nothing was put, and something is waited for")
	}
	k.enqueue(entries(1, 3))
	mark := k.mark()
	if mark != 3 || k.keptUpTo(mark) != 0 {
		t.Errorf("mark %d, kept %d", mark, k.keptUpTo(mark))
	}
	g.syncs <- struct{}{}
	await(t, kicks)
	if k.keptUpTo(mark) != 3 || k.mark() != 0 {
		t.Errorf("kept %d", k.keptUpTo(mark))
	}
	g.syncs <- struct{}{}
	if err := k.end(); err != nil {
		t.Error(err)
	}
}

func TestOtherwiseNothingWaitsForTheDisk(t *testing.T) {
	g := &gate{syncs: make(chan struct{}, 10)}
	g.syncs <- struct{}{}
	k, _ := start(t, g, Fsync{Every: 2})
	k.enqueue(entries(1, 5))
	if k.mark() != 0 {
		t.Error("something is waited for")
	}
	g.syncs <- struct{}{}
	g.syncs <- struct{}{}
	if err := k.end(); err != nil {
		t.Error(err)
	}
}

func TestADiskThatFailsLetsEverythingPass(t *testing.T) {
	g := &gate{syncs: make(chan struct{}, 10)}
	g.syncs <- struct{}{}
	k, kicks := start(t, g, Fsync{Always: true})
	g.fail = syscall.ENOSPC
	k.enqueue(entries(1, 3))
	mark := k.mark()
	if k.keptUpTo(mark) != 0 {
		t.Error("it is kept before it was synced")
	}
	g.syncs <- struct{}{}
	await(t, kicks)
	if !errors.Is(k.stopped(), syscall.ENOSPC) || k.keptUpTo(mark) < mark || k.mark() != 0 {
		t.Errorf("stopped: %v, kept %d of %d", k.stopped(), k.keptUpTo(mark), mark)
	}
	k.enqueue(entries(4, 4))
	if k.mark() != 0 {
		t.Error("a stopped disk is waited for")
	}
	if err := k.end(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
}

func TestTheOwnerWaitsWhenTooMuchWaitsForTheDisk(t *testing.T) {
	g := &gate{syncs: make(chan struct{}, 10)}
	g.syncs <- struct{}{}
	k, _ := start(t, g, Fsync{Always: true})
	big := []replica.Change{{Kind: replica.ChangeRecord, Bytes: make([]byte, keptBytesMax+1)}}
	k.enqueue(big)
	through := make(chan struct{})
	go func() {
		defer close(through)
		k.enqueue(entries(1, 1))
	}()
	select {
	case <-through:
		t.Error("there was room for more")
	default:
	}
	if k.room() {
		t.Error("there is room for a snapshot")
	}
	g.syncs <- struct{}{}
	await(t, through)
	g.syncs <- struct{}{}
	g.syncs <- struct{}{}
	if err := k.end(); err != nil {
		t.Error(err)
	}
}

// What a keeper writes comes back record by record, entries of one era in one record.
func TestWhatIsKeptComesBack(t *testing.T) {
	sim := simfs.New(rand.New(rand.NewPCG(1, 1)))
	open := func() *storage.Disk {
		d, err := storage.OpenDisk(sim.Mount(), storage.Options{Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	load := func(d *storage.Disk) (got []string) {
		err := d.Load(func(i storage.Item) error {
			got = append(got, fmt.Sprintf("%c%d", i.Record[0], len(i.Record)))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	d := open()
	load(d)
	k, _ := start(t, d, Fsync{})
	changes := append(entries(1, 3), replica.Change{Kind: replica.ChangeSnapshot, Bytes: []byte("S")},
		replica.Change{Kind: replica.ChangeChunk, Bytes: []byte("C")})
	changes = append(changes, entries(4, 5)...)
	changes = append(changes, replica.Change{Kind: replica.ChangeSnapshotEnd, Bytes: []byte("T")},
		replica.Change{Kind: replica.ChangeRecord, Bytes: []byte("P")})
	k.enqueue(changes)
	if err := k.end(); err != nil {
		t.Fatal(err)
	}
	sim.Crash()
	one := len(entries(1, 1)[0].Bytes)
	want := fmt.Sprint([]string{"S1", "C1", "T1", fmt.Sprintf("E%d", 25+2*one), "P1", "G1"})
	if got := fmt.Sprint(load(open())); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestFsyncIsParsed(t *testing.T) {
	for s, want := range map[string]Fsync{"always": {Always: true}, "everysec": {}, "100": {Every: 100}} {
		if f, err := ParseFsync(s); err != nil || f != want || f.String() != s {
			t.Errorf("%s: %v %v", s, f, err)
		}
	}
	for _, s := range []string{"", "never", "0", "-1", "1.5"} {
		if _, err := ParseFsync(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}
