package client

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"time"

	"brainer/internal/curve"
	"brainer/internal/link"
	"brainer/internal/link/zmq"
)

// lookEvery is how often a link that is being made is asked whether it was refused.
const lookEvery = 5 * time.Millisecond

// linkStream is a session on a ZeroMQ link (or another transport's): a request is one message, the
// bodies that come back, joined, are the replies.
type linkStream struct {
	dealer    link.Dealer
	transport link.Transport // to be closed with it; nil when it is the caller's
}

func openOwnLink(ctx context.Context, e endpoint, keys *curve.Config) (stream, error) {
	t, err := zmq.New(zmq.Options{Curve: keys})
	if err != nil {
		return nil, err
	}
	s, err := openLink(ctx, e, t, true)
	if err != nil {
		t.Close()
		return nil, err
	}
	return s, nil
}

func openLink(ctx context.Context, e endpoint, t link.Transport, own bool) (stream, error) {
	var id [12]byte
	rand.Read(id[:])
	d, err := t.Dial(e.String(), "client-"+hex.EncodeToString(id[:]))
	if err != nil {
		return nil, unreachable(err.Error(), err)
	}
	refuser, mayRefuse := d.(link.Refuser)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for !d.Connected() {
		if mayRefuse {
			if err := refuser.Refused(); err != nil {
				d.Close()
				return nil, unreachable(fmt.Sprintf("%s: %v", e, err), err)
			}
		}
		select {
		case <-d.Ready():
		case <-look.C: // a refusal does not make it ready
		case <-ctx.Done():
			d.Close()
			return nil, unreachable(fmt.Sprintf("something listens on %s, but does not answer: the broker hangs, or this is not its --broker endpoint", e), ctx.Err())
		}
	}
	s := &linkStream{dealer: d}
	if own {
		s.transport = t
	}
	return s, nil
}

func (s *linkStream) send(_ context.Context, b []byte) error {
	err := s.dealer.Send(b)
	if err == link.ErrAgain || err == link.ErrUnreachable {
		return errNotSent
	}
	return err
}

func (s *linkStream) recv(ctx context.Context) ([]byte, error) {
	for {
		b, err := s.dealer.Recv()
		switch {
		case err == nil:
			return b, nil
		case err != link.ErrAgain:
			return nil, err
		case !s.dealer.Connected():
			return nil, ErrLost
		default:
			select {
			case <-s.dealer.Ready():
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
}

func (s *linkStream) close() {
	s.dealer.Close()
	if s.transport != nil {
		s.transport.Close()
	}
}

// socketStream is a plain connection to the Redis front end.
type socketStream struct {
	conn net.Conn
	buf  [16 << 10]byte
}

func (s *socketStream) send(ctx context.Context, b []byte) error {
	defer s.bound(ctx)()
	_, err := s.conn.Write(b)
	return err
}

func (s *socketStream) recv(ctx context.Context) ([]byte, error) {
	defer s.bound(ctx)()
	n, err := s.conn.Read(s.buf[:])
	if n > 0 {
		return s.buf[:n], nil
	}
	return nil, err
}

// bound makes ctx end what the connection waits for.
func (s *socketStream) bound(ctx context.Context) (release func()) {
	s.conn.SetDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { s.conn.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

func (s *socketStream) close() { s.conn.Close() }
