package zmq

import (
	"bytes"
	"sync"
	"sync/atomic"

	"brainer/internal/bell"
	"brainer/internal/curve"
	"brainer/internal/link"

	zmq4 "github.com/pebbe/zmq4"
)

const zapEndpoint = "inproc://zeromq.zap.01"

// attendant is a socket of the transport's own and the goroutine that owns it.
type attendant struct {
	*socket
	stopping atomic.Bool
	ended    chan struct{}
}

// attend has a goroutine call take for as long as it says nil; it says link.ErrAgain when there is
// nothing.
func attend(s *socket, take func() error) (*attendant, error) {
	if err := s.findFD(); err != nil {
		return nil, err
	}
	a := &attendant{socket: s, ended: make(chan struct{})}
	go func() { // ends by stop
		defer close(a.ended)
		_ = a.Serve(func() bool { // it fails only when the descriptor is closed
			for take() == nil {
			}
			return a.stopping.Load()
		})
	}()
	return a, nil
}

func (a *attendant) stop() {
	a.stopping.Store(true)
	a.Kick()
	<-a.ended
	_ = a.Owner.Close()
	a.soc.Close()
}

// zap answers libzmq's question whether a key may connect (https://rfc.zeromq.org/spec/27). It says no
// to everything that it does not understand.
type zap struct {
	*attendant
	curve *curve.Config

	mu      sync.Mutex
	oursKey curve.Key // of a self-test: refused, but no stranger
}

// startZAP is called before the first secured Bind; the handler lives as long as the transport.
func (t *Transport) startZAP() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.zap != nil {
		return nil
	}
	soc, err := t.ctx.NewSocket(zmq4.ROUTER)
	if err != nil {
		return err
	}
	z := &zap{curve: t.opts.Curve}
	s := &socket{tr: t, soc: soc, endpoint: zapEndpoint, Owner: bell.NewOwner(t.opts.Linger)}
	err = profile(soc.SetLinger(0), soc.SetRcvhwm(0), soc.SetSndhwm(0), soc.Bind(zapEndpoint))
	if err == nil {
		z.attendant, err = attend(s, func() error { return z.answer(s) })
	}
	if err != nil {
		soc.Close()
		return err
	}
	t.zap = z
	return nil
}

func (z *zap) ours(key curve.Key) {
	z.mu.Lock()
	z.oursKey = key
	z.mu.Unlock()
}

// answer takes one question.
func (z *zap) answer(s *socket) error {
	frames, err := s.soc.RecvMessageBytes(zmq4.DONTWAIT)
	if err != nil {
		return link.ErrAgain
	}
	// Who asks, an empty frame, version, request id, domain, address, identity, mechanism, credentials.
	const least = 8
	if len(frames) < least || len(frames[1]) > 0 {
		return nil
	}
	question := frames[2:]
	status, text, user := "400", "refused", ""
	if string(question[0]) == "1.0" && bytes.Equal(question[5], []byte("CURVE")) && len(question) == 7 && len(question[6]) == 32 {
		key := curve.Key(question[6])
		if _, ok := z.curve.Allowed.Find(key.String()); ok {
			status, text, user = "200", "OK", key.String()
		} else if !z.isOurs(key) {
			z.curve.Refusals.Add(curve.UnknownKey, string(question[3]), key.String())
		}
	}
	// Its only failure is a peer that has gone, who needs no answer.
	_, _ = s.soc.SendMessageDontwait(frames[0], "", "1.0", question[1], status, text, user, "")
	return nil
}

func (z *zap) isOurs(key curve.Key) bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	return key == z.oursKey
}

// countFailures counts the handshakes at s that end before a key is asked for: peers without CURVE, and
// those that take us for another.
func (t *Transport) countFailures(s *socket) error {
	m, err := t.handshakeMonitor(s)
	if err != nil {
		return err
	}
	ms := &socket{tr: t, soc: m, endpoint: s.endpoint, Owner: bell.NewOwner(t.opts.Linger)}
	a, err := attend(ms, func() error {
		event, _, _, err := m.RecvEvent(zmq4.DONTWAIT)
		if err != nil {
			return link.ErrAgain
		}
		if event == zmq4.EVENT_HANDSHAKE_FAILED_PROTOCOL { // no detail: somebody looked whether the port is open
			t.opts.Curve.Refusals.Add(curve.NoHandshake, "", "")
		}
		return nil
	})
	if err != nil {
		m.Close()
		return err
	}
	t.mu.Lock()
	t.attendants = append(t.attendants, a)
	t.mu.Unlock()
	return nil
}

// stopAttendants is called when no link is left.
func (t *Transport) stopAttendants() {
	t.mu.Lock()
	attendants, z := t.attendants, t.zap
	t.attendants, t.zap = nil, nil
	t.mu.Unlock()
	for _, a := range attendants {
		a.stop()
	}
	if z != nil {
		z.stop()
	}
}
