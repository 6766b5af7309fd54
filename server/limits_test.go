package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"brainer/internal/command"
	"brainer/internal/op"
	"brainer/internal/redistest"
)

func TestAClientThatNeverReadsIsClosed(t *testing.T) {
	s := startServer(t, func(o *Options) { o.WriteTimeout = 200 * time.Millisecond })
	s.dial(t).Do("SET", "big", strings.Repeat("x", 1<<20))
	conn := s.raw(t)
	// The server stops reading while it writes, so this write may stop too.
	go func() { _, _ = conn.Write(bytes.Repeat([]byte("*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n"), 5000)) }()
	await(t, "closed for not reading", func() bool { return s.Counters().ClosedForOutput == 1 })
	await(t, "gone", func() bool { return s.Connected() == 1 })
}

func TestRepliesOfAPipelineAreHeldInPieces(t *testing.T) {
	s := startServer(t, nil)
	c := s.dial(t)
	c.Do("SET", "big", strings.Repeat("x", 512<<10))
	var largest atomic.Int64
	s.backend.batch = func(n int) { largest.Store(max(largest.Load(), int64(n))) }
	for _, n := range []int{1, 60} {
		largest.Store(0)
		if _, err := c.Send(bytes.Repeat([]byte("*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n"), n), n); err != nil {
			t.Fatal(err)
		}
	}
	if n := largest.Load(); n < 2 || n > 8 {
		t.Errorf("a batch of %d replies of 512 KiB", n)
	}
}

func TestRepliesThatWereDroppedAreAskedForAgainInTheirOrder(t *testing.T) {
	s := startServer(t, nil)
	c := s.dial(t)
	c.Do("MSET", "a", "1", "b", "2", "c", "3")
	n := 0
	s.backend.drop = func(o *op.Op) bool {
		if o.Kind == op.Read && !o.Again {
			return false
		}
		n++
		return o.Kind == op.Read && n == 2 // asked for again it is kept
	}
	for _, test := range []struct{ line, want string }{
		{"GET a|GET b|GET c|GET a", "1 2 3 1"},
		{"GET a|SET a 5|GET b|GET a|GET c", "1 OK 2 5 3"},
		{"GET a|GET b|SET a 1", "5 2 OK"},
		{"GET a", "1"},
	} {
		n = 0
		lines := strings.Split(test.line, "|")
		replies, err := c.Send([]byte(strings.ReplaceAll(test.line, "|", "\r\n")+"\r\n"), len(lines))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.NewReplacer("$1\r\n", "", "\r\n", " ", "+", "").Replace(string(replies))
		if strings.TrimSpace(got) != test.want {
			t.Errorf("%s: %s, want %s", test.line, got, test.want)
		}
	}
}

func TestASubscriberThatDoesNotReadIsClosed(t *testing.T) {
	s := startServer(t, nil)
	c := s.dial(t)
	if got := string(c.Do("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0")); got != "+OK\r\n" {
		t.Fatal(got)
	}
	deaf := s.raw(t)
	if _, err := io.WriteString(deaf, "SUBSCRIBE x\r\n"); err != nil {
		t.Fatal(err)
	}
	await(t, "subscribed", func() bool { return string(c.Do("PUBSUB", "NUMSUB", "x")) == "*2\r\n$1\r\nx\r\n:1\r\n" })
	message := strings.Repeat("m", 100_000)
	await(t, "closed for not reading", func() bool {
		c.Do("PUBLISH", "x", message)
		return s.Counters().ClosedForOutput == 1
	})
	await(t, "unsubscribed", func() bool { return string(c.Do("PUBSUB", "NUMSUB", "x")) == "*2\r\n$1\r\nx\r\n:0\r\n" })
}

func TestTooManyClientsAreTurnedAway(t *testing.T) {
	s := startServer(t, func(o *Options) { o.MaxClients = 2 })
	a, b := s.dial(t), s.dial(t)
	a.Do("PING")
	b.Do("PING")
	reply, err := io.ReadAll(s.raw(t))
	if err != nil || string(reply) != "-ERR max number of clients reached\r\n" {
		t.Fatalf("%q, %v", reply, err)
	}
	if n := s.Counters().RejectedConnections; n != 1 {
		t.Errorf("%d rejected", n)
	}
	b.Close()
	await(t, "room again", func() bool { return s.Connected() == 1 })
	s.dial(t).Do("PING")
}

func TestMaxClientsIsLoweredToTheDescriptors(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s := startServer(t, func(o *Options) { o.MaxClients = int(limit.Cur) + 1; o.Log = textLog(&log) })
	if want := fmt.Sprintf("$10\r\nmaxclients\r\n$%d\r\n%d\r\n", len(fmt.Sprint(int(limit.Cur)-reserve(limit.Cur))), int(limit.Cur)-reserve(limit.Cur)); string(s.dial(t).Do("CONFIG", "GET", "maxclients")) != "*2\r\n"+want {
		t.Errorf("%q", s.dial(t).Do("CONFIG", "GET", "maxclients"))
	}
	if !strings.Contains(log.String(), "maxclients lowered") {
		t.Errorf("log: %q", log.String())
	}
}

func TestTenThousandConnections(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	n := min(10_000, int(limit.Cur/2)-500) // both ends are ours
	if testing.Short() {
		n = min(n, 1000)
	}
	s := startServer(t, func(o *Options) { o.MaxClients = n })
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	conns := make([]net.Conn, n)
	defer func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	}()
	var wg sync.WaitGroup
	var failed atomic.Int64
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < n; i += 8 {
				conn, err := net.Dial("tcp", s.addr)
				if err != nil {
					failed.Add(1)
					continue
				}
				conns[i] = conn
				_ = conn.SetDeadline(time.Now().Add(patience))
				var reply [7]byte
				if _, err := io.WriteString(conn, pingCmd); err != nil {
					failed.Add(1)
				} else if _, err := io.ReadFull(conn, reply[:]); err != nil || string(reply[:]) != "+PONG\r\n" {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if failed.Load() > 0 || s.Connected() != n {
		t.Fatalf("%d of %d failed, %d connected", failed.Load(), n, s.Connected())
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	perConn := (int64(after.HeapInuse+after.StackInuse) - int64(before.HeapInuse+before.StackInuse)) / int64(n)
	t.Logf("%d connections, %d bytes each", n, perConn)
	if perConn > 32<<10 {
		t.Errorf("%d bytes for each connection", perConn)
	}
	reply, err := io.ReadAll(s.raw(t))
	if err != nil || string(reply) != "-ERR max number of clients reached\r\n" {
		t.Errorf("one more: %q, %v", reply, err)
	}
}

// flakyListener fails as a process without descriptors does.
type flakyListener struct {
	net.Listener
	failures atomic.Int64
}

func (l *flakyListener) Accept() (net.Conn, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func TestAcceptingSurvivesTheLackOfDescriptors(t *testing.T) {
	backend := newFakeBackend()
	defer backend.close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	flaky := &flakyListener{Listener: ln}
	flaky.failures.Store(3)
	s := New(backend, Options{Table: backend.table, Log: textLog(io.Discard)})
	served := make(chan error)
	go func() { served <- s.Serve(flaky) }()
	c := redistest.Dial(t, ln.Addr().String())
	if got := string(c.Do("PING")); got != "+PONG\r\n" {
		t.Error(got)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestShutdownAnswersWhatIsInFlight(t *testing.T) {
	backend := newFakeBackend()
	defer backend.close()
	hold := make(chan struct{})
	backend.hold = hold
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(backend, Options{Table: command.NewTable(), Log: textLog(io.Discard)})
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	busy, idle := redistest.Dial(t, ln.Addr().String()), redistest.Dial(t, ln.Addr().String())
	idle.Do("PING")
	reply := make(chan []byte, 1)
	go func() {
		got, _ := busy.Send([]byte("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"), 1)
		reply <- got
	}()
	await(t, "submitted", func() bool { return len(backend.in) == 0 && s.Connected() == 2 && backend.holding.Load() })
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(context.Background()) }()
	await(t, "the idle client closed", func() bool { return s.Connected() == 1 })
	select {
	case err := <-down:
		t.Fatal("shut down before the answer:", err)
	default:
	}
	close(hold)
	if got := string(<-reply); got != "+OK\r\n" {
		t.Errorf("in flight: %q", got)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial after shutdown: %v", err)
	}
	if err := s.ServeConn(&repeatingConn{}); !errors.Is(err, ErrClosed) {
		t.Errorf("serve after shutdown: %v", err)
	}
}

func TestAVirtualConnectionIsServedLikeATCPOne(t *testing.T) {
	s := startServer(t, func(o *Options) { o.Password = "secret" })
	near, far := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- s.ServeConn(far) }()
	_ = near.SetDeadline(time.Now().Add(patience))
	go func() { _, _ = io.WriteString(near, "GET k\r\nAUTH secret\r\nSET k v\r\nGET k\r\nQUIT\r\n") }()
	got, err := io.ReadAll(near)
	if want := "-NOAUTH Authentication required.\r\n+OK\r\n+OK\r\n$1\r\nv\r\n+OK\r\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	if err := <-ended; !errors.Is(err, errQuit) {
		t.Error(err)
	}
}
