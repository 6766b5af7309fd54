// Package dirlock keeps a second process out of a directory.
package dirlock

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// Name is the file in the directory that is locked; it stays.
const Name = "lock"

// ErrTaken: another process has the directory.
var ErrTaken = errors.New("is in use by another process")

// Take locks the directory until the file is closed or the process ends.
func Take(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, Name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, ErrTaken
	}
	return f, nil
}
