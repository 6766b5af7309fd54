package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"brainer/broker/replication"
	"brainer/internal/dirlock"
	"brainer/internal/newfile"
)

// ViewStore keeps the record of the in-sync set. Save returns when it is durable; it is called from
// a goroutine of its own, one call at a time.
type ViewStore interface {
	Load() (replication.View, error)
	Save(replication.View) error
}

// FileStore keeps the record in a directory: one line of JSON behind its checksum, written beside
// and renamed, so that a torn write leaves the record before it.
type FileStore struct {
	dir  string
	lock *os.File
}

const viewFile = "view.json"

// viewFormat is raised when a broker that does not know a field of the record could do harm with it.
const viewFormat = 1

// record is what the file holds; one without a format is of the first.
type record struct {
	Format int `json:"format,omitempty"`
	replication.View
}

// OpenFileStore makes the directory if need be and locks it against a second broker.
func OpenFileStore(dir string) (*FileStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("--state-dir: %w", err)
	}
	lock, err := dirlock.Take(dir)
	switch {
	case errors.Is(err, dirlock.ErrTaken):
		return nil, fmt.Errorf("--state-dir %s is in use by another broker; end it or choose another directory", dir)
	case err != nil:
		return nil, fmt.Errorf("--state-dir: %w", err)
	}
	return &FileStore{dir: dir, lock: lock}, nil
}

// Close releases the directory.
func (s *FileStore) Close() error { return s.lock.Close() }

// Load returns the record, a zero View when there is none yet, and an error when it is damaged.
func (s *FileStore) Load() (replication.View, error) {
	var v replication.View
	path := filepath.Join(s.dir, viewFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return v, nil
	}
	if err != nil {
		return v, fmt.Errorf("read the record of the in-sync set: %w", err)
	}
	sum, line, ok := strings.Cut(strings.TrimSuffix(string(b), "\n"), " ")
	want, err := strconv.ParseUint(sum, 16, 32)
	if !ok || err != nil || uint32(want) != crc32.ChecksumIEEE([]byte(line)) {
		return v, fmt.Errorf("%s is damaged: its checksum does not fit. Move it away to start without a record; nodes that hold data are then refused until brainer-cli recover", path)
	}
	var r record
	switch err := json.Unmarshal([]byte(line), &r); {
	case err != nil:
		return v, fmt.Errorf("%s is damaged: %w", path, err)
	case r.Format > viewFormat:
		return v, fmt.Errorf("%s was written by a newer run_broker (format %d, this one knows %d): run that one", path, r.Format, viewFormat)
	case r.No == 0:
		return v, fmt.Errorf("%s is damaged: it names no record", path)
	}
	return r.View, nil
}

// Save makes the record durable.
func (s *FileStore) Save(v replication.View) error {
	line, err := json.Marshal(record{viewFormat, v})
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%08x %s\n", crc32.ChecksumIEEE(line), line)
	path := filepath.Join(s.dir, viewFile)
	f, err := newfile.Create(path)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		return errors.Join(err, f.Abandon())
	}
	return f.Commit()
}
