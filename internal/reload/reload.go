// Package reload notices that files were replaced, so that certificates and lists of keys can be
// changed under a running process. What to read then, and what to do when it cannot be read, is left
// to its callers.
package reload

import (
	"os"
	"sync"
	"time"
)

// lookEvery bounds how often the files are looked at, however often somebody asks.
const lookEvery = 500 * time.Millisecond

// Files are looked at when somebody asks; nothing runs meanwhile.
type Files struct {
	paths []string

	mu       sync.Mutex
	seen     []os.FileInfo // nil: not there
	lookedAt time.Time
}

// Watch takes the files as they are now; call it before reading them.
func Watch(paths ...string) *Files {
	f := &Files{paths: paths, lookedAt: time.Now()}
	f.seen = f.look()
	return f
}

// Changed says whether a file was replaced, written to, or came or went, since the last time that it
// said so. Who asks while another looks is told no.
func (f *Files) Changed() bool { return f.changed(time.Now()) }

func (f *Files) changed(now time.Time) bool {
	if !f.mu.TryLock() {
		return false
	}
	defer f.mu.Unlock()
	if now.Sub(f.lookedAt) < lookEvery {
		return false
	}
	f.lookedAt = now
	found := f.look()
	changed := false
	for i := range found {
		changed = changed || differ(f.seen[i], found[i])
	}
	f.seen = found
	return changed
}

func (f *Files) look() []os.FileInfo {
	infos := make([]os.FileInfo, len(f.paths))
	for i, p := range f.paths {
		if info, err := os.Stat(p); err == nil { // it follows the links by which Kubernetes replaces files
			infos[i] = info
		}
	}
	return infos
}

func differ(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a != b
	}
	return !os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime())
}
