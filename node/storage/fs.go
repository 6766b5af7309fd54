package storage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// FS is the directory that Disk writes to: a real one (Dir), or simfs's in tests.
type FS interface {
	Name() string // for people
	Names() ([]string, error)
	Open(name string) (r io.ReadCloser, size int64, err error)
	Create(name string) (File, error) // in place of what there is
	Rename(from, to string) error
	Remove(name string) error
	Truncate(name string, size int64) error // and make that durable
	SyncDir() error                         // makes Create, Rename and Remove durable
	Lock() error                            // against other processes, until Close
	Close() error
}

// File is one that is being written, from its beginning on.
type File interface {
	io.Writer
	Sync() error
	Close() error
}

const lockName = "lock"

// dir is a directory of the operating system.
type dir struct {
	path string
	lock *os.File
}

// Dir returns the directory at path, which is made if need be.
func Dir(path string) (FS, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
			return nil, plain(path+" cannot be made", err)
		}
		return nil, plain(path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, plain(path, err)
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && int(s.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("%s belongs to user %d, and this process is user %d's: run it as the owner, or give it a directory of its own", path, s.Uid, os.Geteuid())
	}
	return &dir{path: path}, nil
}

// plain is an error of the system with the path once.
func plain(path string, err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}

func (d *dir) at(name string) string { return filepath.Join(d.path, name) }

func (d *dir) Name() string { return d.path }

func (d *dir) Names() ([]string, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, plain(d.path, err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

func (d *dir) Open(name string) (io.ReadCloser, int64, error) {
	f, err := os.Open(d.at(name))
	if err != nil {
		return nil, 0, plain(d.at(name), err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (d *dir) Create(name string) (File, error) {
	f, err := os.OpenFile(d.at(name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, plain(d.at(name), err)
	}
	return f, nil
}

func (d *dir) Rename(from, to string) error { return os.Rename(d.at(from), d.at(to)) }

func (d *dir) Remove(name string) error { return os.Remove(d.at(name)) }

func (d *dir) Truncate(name string, size int64) error {
	f, err := os.OpenFile(d.at(name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return err
	}
	return f.Sync()
}

func (d *dir) SyncDir() error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func (d *dir) Lock() error {
	lock, err := os.OpenFile(d.at(lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return plain(d.at(lockName), err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return fmt.Errorf("%s is in use by another node; end it or choose another directory", d.path)
	}
	d.lock = lock
	return nil
}

func (d *dir) Close() error {
	if d.lock == nil {
		return nil
	}
	return d.lock.Close()
}
