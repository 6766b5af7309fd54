package zmq

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"brainer/internal/curve"
	"brainer/internal/link"

	zmq4 "github.com/pebbe/zmq4"
)

// CURVE is on tcp endpoints alone: an ipc path is guarded by its mode, inproc does not leave the
// process.

const zapDomain = "brainer" // only so that libzmq asks; there is one list

func isTCP(endpoint string) bool { return strings.HasPrefix(endpoint, "tcp://") }

// secureBound makes s a CURVE server, once there is somebody to ask which keys may connect: without a
// ZAP handler in the same context libzmq accepts them all.
func (t *Transport) secureBound(s *socket, endpoint string) (secured bool, err error) {
	if !isTCP(endpoint) || !t.opts.Curve.Binds() {
		return false, nil
	}
	if err := t.startZAP(); err != nil {
		return false, fmt.Errorf("start ZAP handler: %w", err)
	}
	own := t.opts.Curve.Own
	return true, profile(s.soc.SetCurveServer(1), s.soc.SetCurveSecretkey(own.Secret()), s.soc.SetZapDomain(zapDomain))
}

// secureDialled makes s a CURVE client of a peer that has the server key.
func secureDialled(s *socket, own curve.Pair, server curve.Key) error {
	return profile(s.soc.SetCurveServerkey(server.String()), s.soc.SetCurvePublickey(own.String()), s.soc.SetCurveSecretkey(own.Secret()))
}

// gate is what a secured router asks for every message, both ways; nil: nothing.
type gate struct {
	curve *curve.Config
	keys  map[string]string // of the peers that were heard: peersMax at most, then it starts anew
}

// maySend says whether the peer's key is still on the list. A subscriber who was taken off it, and says
// nothing, hears no more; for the owner he has gone.
func (g *gate) maySend(peer string) bool {
	if g == nil {
		return true
	}
	key, known := g.keys[peer]
	if !known {
		return true // inside the process
	}
	_, listed := g.curve.Allowed.Find(key)
	return listed
}

func (g *gate) learn(peer []byte, key string) {
	if g.keys[string(peer)] == key {
		return
	}
	if len(g.keys) >= peersMax {
		clear(g.keys)
	}
	g.keys[string(peer)] = key
}

// recvBody is socket.recvBody for a message whose sender is known by its key. Between connection and
// message the list may have changed. Who has no key comes from inside the process.
func (g *gate) recvBody(s *socket, peer []byte) (body []byte, admitted bool, err error) {
	const user, address = "User-Id", "Peer-Address" // of the body: a first frame may have lost them (libzmq 4.3.4)
	body, about, err := s.soc.RecvBytesWithMetadata(zmq4.DONTWAIT, user, address)
	if err != nil {
		return nil, false, fmt.Errorf("receive on %s: %w", s.endpoint, err)
	}
	for {
		more, err := s.soc.GetRcvmore()
		if err != nil {
			return nil, false, fmt.Errorf("receive on %s: %w", s.endpoint, err)
		}
		if !more {
			break
		}
		if _, err := s.recvFrame(); err != nil {
			return nil, false, err
		}
	}
	if about[user] == "" && about[address] == "" {
		return body, true, nil
	}
	caller, listed := g.curve.Allowed.Find(about[user])
	if listed && (g.curve.Admit == nil || g.curve.Admit(caller, body)) {
		g.learn(peer, about[user])
		return body, true, nil
	}
	g.curve.Refusals.Add(curve.NotItsPlace, about[address], about[user])
	return nil, false, nil
}

// Why a connection does not come about. Each ends the line "ENDPOINT: ...". Where one end has keys and
// the other has not, whichever notices first hangs up, and the other is left to guess.
var (
	errOurKey    = errors.New("our key is refused: it is not on the list of --curve-allowed-keys there")
	errServerKey = errors.New("the handshake is cut off: --curve-server-key is not the key of who listens there, or it has none")
	errWantsKeys = errors.New("the handshake is cut off: keys are asked for there; --curve-key and --curve-server-key name them")
	errNoKeys    = errors.New("who listens there may be anybody: it has none of the keys (run it with --curve-key)")
	errNotZMQ    = errors.New("who listens there does not speak ZeroMQ")
)

// mechanismMismatch is ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH.
const mechanismMismatch = 0x11000002

const handshakeEvents = zmq4.EVENT_HANDSHAKE_FAILED_AUTH | zmq4.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq4.EVENT_HANDSHAKE_FAILED_PROTOCOL

// handshakeMonitor hears of s's handshakes that fail.
func (t *Transport) handshakeMonitor(s *socket) (*zmq4.Socket, error) {
	address := fmt.Sprintf("inproc://handshakes-%d", t.monitors.Add(1))
	if err := s.soc.Monitor(address, handshakeEvents); err != nil {
		return nil, fmt.Errorf("monitor handshakes: %w", err)
	}
	m, err := t.ctx.NewSocket(zmq4.PAIR)
	if err != nil {
		return nil, fmt.Errorf("monitor handshakes: %w", err)
	}
	if err := profile(m.SetLinger(0), m.Connect(address)); err != nil {
		m.Close()
		return nil, fmt.Errorf("monitor handshakes: %w", err)
	}
	return m, nil
}

// handshake is the outcome of a dealer's, as far as it is known.
type handshake struct {
	monitor *zmq4.Socket // nil: not on tcp
	secured bool
	failed  error
}

// Refused says why the connection will not come about, or nil as long as it may.
func (d *dealer) Refused() error {
	d.enter()
	defer d.leave()
	h := &d.handshake
	if h.monitor == nil || h.failed != nil || d.closed {
		return h.failed
	}
	event, _, value, err := h.monitor.RecvEvent(zmq4.DONTWAIT)
	if err == nil {
		h.failed = h.reason(event, value)
	}
	return h.failed
}

func (h *handshake) reason(event zmq4.Event, value int) error {
	switch {
	case event == zmq4.EVENT_HANDSHAKE_FAILED_AUTH:
		return errOurKey
	case event == zmq4.EVENT_HANDSHAKE_FAILED_NO_DETAIL && h.secured:
		return errServerKey
	case event == zmq4.EVENT_HANDSHAKE_FAILED_NO_DETAIL || value == mechanismMismatch && !h.secured:
		return errWantsKeys
	case value == mechanismMismatch:
		return errNoKeys
	}
	return errNotZMQ
}

func (h *handshake) close() {
	if h.monitor != nil {
		h.monitor.Close()
	}
}

const selfTestMax = 10 * time.Second

// selfTest dials the endpoint with a key that nobody knows. If that is let in, nothing keeps
// strangers out, and it is better not to start.
func (t *Transport) selfTest(endpoint string) error {
	stranger, err := curve.Generate()
	if err != nil {
		return err
	}
	t.zap.ours(stranger.Public)
	s, err := t.newSocket(zmq4.DEALER, endpoint)
	if err != nil {
		return err
	}
	d := &dealer{socket: s}
	defer d.Close()
	err = profile(s.soc.SetImmediate(true), s.soc.SetReconnectIvl(-1))
	if err == nil {
		err = secureDialled(s, stranger, t.opts.Curve.Own.Public)
	}
	if err == nil {
		d.handshake.secured = true
		d.handshake.monitor, err = t.handshakeMonitor(s)
	}
	if err == nil {
		err = dialError(s.soc.Connect(endpoint))
	}
	if err == nil {
		err = s.findFD()
	}
	if err != nil {
		return fmt.Errorf("self-test of the keys: %w", err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(selfTestMax); time.Now().Before(deadline); <-tick.C {
		if d.Connected() {
			return errors.New("self-test of the keys: a stranger was let in")
		}
		if err := d.Refused(); err != nil {
			if err != errOurKey {
				return fmt.Errorf("self-test of the keys: %w", err)
			}
			return nil
		}
	}
	return errors.New("self-test of the keys: no answer")
}

var _ link.Refuser = (*dealer)(nil)
