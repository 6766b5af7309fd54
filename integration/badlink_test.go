package integration

import (
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// badLink is a proxy between one node and the broker, on Unix sockets, that can hold, delay and cut
// what passes. It needs no rights, unlike a network namespace.
type badLink struct {
	path, target string
	ln           net.Listener

	mu      sync.Mutex
	changed sync.Cond
	held    [2]bool // nothing passes: to the broker, from it
	delay   time.Duration
	conns   map[net.Conn]struct{}
	closed  bool
	wg      sync.WaitGroup
}

// newBadLink listens beside the broker's socket file; endpoint is what a node dials.
func newBadLink(t testing.TB, c *cluster, id string) *badLink {
	t.Helper()
	l := &badLink{path: filepath.Join(c.dir, "to-broker-of-"+id), target: filepath.Join(c.dir, "b"), conns: map[net.Conn]struct{}{}}
	l.changed.L = &l.mu
	var err error
	l.ln, err = net.Listen("unix", l.path)
	must(t, err)
	l.wg.Go(l.accept)
	t.Cleanup(func() {
		l.mu.Lock()
		l.closed = true
		l.mu.Unlock()
		_ = l.ln.Close()
		l.cut()
		l.wg.Wait()
		_ = os.Remove(l.path)
	})
	return l
}

func (l *badLink) endpoint() string { return "ipc://" + l.path }

func (l *badLink) accept() {
	for {
		in, err := l.ln.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("unix", l.target)
		if err != nil {
			_ = in.Close()
			continue
		}
		l.mu.Lock()
		if l.closed {
			_, _ = in.Close(), out.Close()
		}
		l.conns[in], l.conns[out] = struct{}{}, struct{}{}
		l.mu.Unlock()
		l.wg.Go(func() { l.pass(in, out, 0) })
		l.wg.Go(func() { l.pass(out, in, 1) })
	}
}

func (l *badLink) pass(from, to net.Conn, direction int) {
	defer func() {
		_, _ = from.Close(), to.Close()
		l.mu.Lock()
		delete(l.conns, from)
		delete(l.conns, to)
		l.mu.Unlock()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		l.mu.Lock()
		for l.held[direction] && !l.closed {
			l.changed.Wait()
		}
		delay := l.delay
		l.mu.Unlock()
		if delay > 0 {
			<-time.After(delay) // the link's own
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// hold stops what goes to the broker, what comes from it, or both, without closing anything.
func (l *badLink) hold(to, from bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = [2]bool{to, from}
	l.changed.Broadcast()
}

func (l *badLink) slow(delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = delay
}

// cut breaks every connection.
func (l *badLink) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.Close()
	}
	l.changed.Broadcast()
}

// heal takes every fault of the link back.
func (l *badLink) heal() {
	l.hold(false, false)
	l.slow(0)
}
