//go:build linux

package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Session is the connections to one server, ready to run. It is used by one goroutine.
type Session struct {
	work    Work
	threads []*thread
}

// Result is what one run showed.
type Result struct {
	Commands int // answered, without barriers
	Elapsed  time.Duration
	Latency  Histogram
	Errors   int // replies that were errors, or barriers that held less than asked for
	Misses   int // GET without a value

	FirstError string
}

// PerSecond is the throughput.
func (r *Result) PerSecond() float64 { return float64(r.Commands) / r.Elapsed.Seconds() }

// Dial opens the connections of w to addr and sends their preludes.
func Dial(addr string, w Work) (*Session, error) {
	w.Threads = max(w.Threads, 1)
	s := &Session{work: w}
	source := draws(w)
	for i := range w.Threads {
		t, err := newThread(w, source)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.threads = append(s.threads, t)
		for n := i; n < w.Conns; n += w.Threads {
			if err := t.dial(addr, n); err != nil {
				s.Close()
				return nil, err
			}
		}
	}
	return s, nil
}

// Run works for so long, then awaits the replies that are under way.
func (s *Session) Run(ctx context.Context, d time.Duration) (*Result, error) {
	return s.run(ctx, func(t *thread, deadline time.Time) func(c *conn, now time.Time) bool {
		return func(c *conn, now time.Time) bool {
			if now.After(deadline) {
				return false
			}
			t.fill(c)
			return true
		}
	}, d)
}

// Fill writes every key once, in order.
func (s *Session) Fill(ctx context.Context) (*Result, error) {
	return s.each(ctx, (*templates).appendSet)
}

// Visit reads every key once, in order.
func (s *Session) Visit(ctx context.Context) (*Result, error) {
	return s.each(ctx, (*templates).appendGet)
}

func (s *Session) each(ctx context.Context, command func(t *templates, b []byte, key uint32) []byte) (*Result, error) {
	var next atomic.Int64
	return s.run(ctx, func(t *thread, _ time.Time) func(c *conn, now time.Time) bool {
		return func(c *conn, _ time.Time) bool {
			from := int(next.Add(int64(s.work.Pipeline))) - s.work.Pipeline
			t.begin(c)
			for k := from; k < min(from+s.work.Pipeline, s.work.Keys); k++ {
				c.out = command(&t.templates, c.out, uint32(k))
				c.asked++
			}
			t.end(c)
			return c.asked > 0
		}
	}, 0)
}

func (s *Session) run(ctx context.Context, next func(*thread, time.Time) func(*conn, time.Time) bool, d time.Duration) (*Result, error) {
	start := time.Now()
	results := make([]*Result, len(s.threads))
	errs := make([]error, len(s.threads))
	var running sync.WaitGroup
	for i, t := range s.threads {
		running.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			results[i], errs[i] = t.run(ctx, next(t, start.Add(d)))
		})
	}
	running.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	total := &Result{Elapsed: time.Since(start)}
	for _, r := range results {
		total.Commands += r.Commands
		total.Errors += r.Errors
		total.Misses += r.Misses
		total.Latency.Merge(&r.Latency)
		if total.FirstError == "" {
			total.FirstError = r.FirstError
		}
	}
	return total, nil
}

// Close closes the connections.
func (s *Session) Close() {
	for _, t := range s.threads {
		t.close()
	}
}

// thread serves some of the connections.
type thread struct {
	work      Work
	templates templates
	source    []uint32
	epoll     int
	conns     []*conn
}

func newThread(w Work, source []uint32) (*thread, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	return &thread{work: w, templates: newTemplates(w), source: source, epoll: epoll}, nil
}

const readBytes = 64 << 10

func (t *thread) dial(addr string, n int) error {
	fd, err := dial(addr)
	if err != nil {
		return err
	}
	c := &conn{fd: fd, in: make([]byte, readBytes), draw: n * 7919 % len(t.source), reads: n * 37 % 100}
	t.conns = append(t.conns, c)
	if err := t.interest(c, syscall.EPOLL_CTL_ADD, len(t.conns)-1); err != nil {
		return err
	}
	if len(t.work.Prelude) == 0 {
		return nil
	}
	return t.prelude(c)
}

// prelude sends the first command and awaits its reply, busily: it is one line.
func (t *thread) prelude(c *conn) error {
	if _, err := rawWrite(c.fd, encode(t.work.Prelude)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	c.pending = 1
	var k counts
	for deadline := time.Now().Add(stallLimit); c.pending > 0; {
		if time.Now().After(deadline) {
			return fmt.Errorf("%q: no reply", t.work.Prelude)
		}
		if err := c.read(); err != nil {
			return err
		}
		if err := c.scan(&k, ""); err != nil {
			return err
		}
	}
	if k.errors > 0 {
		return fmt.Errorf("%q: %s", t.work.Prelude, k.firstError)
	}
	return nil
}

func (t *thread) interest(c *conn, op, index int) error {
	events := uint32(syscall.EPOLLIN)
	if c.waiting {
		events |= syscall.EPOLLOUT
	}
	if err := syscall.EpollCtl(t.epoll, op, c.fd, &syscall.EpollEvent{Events: events, Fd: int32(index)}); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// fill makes the next pipeline of c.
func (t *thread) fill(c *conn) {
	t.begin(c)
	for range t.work.Pipeline {
		key := t.source[c.draw]
		if c.draw++; c.draw == len(t.source) {
			c.draw = 0
		}
		// Reads and writes are spread evenly: of any hundred commands w.Reads are reads.
		if c.reads += t.work.Reads; c.reads >= 100 {
			c.reads -= 100
			c.out = t.templates.appendGet(c.out, key)
		} else {
			c.out = t.templates.appendSet(c.out, key)
		}
	}
	c.asked = t.work.Pipeline
	t.end(c)
}

func (t *thread) begin(c *conn) { c.out, c.sent, c.asked = c.out[:0], 0, 0 }

func (t *thread) end(c *conn) {
	c.pending = c.asked
	if c.asked > 0 && t.templates.barrier != nil {
		c.out = append(c.out, t.templates.barrier...)
		c.pending++
	}
}

// stallLimit is how long all connections may wait for any reply.
const stallLimit = 20 * time.Second

// run lets each connection send pipelines until next declines, and returns when all are answered.
func (t *thread) run(ctx context.Context, next func(*conn, time.Time) bool) (*Result, error) {
	r := &Result{}
	var k counts
	active := 0
	for i, c := range t.conns {
		if now := time.Now(); next(c, now) {
			active++
			if err := t.send(c, i, now); err != nil {
				return nil, err
			}
		}
	}
	events := make([]syscall.EpollEvent, 256)
	for active > 0 {
		n, err := syscall.EpollWait(t.epoll, events, int(stallLimit.Milliseconds()))
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("epoll_wait: %w", err)
		}
		if n == 0 {
			return nil, fmt.Errorf("no reply for %v on %d connections", stallLimit, active)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for _, e := range events[:n] {
			done, err := t.serve(t.conns[e.Fd], e, r, &k, next)
			if err != nil {
				return nil, err
			}
			if done {
				active--
			}
		}
	}
	r.Errors, r.Misses, r.FirstError = k.errors, k.misses, k.firstError
	return r, nil
}

// serve handles one event; done: the connection's last pipeline is answered.
func (t *thread) serve(c *conn, e syscall.EpollEvent, r *Result, k *counts, next func(*conn, time.Time) bool) (done bool, err error) {
	index := int(e.Fd)
	if e.Events&syscall.EPOLLOUT != 0 {
		if err := t.flush(c, index); err != nil {
			return false, err
		}
	}
	if e.Events&^syscall.EPOLLOUT == 0 {
		return false, nil
	}
	if err := c.read(); err != nil {
		return false, err
	}
	now := time.Now()
	before := k.replies
	if err := c.scan(k, t.work.BarrierReply); err != nil {
		return false, err
	}
	t.count(c, r, now, k.replies-before)
	if c.pending > 0 || c.sent < len(c.out) {
		return false, nil
	}
	if !next(c, now) {
		return true, nil
	}
	return false, t.send(c, index, now)
}

// count adds the commands that are done with these replies.
func (t *thread) count(c *conn, r *Result, now time.Time, replies int) {
	done := replies
	if t.templates.barrier != nil {
		if done = 0; c.pending == 0 {
			done = c.asked
		}
	}
	if done > 0 {
		r.Commands += done
		r.Latency.Add(now.Sub(c.since), done)
	}
}

func (t *thread) send(c *conn, index int, now time.Time) error {
	c.since = now
	return t.flush(c, index)
}

func (t *thread) flush(c *conn, index int) error {
	full, err := c.write()
	if err != nil || full == c.waiting {
		return err
	}
	c.waiting = full
	return t.interest(c, syscall.EPOLL_CTL_MOD, index)
}

func (t *thread) close() {
	for _, c := range t.conns {
		_ = syscall.Close(c.fd)
	}
	_ = syscall.Close(t.epoll)
}
