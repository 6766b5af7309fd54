// Package storagetest says what a node expects of its storage, in tests that every storage runs.
package storagetest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"brainer/node/storage"
)

// Run tests a storage that keeps what it is given. reopen ends a life that has closed its storage and returns
// the next one's, of the same place.
func Run(t *testing.T, open func(t *testing.T) (reopen func() storage.Storage)) {
	for _, c := range []struct {
		name string
		test func(*testing.T, func() storage.Storage)
	}{
		{"what is appended comes back in order", testAppend},
		{"a snapshot replaces what came before it", testSnapshot},
		{"an unfinished snapshot replaces nothing", testUnfinished},
		{"records of any size come back", testSizes},
		{"whoever takes the records can refuse them", testRefuse},
		{"usage falls with a snapshot", testUsage},
		{"syncing nothing is no error", testSyncNothing},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// Loaded returns what a storage hands over.
func Loaded(t testing.TB, s storage.Storage) (snapshot, log []string) {
	t.Helper()
	done := int64(0)
	err := s.Load(func(i storage.Item) error {
		if i.Done < done || i.Done > i.Total {
			t.Fatalf("progress %d, then %d of %d", done, i.Done, i.Total)
		}
		done = i.Done
		if i.Snapshot {
			if len(log) > 0 {
				t.Fatal("a record of the snapshot comes behind one of the log")
			}
			snapshot = append(snapshot, string(i.Record))
		} else {
			log = append(log, string(i.Record))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return snapshot, log
}

// Do fails the test at the first error.
func Do(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, s storage.Storage, snapshot, log string) {
	t.Helper()
	a, b := Loaded(t, s)
	if got := fmt.Sprint(a, b); got != "["+snapshot+"] ["+log+"]" {
		t.Fatalf("%.200s, want [%s] [%s]", got, snapshot, log)
	}
}

func testAppend(t *testing.T, reopen func() storage.Storage) {
	s := reopen()
	expect(t, s, "", "")
	Do(t, s.Append([]byte("a"), []byte("b")), s.Append([]byte("c")), s.Sync(), s.Append([]byte("d")), s.Sync(), s.Close())
	s = reopen()
	expect(t, s, "", "a b c d")
	Do(t, s.Append([]byte("e")), s.Sync(), s.Close())
	s = reopen()
	expect(t, s, "", "a b c d e")
	Do(t, s.Close())
}

func testSnapshot(t *testing.T, reopen func() storage.Storage) {
	s := reopen()
	expect(t, s, "", "")
	Do(t, s.Append([]byte("a")), s.BeginSnapshot(), s.AppendSnapshot([]byte("A")), s.Append([]byte("b")),
		s.AppendSnapshot([]byte("B")), s.CommitSnapshot(), s.Append([]byte("c")), s.Sync(), s.Close())
	s = reopen()
	expect(t, s, "A B", "b c")
	Do(t, s.Append([]byte("d")), s.BeginSnapshot(), s.AppendSnapshot([]byte("C")), s.CommitSnapshot(), s.Close())
	s = reopen()
	expect(t, s, "C", "")
	Do(t, s.Append([]byte("e")), s.Sync(), s.Close())
	s = reopen()
	expect(t, s, "C", "e")
	Do(t, s.Close())
}

func testUnfinished(t *testing.T, reopen func() storage.Storage) {
	s := reopen()
	expect(t, s, "", "")
	Do(t, s.Append([]byte("a")), s.BeginSnapshot(), s.AppendSnapshot([]byte("A")), s.Append([]byte("b")), s.Sync(), s.Close())
	s = reopen()
	expect(t, s, "", "a b")
	Do(t, s.BeginSnapshot(), s.AppendSnapshot([]byte("B")), s.Append([]byte("c")), s.AbortSnapshot(), s.AbortSnapshot(),
		s.BeginSnapshot(), s.AppendSnapshot([]byte("C")), s.Append([]byte("d")), s.CommitSnapshot(), s.Sync(), s.Close())
	s = reopen()
	expect(t, s, "C", "d")
	Do(t, s.Close())
}

func testSizes(t *testing.T, reopen func() storage.Storage) {
	s := reopen()
	expect(t, s, "", "")
	var want [][]byte
	for _, n := range []int{0, 1, 127, 128, 1 << 16, 3 << 20} {
		r := make([]byte, n)
		for i := range r {
			r[i] = byte(i * i >> 3)
		}
		want = append(want, r)
	}
	Do(t, s.Append(want...), s.Sync(), s.BeginSnapshot())
	for _, r := range want {
		Do(t, s.AppendSnapshot(r), s.Append(r))
	}
	Do(t, s.CommitSnapshot(), s.Sync(), s.Close())
	s = reopen()
	snapshot, log := Loaded(t, s)
	if len(snapshot) != len(want) || len(log) != len(want) {
		t.Fatalf("%d and %d records", len(snapshot), len(log))
	}
	for i, r := range want {
		if !bytes.Equal([]byte(snapshot[i]), r) || !bytes.Equal([]byte(log[i]), r) {
			t.Errorf("the record of %d bytes is another", len(r))
		}
	}
	Do(t, s.Close())
}

func testRefuse(t *testing.T, reopen func() storage.Storage) {
	s := reopen()
	expect(t, s, "", "")
	Do(t, s.Append([]byte("a")), s.Append([]byte("b")), s.Sync(), s.Close())
	s = reopen()
	no := errors.New("no")
	if err := s.Load(func(storage.Item) error { return no }); !errors.Is(err, no) {
		t.Fatalf("%v", err)
	}
	Do(t, s.Close())
	s = reopen()
	expect(t, s, "", "a b")
	Do(t, s.Close())
}

func testUsage(t *testing.T, reopen func() storage.Storage) {
	s := reopen()
	expect(t, s, "", "")
	big := make([]byte, 1<<16)
	for i := range big {
		big[i] = byte(i * i >> 5)
	}
	Do(t, s.Append(big), s.Sync())
	before := s.Usage()
	Do(t, s.BeginSnapshot(), s.AppendSnapshot([]byte("A")), s.CommitSnapshot())
	if after := s.Usage(); before.LogBytes <= after.LogBytes || after.SnapshotBytes == 0 {
		t.Fatalf("%+v, then %+v", before, after)
	}
	want := s.Usage()
	Do(t, s.Close())
	s = reopen()
	expect(t, s, "A", "")
	if got := s.Usage(); got.SnapshotBytes != want.SnapshotBytes {
		t.Fatalf("%+v, in the life before %+v", got, want)
	}
	Do(t, s.Close())
}

func testSyncNothing(t *testing.T, reopen func() storage.Storage) {
	s := reopen()
	expect(t, s, "", "")
	Do(t, s.Sync(), s.Append(), s.Sync(), s.Close())
	s = reopen()
	expect(t, s, "", "")
	Do(t, s.Close())
}
