package saver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"brainer/internal/op"
	"brainer/internal/snapfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// data gives snapshots of one part, when gate lets it.
type data struct {
	index uint64
	keys  int64
	err   error
	gate  chan struct{} // nil: at once
}

func (d *data) read() (op.SnapshotReader, error) {
	d.index++
	return d, nil
}

func (d *data) Next(ctx context.Context) (op.SnapshotPart, error) {
	if d.gate != nil {
		select {
		case <-d.gate:
		case <-ctx.Done():
			return op.SnapshotPart{}, ctx.Err()
		}
	}
	return op.SnapshotPart{Commands: []byte("*1\r\n$4\r\nPING\r\n"), Count: 1, Index: d.index, TimeMs: int64(1_700_000_000_000 + d.index), KeysDone: d.keys, Last: true}, d.err
}

func (d *data) Close() {}

func start(t *testing.T, cfg Config) *Saver {
	t.Helper()
	s, stop := startFor(t, cfg)
	t.Cleanup(stop)
	return s
}

func startFor(t *testing.T, cfg Config) (_ *Saver, stop func()) {
	t.Helper()
	cfg.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	return s, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// patience is how long a test waits for what must happen: it costs nothing when it does.
const patience = 30 * time.Second

func save(t *testing.T, s *Saver) error {
	t.Helper()
	await, err := s.Save()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return await(ctx)
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestSoManyAreKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "with [brackets]")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"brainer-1.snap.tmp", "other file"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := &data{keys: 3}
	s, stop := startFor(t, Config{Dir: dir, Keep: 2, Read: d.read})
	for range 4 {
		if err := save(t, s); err != nil {
			t.Fatal(err)
		}
	}
	got := names(t, dir)
	if len(got) != 4 || !strings.HasSuffix(got[0], "-3.snap") || !strings.HasSuffix(got[1], "-4.snap") || got[2] != "lock" || got[3] != "other file" {
		t.Errorf("%q", got)
	}
	st := s.Status()
	if !st.OK || st.Running || st.LastIndex != 4 || st.LastKeys != 3 || st.LastBytes == 0 || st.Saved != 4 {
		t.Errorf("%+v", st)
	}
	// An empty one drives no other out.
	d.keys = 0
	if err := save(t, s); err != nil || len(names(t, dir)) != 5 {
		t.Errorf("%v, %q", err, names(t, dir))
	}
	// No second one at the same time; the next life knows of it.
	if _, err := New(Config{Dir: dir, Log: slog.Default()}); err == nil || !strings.Contains(err.Error(), "in use by another broker") {
		t.Errorf("two in one directory: %v", err)
	}
	stop()
	next, err := New(Config{Dir: dir, Log: slog.Default()})
	if err != nil {
		t.Fatal(err)
	}
	defer next.lock.Close()
	if next.Status().LastIndex != 5 || !next.Status().OK {
		t.Errorf("%+v", next.Status())
	}
}

func TestFailureLeavesTheOldOne(t *testing.T) {
	dir := t.TempDir()
	d := &data{keys: 1}
	s := start(t, Config{Dir: dir, Keep: 1, Read: d.read})
	if err := save(t, s); err != nil {
		t.Fatal(err)
	}
	d.err = errors.New("ERR the node is gone")
	if err := save(t, s); err != d.err {
		t.Errorf("%v", err)
	}
	if got := names(t, dir); len(got) != 2 || !strings.HasSuffix(got[0], "-1.snap") {
		t.Errorf("%q", got)
	}
	if st := s.Status(); st.OK || st.Failures != 1 || st.LastIndex != 1 {
		t.Errorf("%+v", st)
	}
	f, err := os.Open(filepath.Join(dir, names(t, dir)[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := snapfile.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err != nil || !strings.Contains(string(b), "PING") {
		t.Errorf("%q, %v", b, err)
	}
}

func TestOneAtATime(t *testing.T) {
	d := &data{keys: 1, gate: make(chan struct{})}
	s := start(t, Config{Dir: t.TempDir(), Keep: 1, Read: d.read})
	await, err := s.Save()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(); err != ErrRunning || !s.Status().Running {
		t.Errorf("a second one: %v", err)
	}
	close(d.gate)
	if err := await(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSavesByTheClock(t *testing.T) {
	d := &data{keys: 1, gate: make(chan struct{})}
	start(t, Config{Dir: t.TempDir(), Every: time.Millisecond, Keep: 1, Read: d.read})
	for range 3 {
		select {
		case d.gate <- struct{}{}:
		case <-time.After(patience):
			t.Fatal("no snapshot is taken")
		}
	}
}
