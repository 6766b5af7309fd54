package zmtp

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"brainer/internal/bell"
	"brainer/internal/link"
)

// dealer is one session. Its queue has no limit of its own: link.ErrAgain from Send is about the
// connection alone.
type dealer struct {
	*bell.Owner
	tr       *Transport
	endpoint string
	ep       int
	c        *conn
	stood    bool // the connection, when Ready looked last
	shutDown bool
}

// dial succeeds or fails at once: it is a path of this machine. Nobody there is no error.
func (t *Transport) dial(endpoint, path, identity string) (*dealer, error) {
	if err := t.opened(); err != nil {
		return nil, err
	}
	fd, err := newSocket()
	if err != nil {
		t.linkClosed()
		return nil, err
	}
	ep, owner, err := newEpoll(t.opts.Linger)
	if err != nil {
		_ = unix.Close(fd)
		t.linkClosed()
		return nil, err
	}
	d := &dealer{Owner: owner, tr: t, endpoint: endpoint, ep: ep, c: newConn(ep, fd, t.opts)}
	d.c.own = identity
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	if err == nil {
		err = d.c.watch(unix.EPOLL_CTL_ADD, unix.EPOLLIN)
	}
	if err == nil {
		err = d.c.greet()
	}
	if err != nil {
		d.c.phase = broken
	}
	return d, nil
}

// Ready looks, so that no wake-up is lost to what a Send has read.
func (d *dealer) Ready() <-chan struct{} {
	if d.shutDown {
		return d.Signals()
	}
	d.Watch()
	stands, news := d.look()
	if stands != d.stood || news {
		d.stood = stands
		d.Signal()
	}
	return d.Signals()
}

// Connected says whether the connection stands, the handshake included.
func (d *dealer) Connected() bool {
	stands, _ := d.look()
	return stands
}

// look reports also whether there is something to receive, and writes what waits to be written.
func (d *dealer) look() (stands, news bool) {
	if d.shutDown || !d.shake() {
		return false, false
	}
	if d.c.flush() != nil {
		d.lose()
		return false, false
	}
	readable, ended := d.c.peek()
	return !ended, readable || d.c.whole()
}

// take reads what there is and returns the next message, or link.ErrAgain.
func (d *dealer) take() ([]byte, error) {
	for d.c.phase == open || d.shake() {
		body, err := d.c.next()
		if err == nil {
			return body, nil
		}
		if errors.Is(err, link.ErrAgain) {
			err = d.c.fill()
		}
		if errors.Is(err, link.ErrAgain) {
			if err = d.c.flush(); err == nil {
				break
			}
		}
		if err != nil {
			d.lose()
		}
	}
	return nil, link.ErrAgain
}

// shake goes on with the handshake, and reports whether it is done.
func (d *dealer) shake() bool {
	for d.c.phase < open {
		err := d.c.shake()
		if errors.Is(err, link.ErrAgain) {
			err = d.c.fill()
		}
		if errors.Is(err, link.ErrAgain) {
			break
		}
		if err != nil {
			d.lose()
		}
	}
	return d.c.phase == open
}

// lose ends the connection. Nothing wakes the owner any more but a Kick.
func (d *dealer) lose() {
	d.c.phase, d.c.out = broken, nil
	_ = d.c.watch(unix.EPOLL_CTL_DEL, 0)
	d.Signal()
}

func (d *dealer) Recv() ([]byte, error) {
	b, err := d.RecvView()
	return slices.Clone(b), err
}

func (d *dealer) RecvView() ([]byte, error) {
	if d.shutDown {
		return nil, link.ErrClosed
	}
	return d.take()
}

func (d *dealer) Send(body []byte) error { return d.SendJoined(nil, body) }

func (d *dealer) SendJoined(head, body []byte) error {
	if d.shutDown {
		return link.ErrClosed
	}
	if err := checkSize(d.tr.opts, d.endpoint, len(head)+len(body)); err != nil {
		return err
	}
	if d.c.phase != open && !d.shake() {
		return link.ErrAgain
	}
	if err := d.c.send(head, body, false); err != nil {
		d.lose()
		return link.ErrAgain
	}
	return nil
}

func (d *dealer) Close() error {
	if d.shutDown {
		return nil
	}
	d.shutDown = true
	d.tr.linkClosed()
	return errors.Join(d.Owner.Close(), unix.Close(d.c.fd), unix.Close(d.ep))
}
