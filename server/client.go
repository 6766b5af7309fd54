package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"brainer/internal/command"
	"brainer/internal/op"
	"brainer/resp"
)

// session is what RESET and a failed EXEC take back: plain values only.
type session struct {
	db            int
	proto         int
	name          string
	libName       string
	libVer        string
	authenticated bool
	ack           op.Ack
	noEvict       bool
	noTouch       bool
	replyOff      bool
}

// client is one connection. Its goroutine owns everything but what is marked.
type client struct {
	srv    *Server
	conn   net.Conn
	id     uint64
	fd     int // for CLIENT LIST
	reader *resp.Reader
	out    *output
	seenMu sync.Mutex
	seen   seen // under seenMu: what other connections see in CLIENT LIST

	session
	replySkip     bool // this command's reply is not sent
	replySkipNext bool

	tx       transaction
	watching bool     // since WATCH
	tracked  bool     // the nodes may track keys for us: an EXEC that was refused leaves them
	restore  *session // of before an EXEC, should it not take place
	inExec   bool
	channels map[string]struct{}
	patterns map[string]struct{}

	pushProto atomic.Int32 // RESP version of messages

	turn      turn
	lastIndex uint64 // the place of our last write in the order
	lasting   bool   // the bytes of the command at hand outlive it
	withAck   op.Ack // of the command at hand, from BRAINER WITH; AckDefault: none

	withClient []byte // its id, from BRAINER WITH ID; empty: none
	withNumber uint64

	snapshot op.SnapshotReader // that it reads, or nil

	row        *command.Command // the server's own command at hand
	closeAfter bool             // close once the turn is answered
	readArmed  bool             // a read deadline is set

	loop looped

	commands atomic.Uint64
	killed   atomic.Bool
}

// seen is a client as others see it. It is renewed after every turn in which it changed.
type seen struct {
	session
	subs, psubs int
	multi       int // queued commands, -1 outside MULTI
	watching    bool

	createdAt, activeAt time.Time
	lastCommand         *command.Command
	buffered, freeBytes int
	txBytes             int
}

func newClient(s *Server, conn net.Conn, id uint64) *client {
	c := &client{srv: s, conn: conn, id: id}
	c.out = newOutput(conn, &s.settings, &s.stats)
	c.reader = resp.NewReader(countedReader{conn, &s.stats.inputBytes})
	c.turn.init(&s.unsent)
	c.fd = fdOf(conn)
	now := time.Now()
	c.seen.createdAt, c.seen.activeAt = now, now
	c.resetSession()
	c.publishSeen(now)
	return c
}

type countedReader struct {
	io.Reader
	n *atomic.Uint64
}

func (r countedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n.Add(uint64(n))
	return n, err
}

// resetSession makes the session that of a new connection.
func (c *client) resetSession() {
	lib, ver := c.libName, c.libVer
	c.session = session{proto: 2, libName: lib, libVer: ver, authenticated: *c.srv.settings.password.Load() == ""}
	c.turn.local.Proto = 2
	c.applyLimits()
}

// applyLimits tells the reader what the session and the settings allow.
func (c *client) applyLimits() {
	c.reader.Unauthenticated = c.mustAuth()
	c.reader.Limits.BulkMax = c.srv.settings.bulkMax.Load()
	c.reader.Limits.CommandMax = c.srv.settings.queryBufferMax.Load()
}

// mustAuth says whether the client is still a stranger. A password that is set later does not lock
// out who is in, as in Redis.
func (c *client) mustAuth() bool { return !c.authenticated && *c.srv.settings.password.Load() != "" }

// run serves the connection until it ends.
func (c *client) run() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = c.panicked(p)
		}
		if err != errBackToLoop {
			c.end()
		}
	}()
	if err := c.resume(); err != nil {
		return err
	}
	for {
		if err := c.answerArrived(); err != nil {
			return err
		}
		if c.mayReturn() {
			c.giveBack()
			return errBackToLoop
		}
		c.loop.easyTurns++
		if c.srv.draining.Load() {
			c.linger()
			return ErrClosed
		}
		if err := c.fill(); err != nil {
			if err == ErrClosed {
				c.linger()
			}
			return err
		}
	}
}

// panicked is called while p is recovered from: it closes the connection and tells of it.
func (c *client) panicked(p any) error {
	c.srv.stats.panics.Add(1)
	c.srv.log.Error("panic on a connection, closing it", "client", c.id, "panic", p, "stack", string(debug.Stack()))
	_ = c.conn.Close()
	return fmt.Errorf("server: panic on connection %d: %v", c.id, p)
}

// errQuit: the connection ends as it should.
var errQuit = errors.New("server: closed after the reply")

// errBackToLoop: the connection goes on in the loop.
var errBackToLoop = errors.New("server: back to the loop")

// lastTurn answers what there is and lets the client read it.
func (c *client) lastTurn() error {
	err := c.endTurn()
	c.linger()
	return errors.Join(errQuit, err)
}

// answerArrived answers every command that has arrived completely.
func (c *client) answerArrived() error {
	for {
		cmd, ok, err := c.reader.Next()
		if err != nil {
			return c.protocolError(err)
		}
		if !ok {
			return c.endTurn()
		}
		c.dispatch(cmd)
		if c.closeAfter {
			return c.lastTurn()
		}
		if c.turn.full() {
			if err := c.settle(); err != nil {
				return err
			}
		}
	}
}

// protocolError answers what came before the error, tells it, and ends the connection.
func (c *client) protocolError(err error) error {
	c.turn.local.Error(err.Error())
	c.turn.addLocal(nil, len(c.turn.local.B)-len(err.Error())-3, false)
	c.srv.log.Info("protocol error, closing", "client", c.id, "addr", c.addr(), "err", err)
	_ = c.endTurn() // the connection ends either way
	c.linger()
	return err
}

// linger lets the client read the last reply.
func (c *client) linger() {
	c.out.close()
	linger(c.conn)
}

const lingerPatience = 250 * time.Millisecond

// linger waits until the other end has closed too, for a moment: closing with unread input resets
// the connection, and may take the last reply away.
func linger(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	const bytesMax = 1 << 20
	_ = conn.SetReadDeadline(time.Now().Add(lingerPatience))
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, bytesMax)) // whatever it says is not heard
}

// fill waits for bytes: for ever between commands unless there is an idle timeout, not so long
// within one.
func (c *client) fill() error {
	c.applyLimits()
	var patience time.Duration
	if c.reader.Partial() {
		patience = time.Duration(c.srv.settings.partialTimeoutMs.Load()) * time.Millisecond
	} else if idle := c.srv.settings.idleTimeoutS.Load(); idle > 0 && !c.subscribed() {
		patience = time.Duration(idle) * time.Second
	}
	if patience > 0 || c.readArmed {
		var deadline time.Time
		if c.readArmed = patience > 0; c.readArmed {
			deadline = time.Now().Add(patience)
		}
		if err := c.conn.SetReadDeadline(deadline); err != nil {
			return err
		}
		// Shutdown's deadline may just have been overwritten.
		if c.srv.draining.Load() {
			return ErrClosed
		}
	}
	err := c.reader.Fill()
	if err != nil && c.srv.draining.Load() {
		return ErrClosed
	}
	return err
}

// end lets go of everything.
func (c *client) end() {
	c.srv.hub.dropClient(c)
	c.closeSnapshot()
	c.out.close()
	_ = c.conn.Close()
	if c.tracked {
		c.ask(c.unwatchOp())
	}
	if c.loop.sock != nil {
		c.srv.loop.letGo(c)
	}
}

// kill ends the connection from another goroutine.
func (c *client) kill() {
	c.killed.Store(true)
	_ = c.conn.Close()
}

func (c *client) subscribed() bool { return len(c.channels)+len(c.patterns) > 0 }

func (c *client) addr() string  { return c.conn.RemoteAddr().String() }
func (c *client) laddr() string { return c.conn.LocalAddr().String() }

// publishSeen renews what others see.
func (c *client) publishSeen(now time.Time) {
	c.seenMu.Lock()
	defer c.seenMu.Unlock()
	c.seen.session = c.session
	c.seen.subs, c.seen.psubs = len(c.channels), len(c.patterns)
	c.seen.multi = -1
	if c.tx.open {
		c.seen.multi = len(c.tx.queue)
	}
	c.seen.txBytes = cap(c.tx.body)
	c.seen.watching = c.watching
	c.seen.activeAt = now
	c.seen.buffered, c.seen.freeBytes = c.reader.Buffered(), c.reader.Free()
	if c.turn.last != nil {
		c.seen.lastCommand = c.turn.last
	}
}

// look returns what others see.
func (c *client) look() seen {
	c.seenMu.Lock()
	defer c.seenMu.Unlock()
	return c.seen
}

func sortClients(all []*client) {
	slices.SortFunc(all, func(a, b *client) int { return int(int64(a.id) - int64(b.id)) })
}

// validName says whether a client may be called so: printable, no space.
func validName(b []byte) bool {
	return !strings.ContainsFunc(string(b), func(r rune) bool { return r < '!' || r > '~' })
}

// fdOf returns conn's descriptor, or -1 when it has none.
func fdOf(conn net.Conn) (fd int) {
	fd = -1
	if raw, ok := conn.(syscall.Conn); ok {
		if sys, err := raw.SyscallConn(); err == nil {
			_ = sys.Control(func(n uintptr) { fd = int(n) }) // a closed one has none
		}
	}
	return fd
}
