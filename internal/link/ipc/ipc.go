// Package ipc guards the paths of ipc:// endpoints.
package ipc

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const pathMax = 107 // sun_path of Linux, less its final zero

// Path returns the file of an ipc endpoint; abstract names and wildcards have none.
func Path(endpoint string) (string, bool) {
	path, ok := strings.CutPrefix(endpoint, "ipc://")
	return path, ok && path != "" && path != "*" && !strings.HasPrefix(path, "@")
}

// Check says whether a path can be one of a socket.
func Check(path string) error {
	if len(path) > pathMax {
		return fmt.Errorf("the path has %d bytes, more than the %d of a socket path", len(path), pathMax)
	}
	return nil
}

// Guard holds the right to bind a path. libzmq unlinks whatever stands there before it binds, so
// it would steal the path of a living process without a word.
type Guard struct {
	path string
	lock *os.File
}

// Take takes the lock beside path. The kernel frees it when its holder dies; the socket file
// that such a holder leaves behind is replaced.
func Take(path string) (*Guard, error) {
	if err := Check(path); err != nil {
		return nil, err
	}
	if err := checkDirectory(filepath.Dir(path)); err != nil {
		return nil, err
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	g := &Guard{path: path, lock: lock}
	if err := checkStale(path); err != nil {
		g.unlock()
		return nil, err
	}
	return g, nil
}

// Bind runs f so that the socket file which it makes is never open to others.
func (g *Guard) Bind(f func() error) error {
	if g == nil {
		return f()
	}
	old := unix.Umask(0o077)
	err := f()
	unix.Umask(old)
	if err != nil {
		return err
	}
	return os.Chmod(g.path, 0o600)
}

// Release removes the socket file, which libzmq leaves behind, and gives the path free.
func (g *Guard) Release() {
	if g == nil {
		return
	}
	os.Remove(g.path)
	g.unlock()
}

func (g *Guard) unlock() {
	os.Remove(g.lock.Name()) // while it is held, see lockFile
	g.lock.Close()
}

// lockFile locks a file that its holder removes at the end: after locking it makes sure that the
// name still leads to the locked file, not to a newer one.
func lockFile(name string) (*os.File, error) {
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock: %w", err)
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("another process is bound here (it holds %s); end it or choose another endpoint", name)
			}
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		locked, err1 := f.Stat()
		named, err2 := os.Stat(name)
		if err1 == nil && err2 == nil && os.SameFile(locked, named) {
			return f, nil
		}
		f.Close()
	}
}

func checkDirectory(dir string) error {
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("directory %s does not exist; create it or choose another endpoint", dir)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	}
	return nil
}

// checkStale refuses a path that is not ours to replace: another kind of file, or a socket on which
// a process without our lock still listens.
func checkStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is not a socket; choose another endpoint", path)
	}
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return errors.New("another process listens there; end it or choose another endpoint")
	}
	return nil
}
