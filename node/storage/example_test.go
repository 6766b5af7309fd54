package storage_test

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"brainer/node/storage"
	"brainer/node/storage/storagetest"
)

// EveryN is a storage of one's own: lines of hexadecimal in a text file, which is written every N records.
type EveryN struct {
	N    int
	Path string

	waiting  []string // not written yet
	log      int64
	snapshot []string
	since    []string // appended while a snapshot is being written
	inSnap   bool
	snapLen  int64
}

const endOfSnapshot = "-"

// Load reads the file. A line that says so ends the snapshot, what follows is the log.
func (e *EveryN) Load(take func(storage.Item) error) error {
	lines, err := e.lines()
	end := -1
	for i, line := range lines {
		if line == endOfSnapshot {
			end = i
		}
	}
	for i, line := range lines {
		if err != nil || line == endOfSnapshot {
			continue
		}
		var record []byte
		if record, err = hex.DecodeString(line); err == nil {
			e.count(i < end, line)
			err = take(storage.Item{Record: record, Snapshot: i < end, Done: int64(i + 1), Total: int64(len(lines))})
		}
	}
	return err
}

func (e *EveryN) count(snapshot bool, line string) {
	if snapshot {
		e.snapLen += int64(len(line))
	} else {
		e.log += int64(len(line))
	}
}

func (e *EveryN) lines() (lines []string, err error) {
	f, err := os.Open(e.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<30)
	for s.Scan() {
		lines = append(lines, s.Text())
	}
	return lines, s.Err()
}

// Append writes when N records have come together.
func (e *EveryN) Append(records ...[]byte) error {
	for _, r := range records {
		line := hex.EncodeToString(r)
		e.count(false, line)
		e.waiting = append(e.waiting, line)
		if e.inSnap {
			e.since = append(e.since, line)
		}
		if len(e.waiting) >= e.N {
			if err := e.Sync(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Sync writes what waits.
func (e *EveryN) Sync() error {
	lines := e.waiting
	e.waiting = nil
	return write(e.Path, os.O_APPEND, lines)
}

func write(path string, how int, lines []string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|how, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, line := range lines {
		if _, err := fmt.Fprintln(f, line); err != nil {
			return err
		}
	}
	return f.Sync()
}

func (e *EveryN) BeginSnapshot() error {
	e.snapshot, e.since, e.inSnap = nil, nil, true
	return nil
}

func (e *EveryN) AppendSnapshot(record []byte) error {
	e.snapshot = append(e.snapshot, hex.EncodeToString(record))
	return nil
}

// CommitSnapshot writes a new file beside the old one, and renames it.
func (e *EveryN) CommitSnapshot() error {
	err := write(e.Path+".new", os.O_TRUNC, append(append(e.snapshot, endOfSnapshot), e.since...))
	if err == nil {
		err = os.Rename(e.Path+".new", e.Path)
	}
	e.log, e.snapLen, e.waiting = 0, 0, nil
	for _, line := range e.snapshot {
		e.count(true, line)
	}
	for _, line := range e.since {
		e.count(false, line)
	}
	e.snapshot, e.since, e.inSnap = nil, nil, false
	return err
}

func (e *EveryN) AbortSnapshot() error {
	e.snapshot, e.since, e.inSnap = nil, nil, false
	return nil
}

func (e *EveryN) Usage() storage.Usage {
	return storage.Usage{LogBytes: e.log, SnapshotBytes: e.snapLen}
}

func (e *EveryN) Close() error { return e.Sync() }

// A storage of one's own implements storage.Storage; a node is given it as node.Config's Storage.
func ExampleStorage() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "records")
	var s storage.Storage = &EveryN{N: 3, Path: path}
	for i := 1; i <= 4; i++ {
		if err := s.Append([]byte{byte(i)}); err != nil {
			fmt.Println(err)
		}
		b, _ := os.ReadFile(path)
		fmt.Printf("%d appended, in the file: %q\n", i, b)
	}
	// Output:
	// 1 appended, in the file: ""
	// 2 appended, in the file: ""
	// 3 appended, in the file: "01\n02\n03\n"
	// 4 appended, in the file: "01\n02\n03\n"
}

func TestTheExampleIsAStorage(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) func() storage.Storage {
		path := filepath.Join(t.TempDir(), "records")
		return func() storage.Storage { return &EveryN{N: 2, Path: path} }
	})
}
