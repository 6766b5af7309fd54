package zmtp

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"brainer/internal/bell"
	"brainer/internal/link"
	"brainer/internal/link/ipc"
)

const (
	eventsMax     = 64
	handshakesMax = 256 // connections that have not said who they are; then the oldest goes
	acceptAgain   = 100 * time.Millisecond
	acceptMost    = 64 // at once
	inTurn        = 64 // messages of one peer, before others have theirs
	readySteps    = 64 // in one look of Ready
)

type router struct {
	*bell.Owner
	tr       *Transport
	endpoint string
	guard    *ipc.Guard
	ep, door int

	conns    map[int32]*conn
	peers    map[string]*conn // those whose handshake is done
	strange  []*conn          // those whose is not, in order of arrival
	named    uint32           // peers without an identity so far
	refused  time.Time        // since when no descriptor was left for a connection; zero: there are
	events   [eventsMax]unix.EpollEvent
	pending  []unix.EpollEvent // of events, not looked at
	at       *conn             // whose messages are being taken
	taken    int               // of its messages in this turn
	place    place             // what its connections ask
	placed   []byte            // of the message that was returned last
	rest     []*conn           // those that have more than a turn
	looked   bool              // since the last of rest had its turn
	shutDown bool
}

func newRouter(t *Transport, endpoint string, door int, guard *ipc.Guard) (*router, error) {
	ep, owner, err := newEpoll(t.opts.Linger)
	if err != nil {
		return nil, err
	}
	r := &router{Owner: owner, tr: t, endpoint: endpoint, guard: guard, ep: ep, door: door,
		conns: map[int32]*conn{}, peers: map[string]*conn{}}
	if err := r.openDoor(); err != nil {
		_ = unix.Close(ep)
		return nil, err
	}
	return r, nil
}

func (r *router) openDoor() error {
	return unix.EpollCtl(r.ep, unix.EPOLL_CTL_ADD, r.door, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(r.door)})
}

func (r *router) Endpoint() string { return r.endpoint }

// Ready looks, so that no wake-up is lost, and does what takes no message: who waits only for a peer that is to come
// calls nothing else.
func (r *router) Ready() <-chan struct{} {
	if r.shutDown {
		return r.Signals()
	}
	r.Watch()
	for range readySteps {
		if r.at != nil && r.at.whole() {
			break
		}
		if !r.step() {
			return r.Signals()
		}
	}
	r.Signal()
	return r.Signals()
}

func (r *router) Recv() (string, []byte, error) {
	peer, body, err := r.RecvView()
	return peer, slices.Concat(body, r.placed), err
}

// RecvView takes the peers in turn, of each some messages that one read has brought.
func (r *router) RecvView() (string, []byte, error) {
	r.placed = nil
	if r.shutDown {
		return "", nil, link.ErrClosed
	}
	for {
		if c := r.at; c != nil {
			body, err := c.next()
			if err == nil {
				r.placed = c.place.last
				if r.taken++; r.taken == inTurn {
					r.at, r.rest = nil, append(r.rest, c)
				}
				return c.identity, body, nil
			}
			r.at = nil
			if !errors.Is(err, link.ErrAgain) {
				r.drop(c)
			}
		}
		if !r.step() {
			return "", nil, link.ErrAgain
		}
	}
}

// step does what one descriptor asks for; false: none does.
func (r *router) step() bool {
	if len(r.pending) == 0 {
		found := !(r.looked && len(r.rest) > 0) && r.look()
		r.looked = found
		if !found && len(r.rest) > 0 {
			r.turnOf(r.rest[0])
			r.rest = r.rest[1:]
			return true
		}
		if !found {
			return false
		}
	}
	e := r.pending[0]
	r.pending = r.pending[1:]
	if e.Fd == int32(r.door) {
		r.accept()
	} else if c := r.conns[e.Fd]; c != nil {
		if err := r.serve(c, e.Events); err != nil && !errors.Is(err, link.ErrAgain) {
			r.drop(c)
		}
	}
	return true
}

func (r *router) turnOf(c *conn) {
	if r.at != nil {
		r.at.slim()
	}
	r.at, r.taken = c, 0
}

// look asks what there is.
func (r *router) look() bool {
	if !r.refused.IsZero() && time.Since(r.refused) > acceptAgain {
		r.refused = time.Time{}
		_ = r.openDoor()
	}
	n, _ := unix.EpollWait(r.ep, r.events[:], 0) // interrupted or not: what is there is there next time
	r.pending = r.events[:max(n, 0)]
	return n > 0
}

func (r *router) serve(c *conn, events uint32) error {
	if events&unix.EPOLLOUT != 0 {
		if err := c.flush(); err != nil {
			r.mute(c)
			events |= unix.EPOLLIN
		}
	}
	if events&^unix.EPOLLOUT == 0 {
		return nil
	}
	if err := c.fill(); err != nil {
		return err
	}
	for c.phase != open {
		if err := c.shake(); err != nil {
			return err
		}
		if c.phase == open && !r.introduce(c) {
			return errProtocol
		}
	}
	if !slices.Contains(r.rest, c) {
		r.turnOf(c)
	}
	return nil
}

// introduce names a peer whose handshake is done; a name that another has is refused.
func (r *router) introduce(c *conn) bool {
	if i := slices.Index(r.strange, c); i >= 0 {
		r.strange = slices.Delete(r.strange, i, i+1)
	}
	if c.identity == "" {
		r.named++
		c.identity = string(binary.BigEndian.AppendUint32([]byte{0}, r.named))
	}
	if r.peers[c.identity] != nil {
		c.identity = ""
		return false
	}
	r.peers[c.identity] = c
	c.place.headBytes, c.place.find = r.place.headBytes, r.place.find
	return true
}

func (r *router) accept() {
	for range acceptMost {
		fd, _, err := unix.Accept4(r.door, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM):
			r.refused = time.Now()
			_ = unix.EpollCtl(r.ep, unix.EPOLL_CTL_DEL, r.door, nil) // or it would wake the owner without end
			time.AfterFunc(acceptAgain+time.Millisecond, r.Signal)   // who waits in Serve looks now and then anyhow
			return
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED):
			continue
		case err != nil:
			return
		}
		c := newConn(r.ep, fd, r.tr.opts)
		if c.watch(unix.EPOLL_CTL_ADD, unix.EPOLLIN) != nil {
			_ = unix.Close(fd)
			continue
		}
		c.router = true
		r.conns[int32(fd)] = c
		r.strange = append(r.strange, c)
		if c.greet() != nil {
			r.drop(c)
		}
		if len(r.strange) > handshakesMax {
			r.drop(r.strange[0])
		}
	}
}

// mute has nothing more written to a peer that takes nothing any more. What it has said is still to be read.
func (r *router) mute(c *conn) {
	if r.peers[c.identity] == c {
		delete(r.peers, c.identity)
	}
	c.out, c.outEnds, c.outBytes = nil, nil, 0
	_ = c.watch(unix.EPOLL_CTL_MOD, unix.EPOLLIN)
}

func (r *router) drop(c *conn) {
	if c.phase == broken {
		return
	}
	if i := slices.Index(r.strange, c); i >= 0 {
		r.strange = slices.Delete(r.strange, i, i+1)
	}
	if r.peers[c.identity] == c {
		delete(r.peers, c.identity)
	}
	delete(r.conns, int32(c.fd))
	c.phase = broken
	_ = unix.Close(c.fd)
}

// SetPlace is link.Placer's, for peers that come from now on.
func (r *router) SetPlace(headBytes int, f func(peer string, head []byte, n int) []byte) {
	r.place = place{headBytes: headBytes, find: f}
}

// Placed is link.Placer's.
func (r *router) Placed() []byte { return r.placed }

func (r *router) Send(peer string, body []byte) error { return r.SendJoined(peer, nil, body) }

func (r *router) SendJoined(peer string, head, body []byte) error {
	return r.send(peer, head, body, false)
}

func (r *router) SendLasting(peer string, head, body []byte) error {
	return r.send(peer, head, body, true)
}

func (r *router) send(peer string, head, body []byte, lasts bool) error {
	if r.shutDown {
		return link.ErrClosed
	}
	if err := checkSize(r.tr.opts, r.endpoint, len(head)+len(body)); err != nil {
		return err
	}
	c := r.peers[peer]
	switch {
	case c == nil:
		return link.ErrUnreachable
	case c.full() && (c.flush() != nil || c.full()):
		return link.ErrAgain
	}
	if err := c.send(head, body, lasts); err != nil {
		r.mute(c)
		return link.ErrUnreachable
	}
	return nil
}

// Close also removes the socket file and the lock file.
func (r *router) Close() error {
	if r.shutDown {
		return nil
	}
	r.shutDown = true
	err := r.Owner.Close()
	for _, c := range r.conns {
		r.drop(c)
	}
	err = errors.Join(err, unix.Close(r.ep), unix.Close(r.door))
	r.guard.Release()
	r.tr.linkClosed()
	return err
}
