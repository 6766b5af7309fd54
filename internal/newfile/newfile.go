// Package newfile writes files that take the place of what was there when they are whole and durable, and not before.
package newfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Suffix ends the name of a file that is not whole yet.
const Suffix = ".tmp"

// File is one that is being written.
type File struct {
	*os.File
	path string
}

// Create begins a file, which only its owner may read; what a process that died has left of it is overwritten.
func Create(path string) (*File, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, &os.PathError{Op: "create", Path: path, Err: syscall.EISDIR}
	}
	f, err := os.OpenFile(path+Suffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	var refused *os.PathError
	if errors.As(err, &refused) {
		return nil, &os.PathError{Op: "create", Path: path, Err: refused.Err} // which its caller knows the name of
	}
	return &File{f, path}, err
}

// Commit makes it durable, and what path names. After an error there is what was there before.
func (f *File) Commit() error {
	err := f.Sync()
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = os.Rename(f.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, f.Abandon())
	}
	return syncDir(filepath.Dir(f.path))
}

// Abandon removes what was written.
func (f *File) Abandon() error {
	_ = f.Close() // it may be closed
	return os.Remove(f.Name())
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}
