// Package mem is a link.Transport inside one process, for tests of the shells around the cores.
// It is bounded like a real one, loses what a real one loses, and lets a test cut, pause and drop.
// It leaves delay and reordering between links to internal/sim.
package mem

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"brainer/internal/link"
)

// QueueMax is the limit of unread messages in each direction of one connection; beyond it Send says
// link.ErrAgain.
const QueueMax = 65536

// Message is what a Drop hook is asked about.
type Message struct {
	Endpoint, Peer string
	ToRouter       bool
	Body           []byte // not to be kept
}

// Network is a link.Transport whose endpoints are names of any form. All its methods, and those of
// its links, may be called from any goroutine.
type Network struct {
	mu      sync.Mutex
	max     int
	routers map[string]*router
	dealers map[*dealer]struct{}
	paused  map[string]bool // by routing id; it may be set before the dealer exists
	drop    func(Message) bool
}

// New returns an empty network with QueueMax messages per direction.
func New() *Network { return NewBounded(QueueMax) }

// NewBounded is New with another limit.
func NewBounded(queueMax int) *Network {
	return &Network{
		max:     queueMax,
		routers: make(map[string]*router),
		dealers: make(map[*dealer]struct{}),
		paused:  make(map[string]bool),
	}
}

// Cut breaks the connections of a routing id: what is queued either way is lost, the router's Send
// says link.ErrUnreachable, the dealer's link.ErrAgain for ever. A later Dial connects again.
func (n *Network) Cut(routingID string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for d := range n.dealers {
		if d.id == routingID {
			d.disconnect(true)
			signal(d.ready)
		}
	}
}

// Pause holds back what either end sends on the connections of a routing id, as a half-open link or
// a stopped process does: sends succeed, nothing arrives. What had arrived can still be read.
func (n *Network) Pause(routingID string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.paused[routingID] = true
}

// Resume ends Pause: what was held back arrives, in order.
func (n *Network) Resume(routingID string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.paused, routingID)
	for d := range n.dealers {
		if d.id != routingID || d.router == nil {
			continue
		}
		for _, m := range d.heldUp {
			d.router.deliver(m)
		}
		d.queue = append(d.queue, d.heldDown...)
		if len(d.heldDown) > 0 {
			signal(d.ready)
		}
		d.heldUp, d.heldDown = nil, nil
	}
}

// Drop makes lose decide, for each message that is sent from now on, whether it gets lost on the
// way; nil ends it. lose is called with the network locked: it must not call back.
func (n *Network) Drop(lose func(Message) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop = lose
}

// Peers returns the routing ids that are connected to an endpoint.
func (n *Network) Peers(endpoint string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var ids []string
	if r := n.routers[endpoint]; r != nil {
		for id := range r.peers {
			ids = append(ids, id)
		}
	}
	return ids
}

func (n *Network) Bind(endpoint string) (link.Router, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.routers[endpoint] != nil {
		return nil, fmt.Errorf("bind %s: the endpoint is in use", endpoint)
	}
	r := &router{net: n, endpoint: endpoint, peers: make(map[string]*dealer), waiter: newWaiter()}
	n.routers[endpoint] = r
	return r, nil
}

// Dial connects at once or, when nothing is bound there, never: the dealer's Send says link.ErrAgain.
func (n *Network) Dial(endpoint, routingID string) (link.Dealer, error) {
	if routingID == "" || len(routingID) > 255 || routingID[0] == 0 {
		return nil, fmt.Errorf("dial %s: routing id %q: 1 to 255 bytes, the first not zero", endpoint, routingID)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	d := &dealer{net: n, id: routingID, waiter: newWaiter()}
	n.dealers[d] = struct{}{}
	if r := n.routers[endpoint]; r != nil && r.peers[routingID] == nil {
		d.router = r
		r.peers[routingID] = d
		signal(d.ready)
	}
	return d, nil
}

// Close closes every link that is left.
func (n *Network) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.routers {
		r.close()
	}
	for d := range n.dealers {
		d.close()
	}
	return nil
}

type arrived struct {
	from *dealer
	body []byte
}

type router struct {
	net      *Network
	endpoint string
	peers    map[string]*dealer
	queue    []arrived
	waiter
	closed bool
}

// waiter is link.Waiter over the channels of an end.
type waiter struct{ ready, kicked chan struct{} }

func newWaiter() waiter { return waiter{make(chan struct{}, 1), make(chan struct{}, 1)} }

// NextWait kicks after d.
func (w waiter) NextWait(d time.Duration, _ bool) {
	if d > 0 {
		time.AfterFunc(d, w.Kick)
	}
}

// Serve has the owner wait for messages and kicks. It waits for no descriptor.
func (w waiter) Serve(step func() bool, _ ...int) error {
	for !step() {
		select {
		case <-w.ready:
		case <-w.kicked:
		}
	}
	return nil
}

// Kick ends the wait in Serve.
func (w waiter) Kick() {
	select {
	case w.kicked <- struct{}{}:
	default:
	}
}

func (r *router) Recv() (string, []byte, error) {
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	if r.closed {
		return "", nil, link.ErrClosed
	}
	if len(r.queue) == 0 {
		return "", nil, link.ErrAgain
	}
	m := r.queue[0]
	r.queue = r.queue[1:]
	m.from.up--
	return m.from.id, m.body, nil
}

func (r *router) Send(peer string, body []byte) error {
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	if r.closed {
		return link.ErrClosed
	}
	d := r.peers[peer]
	switch {
	case d == nil:
		return link.ErrUnreachable
	case len(d.queue)+len(d.heldDown) >= r.net.max:
		return link.ErrAgain
	case r.net.lost(Message{Endpoint: r.endpoint, Peer: peer, Body: body}):
		return nil
	case r.net.paused[peer]:
		d.heldDown = append(d.heldDown, clone(body))
		return nil
	}
	d.queue = append(d.queue, clone(body))
	signal(d.ready)
	return nil
}

func (r *router) RecvView() (string, []byte, error) { return r.Recv() }

func (r *router) SendJoined(peer string, head, body []byte) error {
	return r.Send(peer, slices.Concat(head, body))
}

func (r *router) SendLasting(peer string, head, body []byte) error {
	return r.SendJoined(peer, head, body)
}

func (r *router) Ready() <-chan struct{} { return r.ready }
func (r *router) Endpoint() string       { return r.endpoint }

func (r *router) Close() error {
	r.net.mu.Lock()
	defer r.net.mu.Unlock()
	r.close()
	return nil
}

func (r *router) close() {
	if r.closed {
		return
	}
	r.closed = true
	maps.DeleteFunc(r.net.routers, func(_ string, x *router) bool { return x == r })
	for _, d := range r.peers {
		d.disconnect(true)
		signal(d.ready)
	}
}

func (r *router) deliver(m arrived) {
	r.queue = append(r.queue, m)
	signal(r.ready)
}

type dealer struct {
	net    *Network
	id     string
	router *router // nil: not connected (any more)
	queue  [][]byte
	waiter
	closed bool

	up       int // own messages that the router has not read, those in heldUp included
	heldUp   []arrived
	heldDown [][]byte
}

func (d *dealer) Recv() ([]byte, error) {
	d.net.mu.Lock()
	defer d.net.mu.Unlock()
	if d.closed {
		return nil, link.ErrClosed
	}
	if len(d.queue) == 0 {
		return nil, link.ErrAgain
	}
	body := d.queue[0]
	d.queue = d.queue[1:]
	return body, nil
}

func (d *dealer) Send(body []byte) error {
	d.net.mu.Lock()
	defer d.net.mu.Unlock()
	switch {
	case d.closed:
		return link.ErrClosed
	case d.router == nil || d.up >= d.net.max:
		return link.ErrAgain
	case d.net.lost(Message{Endpoint: d.router.endpoint, Peer: d.id, ToRouter: true, Body: body}):
		return nil
	}
	d.up++
	m := arrived{from: d, body: clone(body)}
	if d.net.paused[d.id] {
		d.heldUp = append(d.heldUp, m)
		return nil
	}
	d.router.deliver(m)
	return nil
}

func (d *dealer) RecvView() ([]byte, error) { return d.Recv() }

func (d *dealer) SendJoined(head, body []byte) error { return d.Send(slices.Concat(head, body)) }

func (d *dealer) Ready() <-chan struct{} { return d.ready }

func (d *dealer) Connected() bool {
	d.net.mu.Lock()
	defer d.net.mu.Unlock()
	return d.router != nil
}

func (d *dealer) Close() error {
	d.net.mu.Lock()
	defer d.net.mu.Unlock()
	d.close()
	return nil
}

func (d *dealer) close() {
	d.closed = true
	delete(d.net.dealers, d)
	d.disconnect(false)
}

// disconnect leaves what the router has received to be read, unless the loss is to be total.
func (d *dealer) disconnect(total bool) {
	if d.router == nil {
		return
	}
	delete(d.router.peers, d.id)
	if total {
		kept := d.router.queue[:0:0]
		for _, m := range d.router.queue {
			if m.from != d {
				kept = append(kept, m)
			}
		}
		d.router.queue = kept
	}
	d.router, d.queue, d.heldUp, d.heldDown, d.up = nil, nil, nil, nil, 0
}

func (n *Network) lost(m Message) bool { return n.drop != nil && n.drop(m) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func clone(b []byte) []byte { return append([]byte{}, b...) }
