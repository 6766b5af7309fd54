package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/tidwall/redcon"
)

// Serve accepts connections from ln until Shutdown, or until ln fails for good. It closes ln.
func (s *Server) Serve(ln net.Listener) error { return s.accept(ln, nil) }

// ServeTLS is Serve for clients that speak TLS.
func (s *Server) ServeTLS(ln net.Listener, config *tls.Config) error { return s.accept(ln, config) }

func (s *Server) accept(ln net.Listener, config *tls.Config) error {
	l := &listener{Listener: ln, srv: s, tls: config}
	s.mu.Lock()
	if s.draining.Load() {
		s.mu.Unlock()
		return errors.Join(ErrClosed, ln.Close())
	}
	s.listeners[ln] = struct{}{}
	s.mu.Unlock()

	err := redcon.Serve(l, s.takeOver, nil, nil)

	s.mu.Lock()
	delete(s.listeners, ln)
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	}
	if !s.draining.Load() {
		return fmt.Errorf("serve %s: %w", ln.Addr(), l.failed)
	}
	return nil
}

// takeOver gets each connection from redcon, as the handler of the one command that redcon read.
func (s *Server) takeOver(conn redcon.Conn, _ redcon.Command) {
	primed := conn.Detach().NetConn().(*primedConn)
	go func() {
		_ = s.serve(primed.Conn, primed.id) // what ended a connection concerns nobody else
	}()
}

// listener gives redcon connections that it can do nothing with but hand them over.
type listener struct {
	net.Listener
	srv    *Server
	tls    *tls.Config // nil: in the clear
	failed error       // why Accept gave up; read after redcon.Serve returned
}

// Accept survives the lack of descriptors, and turns away who is too many.
func (l *listener) Accept() (net.Conn, error) {
	const first, most = 5 * time.Millisecond, time.Second
	pause := first
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || l.srv.draining.Load() {
				l.failed = err
				return nil, net.ErrClosed
			}
			if pause == first {
				l.srv.log.Error("accept failed, trying again", "address", l.Addr(), "err", err)
			}
			time.Sleep(pause)
			pause = min(2*pause, most)
			continue
		}
		pause = first
		tcp, isTCP := conn.(*net.TCPConn)
		if l.tls != nil {
			conn = tlsConn{tls.Server(conn, l.tls)} // it has its handshake where it is served
		}
		if !l.srv.admit() {
			l.srv.refuse(conn)
			continue
		}
		if isTCP {
			idle := time.Duration(l.srv.settings.keepAliveS.Load()) * time.Second
			_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{
				Enable: idle > 0, Idle: idle, Interval: max(idle/3, time.Second), Count: 3,
			}) // a connection without keepalive is served all the same
		}
		return &primedConn{Conn: conn, id: l.srv.nextID.Add(1)}, nil
	}
}

// primedConn reads as one constant command, so that redcon calls the handler and reads no byte of
// the client's.
type primedConn struct {
	net.Conn
	id     uint64 // in the order of arrival
	primed bool
}

func (c *primedConn) Read(p []byte) (int, error) {
	if c.primed {
		return 0, errors.New("server: redcon read on after its command")
	}
	c.primed = true
	return copy(p, "*1\r\n$4\r\nOPEN\r\n"), nil
}
