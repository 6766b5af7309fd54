package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"brainer/internal/command"
)

// Options are what a Server is made of. Zero values take the defaults that are named.
type Options struct {
	Table    *command.Table
	Log      *slog.Logger // slog.Default
	Observer Observer     // none
	Version  string       // Brainer's own

	Password   string // requirepass
	Protected  bool   // without a password nobody but this machine is served
	MaxClients int    // 10000

	IdleTimeout    time.Duration // a client without a request is closed; 0: never
	PartialTimeout time.Duration // one that stops within a command, 60 s
	WriteTimeout   time.Duration // one that does not read its replies, 30 s
	KeepAlive      time.Duration // TCP keepalive, 300 s

	BulkMax        int64 // bytes of one argument, 512 MB
	QueryBufferMax int64 // bytes of one command, 1 GB
	ReservedFDs    int   // descriptors kept free of clients, an eighth of the limit but at least 128
	Params         []Param
	Saver          Saver  // of SAVE, BGSAVE and LASTSAVE; nil: there is none
	ConfigFile     string // shown by INFO
	Bind           string // shown by CONFIG GET
	Port           int    // "
	TLSPort        int    // "
	TLS            TLSFiles
}

// Server is the front end. Serve and ServeConn may be called by many goroutines.
type Server struct {
	table    *command.Table
	backend  Backend
	observer Observer
	log      *slog.Logger
	opts     Options
	runID    string

	handlers map[*command.Command]handler
	settings settings
	params   params
	hub      *hub
	loop     *Loop // nil: every client has a goroutine
	stats    stats
	guesses  guesses

	startedAt time.Time
	nextID    atomic.Uint64
	draining  atomic.Bool
	connected atomic.Int64
	unsent    atomic.Int64 // bytes of replies whose clients have not taken them yet
	refusals  chan struct{}

	mu        sync.Mutex
	clients   map[uint64]*client
	listeners map[net.Listener]struct{}
	empty     chan struct{} // closed when draining and the last client has gone
}

// New returns a server in front of backend.
func New(backend Backend, opts Options) *Server {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Observer == nil {
		opts.Observer = noObserver{}
	}
	id := make([]byte, 20)
	_, _ = rand.Read(id) // never fails
	s := &Server{
		table:     opts.Table,
		backend:   backend,
		observer:  opts.Observer,
		log:       opts.Log,
		opts:      opts,
		runID:     hex.EncodeToString(id),
		startedAt: time.Now(),
		clients:   map[uint64]*client{},
		listeners: map[net.Listener]struct{}{},
		empty:     make(chan struct{}),
		hub:       newHub(),
		refusals:  make(chan struct{}, refusalsMax),
	}
	s.settings.init(opts, s.log)
	s.params = s.newParams(opts.Params)
	s.stats.init()
	s.guesses.init()
	s.handlers = newHandlers(opts.Table)
	return s
}

// ErrMaxClients: the connection was refused because there are too many.
var ErrMaxClients = errors.New("server: max number of clients reached")

// ErrClosed: the server is shutting down.
var ErrClosed = errors.New("server: shutting down")

// ServeConn serves one connection, of whatever transport, until it ends, and closes it. Its Close
// must end a Read and a Write that another goroutine is in.
func (s *Server) ServeConn(conn net.Conn) error {
	if !s.admit() {
		s.refuse(conn)
		return ErrMaxClients
	}
	return s.serve(conn, s.nextID.Add(1))
}

// admit counts a connection in, unless there are too many.
func (s *Server) admit() bool {
	if s.connected.Add(1) > s.settings.maxClients.Load() {
		s.connected.Add(-1)
		s.stats.rejectedConnections.Add(1)
		return false
	}
	s.stats.connections.Add(1)
	return true
}

// refusalsMax is how many refused connections may wait at once for their client to read why; it is
// taken from the reserve of descriptors.
const refusalsMax = 32

// refuse tells a connection that there are too many, without holding up its caller.
func (s *Server) refuse(conn net.Conn) {
	if _, encrypted := conn.(tlsConn); encrypted {
		_ = conn.Close() // as Redis: a handshake is too dear for that
		return
	}
	select {
	case s.refusals <- struct{}{}:
	default:
		_ = conn.Close()
		return
	}
	go func() {
		defer func() { <-s.refusals }()
		sayAndClose(conn, errMaxClients)
	}()
}

// sayAndClose is the end of a connection that is not served.
func sayAndClose(conn net.Conn, text string) {
	_ = conn.SetWriteDeadline(time.Now().Add(lingerPatience))
	_, _ = io.WriteString(conn, "-"+text+"\r\n") // it is closed either way
	linger(conn)
	_ = conn.Close()
}

// serve runs a connection that was counted in.
func (s *Server) serve(conn net.Conn, id uint64) error {
	c, err := s.enter(conn, id)
	if err != nil {
		s.connected.Add(-1)
		return err
	}
	if s.loop.takeIn(c) {
		return nil
	}
	defer s.left(c)
	return c.run()
}

// enter makes a connection a client; one that may not be is closed.
func (s *Server) enter(conn net.Conn, id uint64) (*client, error) {
	if err := s.handshake(conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	if s.protectedFrom(conn) {
		s.denyProtected(conn)
		return nil, ErrProtected
	}
	conn = s.forLoop(conn)
	c := newClient(s, conn, id)
	if !s.register(c) {
		_ = conn.Close()
		release(conn)
		return nil, ErrClosed
	}
	return c, nil
}

// left counts a client out.
func (s *Server) left(c *client) {
	c.turn.batch.LetGo()
	s.unregister(c)
	s.connected.Add(-1)
}

func (s *Server) register(c *client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.clients[c.id] = c
	return true
}

func (s *Server) unregister(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, c.id)
	if len(s.clients) == 0 && s.draining.Load() {
		s.closeEmpty()
	}
}

// closeEmpty is called under mu, once or more.
func (s *Server) closeEmpty() {
	select {
	case <-s.empty:
	default:
		close(s.empty)
	}
}

// Shutdown stops accepting, lets every connection answer the commands that it has read, and closes
// it. When ctx ends first the remaining connections are cut.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining.Store(true)
	for ln := range s.listeners {
		_ = ln.Close()
	}
	if s.loop != nil {
		s.loop.wake()
	}
	past := time.Unix(1, 0)
	for _, c := range s.clients {
		// Whoever waits for a request stops; whoever is in a turn looks at draining after it.
		_ = c.conn.SetReadDeadline(past)
	}
	if len(s.clients) == 0 {
		s.closeEmpty()
	}
	s.mu.Unlock()

	select {
	case <-s.empty:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for _, c := range s.clients {
		_ = c.conn.Close()
	}
	s.mu.Unlock()
	return ctx.Err()
}

// Connected is how many clients there are now.
func (s *Server) Connected() int { return int(s.connected.Load()) }

// Counters are totals since the start, for metrics.
type Counters struct {
	Connections, RejectedConnections uint64
	Commands                         uint64
	InputBytes, OutputBytes          uint64
	ClosedForOutput                  uint64 // clients that did not read
	Panics                           uint64
	AuthFailures, AuthLimited        uint64 // wrong passwords; passwords that were not looked at
	TLSFailures                      uint64 // handshakes
	PubSubChannels, PubSubPatterns   int
}

// Counters returns the totals.
func (s *Server) Counters() Counters {
	channels, patterns := s.hub.size()
	return Counters{
		Connections:         s.stats.connections.Load(),
		RejectedConnections: s.stats.rejectedConnections.Load(),
		Commands:            s.stats.commands.Load(),
		InputBytes:          s.stats.inputBytes.Load(),
		OutputBytes:         s.stats.outputBytes.Load(),
		ClosedForOutput:     s.stats.closedForOutput.Load(),
		Panics:              s.stats.panics.Load(),
		AuthFailures:        s.stats.authFailures.Load(),
		AuthLimited:         s.stats.authLimited.Load(),
		TLSFailures:         s.stats.tlsFailures.Load(),
		PubSubChannels:      channels,
		PubSubPatterns:      patterns,
	}
}

// sortedClients returns all clients in the order of their ids.
func (s *Server) sortedClients() []*client {
	s.mu.Lock()
	all := make([]*client, 0, len(s.clients))
	for _, c := range s.clients {
		all = append(all, c)
	}
	s.mu.Unlock()
	sortClients(all)
	return all
}
