package server

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/tidwall/redcon"
)

const (
	flushBytes  = 64 << 10 // replies are collected up to here
	writeBytes  = 64 << 10 // what must pass within the write timeout
	queueSpare  = 256 << 10
	queueResume = 64 << 10 // a subscriber's own replies wait until its queue is down to this
)

var errSlowReader = errors.New("server: the client does not read its replies")

// output is a connection's way out. The connection's goroutine calls write and flush; once shared,
// others may push, and a goroutine of its own does the writing.
type output struct {
	conn     net.Conn
	settings *settings
	stats    *stats
	wr       *redcon.Writer
	pending  int // bytes in wr
	armed    time.Time

	mu       sync.Mutex
	changed  sync.Cond
	shared   bool
	queue    []byte // bounded by client-output-buffer-limit pubsub
	spare    []byte
	writing  int
	softFrom time.Time // since when the queue is over the soft limit
	closing  bool      // no more is accepted
	failed   error
	done     chan struct{} // the writing goroutine has ended
}

func newOutput(conn net.Conn, settings *settings, stats *stats) *output {
	o := &output{conn: conn, settings: settings, stats: stats}
	o.changed.L = &o.mu
	o.wr = redcon.NewWriter((*timedWriter)(o))
	return o
}

// timedWriter writes to the connection, and gives up on a client that lets nothing pass.
type timedWriter output

func (w *timedWriter) Write(p []byte) (n int, err error) {
	for first := true; first || n < len(p); first = false {
		timeout := time.Duration(w.settings.writeTimeoutMs.Load()) * time.Millisecond
		// Arming costs more than asking the clock.
		if now := time.Now(); now.Sub(w.armed) > timeout/8 {
			if err := w.conn.SetWriteDeadline(now.Add(timeout)); err != nil {
				return n, err
			}
			w.armed = now
		}
		m, err := w.conn.Write(p[n:min(len(p), n+writeBytes)])
		n += m
		w.stats.outputBytes.Add(uint64(m))
		if err != nil {
			if isTimeout(err) {
				w.stats.closedForOutput.Add(1)
				err = errSlowReader
			}
			return n, err
		}
	}
	return n, nil
}

// write collects b, or sends it when it is large. An error appears at flush.
func (o *output) write(b []byte) {
	if o.pending+len(b) > flushBytes && o.pending > 0 {
		_ = o.flush() // it lasts
	}
	if len(b) <= flushBytes {
		o.wr.WriteRaw(b)
		o.pending += len(b)
		return
	}
	if o.shared {
		o.enqueue(b)
		return
	}
	if o.failed == nil {
		_, o.failed = (*timedWriter)(o).Write(b)
	}
}

// flush sends what was collected.
func (o *output) flush() error {
	if o.pending == 0 {
		return o.err()
	}
	o.pending = 0
	if o.shared {
		o.enqueue(o.wr.Buffer())
		o.wr.SetBuffer(nil)
		return o.err()
	}
	if err := o.wr.Flush(); o.failed == nil {
		o.failed = err
	}
	return o.failed
}

func (o *output) err() error {
	if !o.shared {
		return o.failed
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failed
}

// share starts the writing goroutine; it ends with close.
func (o *output) share() {
	if o.shared {
		return
	}
	_ = o.flush()
	o.shared = true
	o.done = make(chan struct{})
	go o.pump()
}

// enqueue is the connection's own way into the queue: it waits for room.
func (o *output) enqueue(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.failed == nil && len(o.queue)+o.writing > queueResume {
		o.changed.Wait()
	}
	if o.failed == nil {
		o.queue = append(o.queue, b...)
		o.changed.Broadcast()
	}
}

// push queues b without waiting, within the subscribers' limit. It is false when the client has
// to go: it does not read what it subscribed to.
func (o *output) push(b []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed != nil || o.closing {
		return true
	}
	size := int64(len(o.queue) + o.writing + len(b))
	if hard := o.settings.pubsubHard.Load(); hard > 0 && size > hard {
		return o.overflow()
	}
	if soft := o.settings.pubsubSoft.Load(); soft > 0 && size > soft {
		now := time.Now()
		if o.softFrom.IsZero() {
			o.softFrom = now
		}
		if now.Sub(o.softFrom) > time.Duration(o.settings.pubsubSoftS.Load())*time.Second {
			return o.overflow()
		}
	} else {
		o.softFrom = time.Time{}
	}
	o.queue = append(o.queue, b...)
	o.changed.Broadcast()
	return true
}

func (o *output) overflow() bool {
	o.stats.closedForOutput.Add(1)
	o.failed = errSlowReader
	o.queue = nil
	o.changed.Broadcast()
	return false
}

// pump writes the queue until close, or until writing fails.
func (o *output) pump() {
	defer close(o.done)
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		for len(o.queue) == 0 && !o.closing && o.failed == nil {
			o.changed.Wait()
		}
		if o.failed != nil || len(o.queue) == 0 {
			return
		}
		out := o.queue
		o.queue, o.writing = o.spare[:0], len(out)
		o.mu.Unlock()
		_, err := (*timedWriter)(o).Write(out)
		o.mu.Lock()
		o.writing = 0
		if o.spare = out; cap(out) > queueSpare {
			o.spare = nil
		}
		if err != nil && o.failed == nil {
			o.failed = err
		}
		o.changed.Broadcast()
	}
}

// close ends the writing goroutine once the queue is written, within the write timeout.
func (o *output) close() {
	if !o.shared {
		return
	}
	o.mu.Lock()
	o.closing = true
	o.changed.Broadcast()
	o.mu.Unlock()
	<-o.done
}

// queued is how many bytes wait.
func (o *output) queued() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue) + o.writing
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
