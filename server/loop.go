package server

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"brainer/internal/command"
	"brainer/resp"
)

const (
	loopEvents    = 128      // taken from epoll at once
	loopClients   = 128      // that are answered, and that are taken in, before the owner looks elsewhere
	loopRounds    = 4        // reads and turns of one client, after which a goroutine has it
	loopReplyMax  = 64 << 10 // more is written by a goroutine
	loopEasyTurns = 8        // of a client in a goroutine, after which it comes back to the loop
)

// Loop serves the clients that ask for data, without a goroutine for each: a goroutine that has to be
// woken for a command and again for its reply costs more than the command. One goroutine, its owner,
// calls Work; it may be the backend's own, which then is handed a turn and hands back the replies
// without anybody being woken. A client that wants something else (a transaction, a subscription,
// INFO, a large value) goes to a goroutine of its own until it is done with that.
type Loop struct {
	srv  *Server
	ep   int
	wake func()

	mu       sync.Mutex
	answered []*client // their batches are done
	added    []*client // new, or back from a goroutine
	gone     []*client
	closed   bool

	// The owner's.
	clients map[int32]*client
	events  [loopEvents]unix.EpollEvent
	taken   [3][]*client
	sweptAt time.Time
	drained bool // all that nothing is under way for were let go
}

// looped is a client's place in the loop. The owner of the loop owns it.
type looped struct {
	sock     *sock
	detached bool // a goroutine has the client
	flying   bool // its batch is with the backend
	news     bool // there may be something to read
	ends     bool // epoll has told of the end, behind what is to be read, and will not again
	onDone   func()

	// From the loop to the goroutine that takes over.
	held      resp.Command // which it has to execute first, if it has arguments
	unsettled bool         // its batch is done, the replies are not written
	failed    error        // it only has to end the client

	easyTurns int // the goroutine's
}

// NewLoop makes the loop of a server; Serve then gives it the TCP clients. Call it before Serve.
// wake has Work called soon; any goroutine may call it.
func (s *Server) NewLoop(wake func()) (*Loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.SetNonblock(ep, true) // os.File puts no other into Go's poller
	}
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	s.loop = &Loop{srv: s, ep: ep, wake: wake, clients: map[int32]*client{}}
	return s.loop, nil
}

// Descriptor is readable when Work has something to read.
func (l *Loop) Descriptor() int { return l.ep }

// Pending reports whether Work has something to do that Descriptor does not tell.
func (l *Loop) Pending() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.answered)+len(l.added)+len(l.gone) > 0
}

// Close is called when Work is called no more; the clients have gone then.
func (l *Loop) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	return unix.Close(l.ep)
}

func (l *Loop) post(list *[]*client, c *client) {
	l.mu.Lock()
	*list = append(*list, c)
	l.mu.Unlock()
	l.wake()
}

// Work does what there is to do, without waiting, or a part of it that takes no longer than a few
// milliseconds. It reports whether there was something.
func (l *Loop) Work() bool {
	t := &l.taken
	l.mu.Lock()
	t[0] = takeSome(t[0], &l.answered)
	t[1] = takeSome(t[1], &l.added)
	t[2], l.gone = l.gone, t[2][:0] // all: a descriptor that was given back may be one of added's
	l.mu.Unlock()
	worked := len(t[0])+len(t[1])+len(t[2]) > 0
	for _, c := range t[2] {
		if fd := int32(c.loop.sock.fd); l.clients[fd] == c {
			delete(l.clients, fd)
		}
	}
	for _, c := range t[0] {
		l.guard(c, l.goOn)
	}
	for _, c := range t[1] {
		l.guard(c, l.adopt)
	}
	for i := range t {
		clear(t[i])
	}
	n, _ := unix.EpollWait(l.ep, l.events[:], 0) // interrupted or not: what is there is there next time
	for i := range max(n, 0) {
		e := &l.events[i]
		c := l.clients[e.Fd]
		if c == nil {
			continue
		}
		c.loop.ends = c.loop.ends || e.Events&^(unix.EPOLLIN|unix.EPOLLOUT) != 0
		switch {
		case c.loop.detached:
			c.loop.sock.tell(e.Events)
		case e.Events&^unix.EPOLLOUT != 0:
			c.loop.news = true
			l.guard(c, l.advance)
		}
	}
	l.sweep()
	return worked || n > 0
}

// takeSome moves the first clients of list to taken, which is used again.
func takeSome(taken []*client, list *[]*client) []*client {
	n := min(len(*list), loopClients)
	taken = append(taken[:0], (*list)[:n]...)
	*list = slices.Delete(*list, 0, n)
	return taken
}

// Alone works until ctx ends, for an owner that has gone.
func (l *Loop) Alone(ctx context.Context) {
	for ctx.Err() == nil {
		if !l.Work() {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// guard keeps one client's panic from the others.
func (l *Loop) guard(c *client, f func(*client)) {
	defer func() {
		if p := recover(); p != nil {
			c.loop.failed = c.panicked(p)
			l.detach(c)
		}
	}()
	f(c)
}

// adopt takes a client in, or back.
func (l *Loop) adopt(c *client) {
	fd := c.loop.sock.fd
	if l.clients[int32(fd)] != c {
		l.clients[int32(fd)] = c
		err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{
			Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&(1<<32-1), Fd: int32(fd)})
		if err != nil {
			l.srv.log.Error("epoll", "client", c.id, "err", err)
			_ = c.conn.Close()
		}
	}
	c.loop.detached = false
	c.loop.news = true
	if l.srv.draining.Load() {
		l.detach(c)
		return
	}
	l.advance(c)
}

// advance reads and executes until there is nothing more, the backend has a batch, or a goroutine
// has the client.
func (l *Loop) advance(c *client) {
	at := &c.loop
	for round := 0; !at.flying && !at.detached; round++ {
		if round == loopRounds {
			l.detach(c) // it sends without end what the loop answers alone, or large arguments
			return
		}
		if l.takeCommands(c) {
			l.submit(c)
			continue
		}
		if at.detached {
			return
		}
		if !at.news {
			if c.reader.Partial() {
				l.detach(c) // it waits for the rest, not for ever
			}
			return
		}
		c.applyLimits()
		switch err := c.reader.Fill(); err {
		case nil:
			at.news = c.reader.Filled() || at.ends
		case errWouldBlock:
			at.news = false
		default:
			l.detach(c)
		}
	}
}

// takeCommands puts what has arrived into the turn; it is false when that is nothing.
func (l *Loop) takeCommands(c *client) bool {
	for !c.turn.full() {
		cmd, ok, err := c.reader.Next()
		if err != nil {
			l.detach(c) // the error lasts
			return false
		}
		if !ok {
			break
		}
		row := l.srv.table.Find(cmd.Args)
		if !c.easy(row, cmd.Args) {
			c.loop.held = cmd
			l.detach(c)
			return false
		}
		c.begin(cmd)
		c.execute(row, cmd.Args, cmd.Raw)
	}
	return len(c.turn.items) > 0
}

// easy says whether a command can neither wait nor change what the connection is.
func (c *client) easy(row *command.Command, args [][]byte) bool {
	return row != nil && (row.Flags&command.Server == 0 || c.srv.handlers[row].easy) && row.Flags&command.Internal == 0 &&
		row.ArityOK(len(args)) && c.plain()
}

// plain says whether the connection is in no state that needs a goroutine.
func (c *client) plain() bool {
	return !c.tx.open && !c.subscribed() && !c.out.shared && !c.mustAuth() && c.snapshot == nil
}

func (l *Loop) submit(c *client) {
	t := &c.turn
	if len(t.batch.Ops) == 0 {
		l.finish(c)
		return
	}
	t.markLast()
	t.batch.OnDone = c.loop.onDone
	t.batch.Begin()
	c.loop.flying = true
	if !l.srv.backend.TrySubmit(t.batch) {
		t.batch.OnDone, c.loop.flying = nil, false
		l.detach(c) // it waits its turn
	}
}

// goOn finishes a turn whose batch is done, and looks for the next one.
func (l *Loop) goOn(c *client) {
	l.finish(c)
	l.advance(c)
}

// finish answers a turn.
func (l *Loop) finish(c *client) {
	at := &c.loop
	at.flying, c.turn.batch.OnDone = false, nil
	size, again := 0, false // again: what was too large for one batch is asked for again, which waits
	for i := range c.turn.items {
		it := &c.turn.items[i]
		size += len(c.turn.reply(it))
		again = again || it.op >= 0 && c.turn.batch.Ops[it.op].Dropped
	}
	if again || size > loopReplyMax {
		at.unsettled = true
		l.detach(c)
		return
	}
	c.conclude()
	failed := c.out.flush() != nil
	kept := len(at.sock.rest)
	l.srv.stats.outputBytes.Add(-uint64(kept)) // counted when it is sent
	if failed || kept > 0 || l.srv.draining.Load() {
		l.detach(c)
	}
}

// detach gives the client to a goroutine.
func (l *Loop) detach(c *client) {
	if c.loop.detached {
		return
	}
	c.loop.detached, c.loop.flying = true, false
	c.loop.sock.looped = false
	c.loop.easyTurns = 0
	go c.drive()
}

// sweep closes clients that have been idle for too long, and lets all go when the server shuts down.
func (l *Loop) sweep() {
	draining := l.srv.draining.Load()
	idle := time.Duration(l.srv.settings.idleTimeoutS.Load()) * time.Second
	if l.drained || !draining && idle == 0 {
		return
	}
	now := time.Now()
	if now.Sub(l.sweptAt) < time.Second && !draining {
		return
	}
	l.sweptAt, l.drained = now, draining // who comes later, or flies, looks at draining then
	for _, c := range l.clients {
		switch {
		case c.loop.detached || c.loop.flying:
		case draining:
			l.detach(c)
		case now.Sub(c.look().activeAt) > idle:
			_ = c.conn.Close() // epoll tells
		}
	}
}

// drive is the life of a client outside the loop.
func (c *client) drive() {
	if err := c.run(); err != errBackToLoop {
		c.srv.left(c)
	}
}

// mayReturn says whether a client in a goroutine has become one for the loop.
func (c *client) mayReturn() bool {
	return c.loop.sock != nil && c.loop.easyTurns >= loopEasyTurns && c.plain() && !c.reader.Partial() && !c.srv.draining.Load()
}

// giveBack hands the client to the loop; the goroutine does not touch it any more.
func (c *client) giveBack() {
	if c.readArmed {
		c.readArmed = false
		_ = c.conn.SetReadDeadline(time.Time{})
	}
	c.loop.sock.looped = true
	c.srv.loop.post(&c.srv.loop.added, c)
}

// resume does what the loop has left to do.
func (c *client) resume() error {
	at := &c.loop
	if at.sock == nil || at.failed != nil {
		return at.failed
	}
	if rest := at.sock.rest; len(rest) > 0 {
		at.sock.rest = nil
		if _, err := (*timedWriter)(c.out).Write(rest); err != nil {
			return err
		}
	}
	if at.unsettled {
		at.unsettled = false
		c.conclude()
		if err := c.out.flush(); err != nil {
			return err
		}
	}
	if cmd := at.held; cmd.Args != nil {
		at.held = resp.Command{}
		c.dispatch(cmd)
		if c.closeAfter {
			return c.lastTurn()
		}
	}
	return nil
}

// takeIn gives a connection to the loop; it is false when that is not for it.
func (l *Loop) takeIn(c *client) bool {
	s, ok := c.conn.(*sock) // of no other server than one with a loop
	if !ok {
		return false
	}
	c.loop.sock = s
	s.looped = true
	c.loop.onDone = func() { l.post(&l.answered, c) }
	l.post(&l.added, c)
	return true
}

// letGo forgets a client that has ended and gives its descriptor back.
func (l *Loop) letGo(c *client) {
	l.post(&l.gone, c)
	c.loop.sock.release()
}

// forLoop makes an accepted connection one for the loop, if it can be.
func (s *Server) forLoop(conn net.Conn) net.Conn {
	tcp, ok := conn.(*net.TCPConn)
	if s.loop == nil || !ok {
		return conn
	}
	sk, err := newSock(tcp)
	if err != nil {
		return conn
	}
	return sk
}
