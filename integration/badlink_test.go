package integration

import (
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// link is the way between one node and the broker, and what can go wrong with it. A fault lasts until heal.
type link interface {
	endpoint() string         // what the node dials
	metricsAddr() string      // where it can serve metrics to the test
	hold(to, from bool)       // nothing passes to the broker, from it; no connection is closed
	slow(delay time.Duration) // each packet takes so much longer
	throttle(perSecond int)   // no more than so many bytes a second pass, each way
	halfOpen()                // the node's connections are gone, and the broker is not told
	cut()                     // every connection is broken
	heal()
}

// badLink is a link through a proxy of the test's own, TCP to the node and a Unix socket to the broker. It
// needs no rights, unlike a network namespace.
type badLink struct {
	target string
	ln     net.Listener

	mu      sync.Mutex
	changed sync.Cond
	held    [2]bool // nothing passes: to the broker, from it
	alone   int     // only the connections of this parity are held, when it is 0 or 1; -1: all
	delay   time.Duration
	rate    int // bytes a second; 0: no limit
	pairs   map[*linkPair]struct{}
	dialed  int
	closed  bool
	wg      sync.WaitGroup
}

// linkPair is one connection through the proxy. A node has two: its turns', and its heartbeats'.
type linkPair struct {
	node, broker net.Conn
	number       int
	halfOpen     bool // the node's is closed, the broker's shall stay
}

// newBadLink listens on a port of its own; endpoint is what a node dials.
func newBadLink(t testing.TB, c *cluster) *badLink {
	t.Helper()
	l := &badLink{target: filepath.Join(c.dir, "b"), alone: -1, pairs: map[*linkPair]struct{}{}}
	l.changed.L = &l.mu
	var err error
	l.ln, err = net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l.wg.Go(l.accept)
	t.Cleanup(func() {
		l.mu.Lock()
		l.closed = true
		l.mu.Unlock()
		_ = l.ln.Close()
		l.cut()
		l.wg.Wait()
	})
	return l
}

func (l *badLink) endpoint() string { return "tcp://" + l.ln.Addr().String() }

func (l *badLink) metricsAddr() string { return "127.0.0.1:0" }

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
		p := &linkPair{node: in, broker: out, number: l.dialed}
		l.dialed++
		if l.closed {
			p.close()
		}
		l.pairs[p] = struct{}{}
		l.mu.Unlock()
		l.wg.Go(func() { l.pass(p, in, out, 0) })
		l.wg.Go(func() { l.pass(p, out, in, 1) })
	}
}

func (p *linkPair) close() { _, _ = p.node.Close(), p.broker.Close() }

func (l *badLink) pass(p *linkPair, from, to net.Conn, direction int) {
	defer func() {
		l.mu.Lock()
		for p.halfOpen && !l.closed {
			l.changed.Wait()
		}
		p.close()
		delete(l.pairs, p)
		l.mu.Unlock()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		l.mu.Lock()
		for l.held[direction] && (l.alone < 0 || p.number%2 == l.alone) && !l.closed {
			l.changed.Wait()
		}
		delay := l.delay
		if l.rate > 0 {
			delay += time.Duration(n) * time.Second / time.Duration(l.rate)
		}
		l.mu.Unlock()
		if delay > 0 {
			<-time.After(delay) // the link's own
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// set changes what the link does.
func (l *badLink) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	l.changed.Broadcast()
}

func (l *badLink) hold(to, from bool) { l.set(func() { l.held, l.alone = [2]bool{to, from}, -1 }) }

// holdSome: a node's turns are stuck while its heartbeats pass, or the other way round.
func (l *badLink) holdSome() {
	l.set(func() { l.held, l.alone = [2]bool{true, true}, rand.IntN(2) })
}

func (l *badLink) slow(delay time.Duration) { l.set(func() { l.delay = delay }) }

func (l *badLink) throttle(perSecond int) { l.set(func() { l.rate = perSecond }) }

func (l *badLink) halfOpen() {
	l.set(func() {
		for p := range l.pairs {
			p.halfOpen = true
			_ = p.node.Close()
		}
	})
}

func (l *badLink) cut() {
	l.set(func() {
		for p := range l.pairs {
			p.halfOpen = false
			p.close()
		}
	})
}

func (l *badLink) heal() {
	l.set(func() {
		l.held, l.alone, l.delay, l.rate = [2]bool{}, -1, 0, 0
		for p := range l.pairs {
			p.halfOpen = false
		}
	})
}
