// Package inproc is the link of a node that lives in the broker's process. It is worked on by the goroutine that
// owns the router: what is sent to it is executed, and its answers taken in, without waking anybody.
package inproc

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"brainer/internal/link"
)

const (
	spareMax      = 8 // buffers that are kept to be used again
	spareBytesMax = 4 << 20
	betweenShares = 1024 // messages of others
)

// Transport is another one whose first router also serves dealers of this process, those that dial Endpoint.
// The others, and what the router has to do with them, are the other transport's.
type Transport struct {
	link.Transport
	endpoint string

	mu     sync.Mutex
	router *router
}

// Over makes a Transport. Dealers of this process dial endpoint.
func Over(t link.Transport, endpoint string) *Transport {
	return &Transport{Transport: t, endpoint: endpoint}
}

func (t *Transport) Bind(endpoint string) (link.Router, error) {
	outer, err := t.Transport.Bind(endpoint)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.router != nil {
		return outer, nil
	}
	t.router = &router{Router: outer, dealers: map[string]*dealer{}}
	return t.router, nil
}

func (t *Transport) Dial(endpoint, routingID string) (link.Dealer, error) {
	if endpoint != t.endpoint {
		return t.Transport.Dial(endpoint, routingID)
	}
	t.mu.Lock()
	r := t.router
	t.mu.Unlock()
	if r == nil {
		return nil, fmt.Errorf("dial %s: %w", endpoint, link.ErrUnreachable)
	}
	return r.dial(endpoint, routingID)
}

// message is one of a dealer.
type message struct {
	peer string
	body []byte
}

// router is the other transport's, with dealers of this process before it.
type router struct {
	link.Router

	mu      sync.Mutex
	dealers map[string]*dealer
	arrived []message
	spare   [][]byte
	closed  bool
	view    []byte // the owner's: what the last RecvView returned
	shared  int    // the owner's: a dealer has more to do than its share, and waits until so many other messages, or all, are taken in
}

func (r *router) dial(endpoint, id string) (link.Dealer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return nil, fmt.Errorf("dial %s: %w", endpoint, link.ErrClosed)
	case r.dealers[id] != nil:
		return nil, fmt.Errorf("dial %s: the routing id is in use", endpoint)
	}
	d := &dealer{router: r, id: id, ready: make(chan struct{}, 1), over: make(chan struct{})}
	r.dealers[id] = d
	return d, nil
}

// buffer returns a copy of a message. The caller holds the lock.
func (r *router) buffer(head, body []byte) []byte {
	var b []byte
	if n := len(r.spare); n > 0 {
		b, r.spare = r.spare[n-1], r.spare[:n-1]
	}
	return append(append(b[:0], head...), body...)
}

// recycle takes a buffer that nobody looks at any more. The caller holds the lock.
func (r *router) recycle(b []byte) {
	if b != nil && len(r.spare) < spareMax && cap(b) <= spareBytesMax {
		r.spare = append(r.spare, b)
	}
}

func (r *router) Recv() (string, []byte, error) {
	peer, body, err := r.RecvView()
	return peer, slices.Concat(body, r.Placed()), err
}

// RecvView has dealers that are served do what there is to do for them, until one has something to say. One
// that kicked itself goes on when the owner has taken in what there is and looked after what else it owns.
func (r *router) RecvView() (string, []byte, error) {
	for {
		r.mu.Lock()
		r.recycle(r.view)
		r.view = nil
		if len(r.arrived) > 0 {
			m := r.arrived[0]
			r.arrived = slices.Delete(r.arrived, 0, 1)
			r.view = m.body
			r.mu.Unlock()
			return m.peer, m.body, nil
		}
		d, step := r.due()
		r.mu.Unlock()
		if d == nil || r.shared > 0 {
			peer, body, err := r.Router.RecvView()
			switch {
			case err == nil:
				r.shared--
			case r.shared > 0:
				r.shared = 0
				r.Kick()
			}
			return peer, body, err
		}
		r.shared = 0
		if d.work(step) {
			r.shared = betweenShares
		}
	}
}

// due is a dealer that is served and has something to do. The caller holds the lock.
func (r *router) due() (*dealer, func() bool) {
	for _, d := range r.dealers {
		if d.step != nil && (d.rung || len(d.arrived) > 0) {
			return d, d.step
		}
	}
	return nil, nil
}

// SetPlace is about the other transport's peers, if it can do that.
func (r *router) SetPlace(headBytes int, f func(peer string, head []byte, n int) []byte) {
	if p, ok := r.Router.(link.Placer); ok {
		p.SetPlace(headBytes, f)
	}
}

func (r *router) Placed() []byte {
	if p, ok := r.Router.(link.Placer); ok && r.view == nil {
		return p.Placed()
	}
	return nil
}

func (r *router) Send(peer string, body []byte) error { return r.SendJoined(peer, body, nil) }

func (r *router) SendJoined(peer string, head, body []byte) error {
	if r.pass(peer, head, body) {
		return nil
	}
	return r.Router.SendJoined(peer, head, body)
}

func (r *router) SendLasting(peer string, head, body []byte) error {
	if r.pass(peer, head, body) {
		return nil
	}
	return r.Router.SendLasting(peer, head, body)
}

// pass hands a message to a dealer in this process, if that is who the peer is.
func (r *router) pass(peer string, head, body []byte) bool {
	r.mu.Lock()
	d := r.dealers[peer]
	if d == nil {
		r.mu.Unlock()
		return false
	}
	d.arrived = append(d.arrived, r.buffer(head, body))
	r.mu.Unlock()
	d.signal()
	return true
}

// Close ends the dealers' waits.
func (r *router) Close() error {
	r.mu.Lock()
	r.closed = true
	for id, d := range r.dealers {
		delete(r.dealers, id)
		d.broken = true
		d.stop()
		d.signal()
	}
	r.mu.Unlock()
	return r.Router.Close()
}

// dealer is one session's end. While it is served the owner of the router owns it, otherwise who dialled.
type dealer struct {
	router *router
	id     string
	ready  chan struct{}

	// Under the router's lock.
	arrived [][]byte
	rung    bool
	step    func() bool // while it is served
	broken  bool
	over    chan struct{} // closed when it is served no more
	working bool          // the router's owner is in step, and will look again

	view []byte // the owner's
}

// work calls step once, and reports whether it was kicked meanwhile. The router's owner does.
func (d *dealer) work(step func() bool) (again bool) {
	d.turn(true)
	done := step()
	again = d.turn(false)
	if done {
		d.router.mu.Lock()
		d.stop()
		d.router.mu.Unlock()
	}
	return again
}

// turn begins or ends step's, and returns whether the dealer has been kicked.
func (d *dealer) turn(begins bool) (kicked bool) {
	d.router.mu.Lock()
	defer d.router.mu.Unlock()
	kicked = d.rung
	d.working = begins
	if begins {
		d.rung = false
	}
	return kicked
}

// stop ends Serve. The caller holds the lock.
func (d *dealer) stop() {
	if d.step != nil {
		d.step = nil
		close(d.over)
	}
}

// Serve has the router's owner call step, and waits. It may be called once.
func (d *dealer) Serve(step func() bool, _ ...int) error {
	d.router.mu.Lock()
	if d.broken {
		d.router.mu.Unlock()
		return nil
	}
	d.step, d.rung = step, true
	d.router.mu.Unlock()
	d.router.Kick()
	<-d.over
	return nil
}

// NextWait kicks after d.
func (d *dealer) NextWait(after time.Duration, _ bool) {
	if after > 0 {
		time.AfterFunc(after, d.Kick)
	}
}

func (d *dealer) Kick() {
	d.router.mu.Lock()
	d.rung = true
	working := d.working
	d.router.mu.Unlock()
	if !working {
		d.router.Kick()
	}
}

func (d *dealer) Recv() ([]byte, error) {
	b, err := d.RecvView()
	return slices.Clone(b), err
}

func (d *dealer) RecvView() ([]byte, error) {
	r := d.router
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recycle(d.view)
	d.view = nil
	if len(d.arrived) == 0 {
		return nil, link.ErrAgain
	}
	d.view = d.arrived[0]
	d.arrived = slices.Delete(d.arrived, 0, 1)
	return d.view, nil
}

func (d *dealer) Send(body []byte) error { return d.SendJoined(body, nil) }

func (d *dealer) SendJoined(head, body []byte) error {
	r := d.router
	r.mu.Lock()
	if d.broken {
		r.mu.Unlock()
		return link.ErrAgain
	}
	r.arrived = append(r.arrived, message{d.id, r.buffer(head, body)})
	working := d.working
	r.mu.Unlock()
	if !working {
		r.Kick()
	}
	return nil
}

func (d *dealer) Ready() <-chan struct{} { return d.ready }

func (d *dealer) signal() {
	select {
	case d.ready <- struct{}{}:
	default:
	}
}

func (d *dealer) Connected() bool {
	d.router.mu.Lock()
	defer d.router.mu.Unlock()
	return !d.broken
}

func (d *dealer) Close() error {
	r := d.router
	r.mu.Lock()
	defer r.mu.Unlock()
	d.broken = true
	if r.dealers[d.id] == d {
		delete(r.dealers, d.id)
	}
	d.arrived = nil
	return nil
}
