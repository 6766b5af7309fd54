// Package zmq is a link.Transport on libzmq, and all that needs it, with one fixed
// socket profile. What a message means, who a peer is, and repairing what ZeroMQ loses (it says OK
// to sends that never arrive, and drops what is queued when a connection breaks) are left to its
// callers: they have positions, acknowledgements and sessions.
//
// The profile, and what each choice prevents:
//
//   - no ZMTP heartbeats: with a finite receive HWM they abort the process (libzmq 4.3.4,
//     stream_engine_base.cpp:417), and the I/O thread answers them while the application hangs;
//   - HWM 0: the bytes in flight are bounded by credit, which counts bytes where an HWM counts messages;
//     but a ROUTER keeps no more than 4096 messages for a peer that reads none, be it a node or a stranger;
//   - ROUTER_MANDATORY: a peer that has gone gives link.ErrUnreachable, not silence;
//   - always DONTWAIT: one full peer must not stop the goroutine that serves all;
//   - LINGER 0, non-blocky context: closing never waits for an unreachable peer;
//   - RECONNECT_IVL -1 and IMMEDIATE 1 on dealers: a session is one connection, so nothing stale is
//     ever delivered to a broker that was bound later;
//   - CURVE on tcp, with a ZAP handler in the same context: without one libzmq lets every key in;
//   - MAXMSGSIZE: the peer announces the length, the receiver allocates it, also before any authentication;
//   - one body frame per message: multipart costs a third of the throughput, and an error between
//     frames leaves a socket in mid-message.
package zmq

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"brainer/internal/bell"
	"brainer/internal/curve"
	"brainer/internal/link"
	"brainer/internal/link/ipc"

	zmq4 "github.com/pebbe/zmq4"
)

const (
	handshakeMax = 3 * time.Second // unauthenticated connections hold descriptors no longer
	backlog      = 511
	peerQueueMax = 4096
	tcpMaxrt     = 2 * time.Second
	termMax      = 2 * time.Second
)

// Options hold for every link of a Transport. The zero value is usable.
type Options struct {
	MaxMsgBytes int64 // largest body, both ways, link.MessageBytesMax when 0; a peer that sends a larger one is disconnected
	IOThreads   int   // libzmq's, 1 when 0

	// Curve secures tcp endpoints; nil: they are open to everybody.
	Curve  *curve.Config
	Linger time.Duration // of a link's owner in Serve, see bell.Owner
}

// Transport makes links in a ZeroMQ context of its own; inproc endpoints are visible inside it only.
// Its methods may be called from any goroutine.
type Transport struct {
	opts Options
	ctx  *zmq4.Context // referenced for as long as a link is: its finalizer would terminate it

	monitors atomic.Uint64 // made so far, for their names

	mu         sync.Mutex
	open       int // links not closed yet
	closed     bool
	zap        *zap         // from the first secured Bind on
	attendants []*attendant // that count the handshakes which fail
}

var _ link.Transport = (*Transport)(nil)

// New makes a transport; its threads start with the first link.
func New(opts Options) (*Transport, error) {
	if opts.MaxMsgBytes == 0 {
		opts.MaxMsgBytes = link.MessageBytesMax
	}
	if opts.IOThreads == 0 {
		opts.IOThreads = 1
	}
	ctx, err := zmq4.NewContext()
	if err != nil {
		return nil, fmt.Errorf("new ZeroMQ context: %w", err)
	}
	if err := errors.Join(ctx.SetBlocky(false), ctx.SetIoThreads(opts.IOThreads)); err != nil {
		return nil, fmt.Errorf("set up ZeroMQ context: %w", err)
	}
	return &Transport{opts: opts, ctx: ctx}, nil
}

// Bind opens endpoint (ipc://PATH, tcp://ADDRESS:PORT with * for any address or a chosen port, or
// inproc://NAME). An ipc path is guarded by a lock file beside it and has mode 0600.
func (t *Transport) Bind(endpoint string) (link.Router, error) {
	if err := checkEndpoint(endpoint); err != nil {
		return nil, fmt.Errorf("bind %q: %w", endpoint, err)
	}
	r, err := t.bind(endpoint)
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", endpoint, err)
	}
	return r, nil
}

func (t *Transport) bind(endpoint string) (*router, error) {
	var guard *ipc.Guard
	if path, ok := ipc.Path(endpoint); ok {
		var err error
		if guard, err = ipc.Take(path); err != nil {
			return nil, err
		}
	}
	s, err := t.newSocket(zmq4.ROUTER, endpoint)
	r := &router{socket: s, guard: guard, peers: make(map[string]string)}
	if err == nil {
		secured := false
		err = profile(s.soc.SetRouterMandatory(1), s.soc.SetBacklog(backlog), s.soc.SetSndhwm(peerQueueMax))
		if err == nil {
			secured, err = t.secureBound(s, endpoint)
		}
		if err == nil && secured {
			r.gate = &gate{curve: t.opts.Curve, keys: make(map[string]string)}
			err = t.countFailures(s)
		}
		if err == nil {
			err = guard.Bind(func() error { return bindError(s.soc.Bind(endpoint)) })
		}
		if err == nil {
			s.endpoint, err = s.soc.GetLastEndpoint()
		}
		if err == nil {
			err = s.findFD()
		}
		if err == nil && secured {
			err = t.selfTest(s.endpoint)
		}
		if err != nil {
			s.close()
		}
	}
	if err != nil {
		guard.Release()
		return nil, err
	}
	return r, nil
}

// Dial starts to connect and returns at once: Send says link.ErrAgain until the connection stands,
// Ready is signalled when it does. A Dealer never reconnects; after a failure dial a new one.
func (t *Transport) Dial(endpoint, routingID string) (link.Dealer, error) {
	if err := checkEndpoint(endpoint); err != nil {
		return nil, fmt.Errorf("dial %q: %w", endpoint, err)
	}
	if err := link.CheckRoutingID(routingID); err != nil {
		return nil, fmt.Errorf("dial %s: %w", endpoint, err)
	}
	s, err := t.newSocket(zmq4.DEALER, endpoint)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", endpoint, err)
	}
	d := &dealer{socket: s}
	err = profile(s.soc.SetIdentity(routingID), s.soc.SetImmediate(true), s.soc.SetReconnectIvl(-1))
	if err == nil && isTCP(endpoint) {
		if d.handshake.secured = t.opts.Curve.Dials(); d.handshake.secured {
			err = secureDialled(s, t.opts.Curve.Own, t.opts.Curve.Server)
		}
		if err == nil {
			d.handshake.monitor, err = t.handshakeMonitor(s)
		}
	}
	if err == nil {
		err = dialError(s.soc.Connect(endpoint))
	}
	if err == nil {
		err = s.findFD()
	}
	if err != nil {
		s.close()
		d.handshake.close()
		return nil, fmt.Errorf("dial %s: %w", endpoint, err)
	}
	return d, nil
}

// Close ends the context. The links' owners close them first: with one open it fails at once rather
// than wait for ever.
func (t *Transport) Close() error {
	t.mu.Lock()
	closed, open := t.closed, t.open
	t.closed = t.closed || t.open == 0
	t.mu.Unlock()
	switch {
	case closed:
		return nil
	case open > 0:
		return fmt.Errorf("close ZeroMQ transport: %d links are still open", open)
	}
	t.stopAttendants()
	ended := make(chan error, 1)
	go func() { ended <- t.ctx.Term() }() // ends with Term, or with the process
	select {
	case err := <-ended:
		return err
	case <-time.After(termMax):
		return errors.New("close ZeroMQ transport: its threads did not end in time")
	}
}

// newSocket applies what routers and dealers have in common, LINGER first.
func (t *Transport) newSocket(kind zmq4.Type, endpoint string) (*socket, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, link.ErrClosed
	}
	soc, err := t.ctx.NewSocket(kind)
	if err != nil {
		return nil, fmt.Errorf("new ZeroMQ socket: %w", err)
	}
	err = profile(
		soc.SetLinger(0),
		soc.SetSndhwm(0),
		soc.SetRcvhwm(0),
		soc.SetMaxmsgsize(t.opts.MaxMsgBytes),
		soc.SetHandshakeIvl(handshakeMax),
		soc.SetIpv6(strings.Contains(endpoint, "[")),
		soc.SetTcpKeepalive(1),
		soc.SetTcpKeepaliveIdle(1),
		soc.SetTcpKeepaliveIntvl(1),
		soc.SetTcpKeepaliveCnt(2),
		soc.SetTcpMaxrt(tcpMaxrt),
	)
	if err != nil {
		soc.Close()
		return nil, err
	}
	t.open++
	return &socket{tr: t, soc: soc, endpoint: endpoint, Owner: bell.NewOwner(t.opts.Linger)}, nil
}

func (t *Transport) linkClosed() {
	t.mu.Lock()
	t.open--
	t.mu.Unlock()
}

func profile(errs ...error) error {
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("set ZeroMQ socket option: %w", err)
	}
	return nil
}

func checkEndpoint(endpoint string) error {
	scheme, rest, ok := strings.Cut(endpoint, "://")
	switch {
	case !ok || rest == "":
		return errors.New("an endpoint looks like ipc:///tmp/broker.sock or tcp://127.0.0.1:5555")
	case scheme != "ipc" && scheme != "tcp" && scheme != "inproc":
		return fmt.Errorf("scheme %q is none of ipc, tcp, inproc", scheme)
	}
	return nil
}

func bindError(err error) error {
	switch zmq4.AsErrno(err) {
	case zmq4.EADDRINUSE:
		return errors.New("address in use: another process listens there; end it or choose another endpoint")
	case zmq4.EADDRNOTAVAIL, errnoNoDevice:
		return errors.New("no such address on this machine")
	case errnoInvalid:
		return errors.New("not a usable address; it looks like tcp://127.0.0.1:5555")
	case errnoAccess:
		return errors.New("permission denied: choose another port or directory")
	}
	return err
}

func dialError(err error) error {
	if zmq4.AsErrno(err) == errnoInvalid {
		return errors.New("not a usable address; it looks like tcp://127.0.0.1:5555")
	}
	return err
}
