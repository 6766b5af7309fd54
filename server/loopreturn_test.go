package server

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"brainer/internal/command"
	"brainer/internal/op"
)

// What epoll says of a client while a goroutine has it, it does not say again.
func TestAnEndThatIsToldBeforeTheReturnToTheLoopIsSeen(t *testing.T) {
	s := startByHand(t)
	conn := s.raw(t)
	s.awaitNew(t, 1)
	reply := make([]byte, len("$-1\r\n"))
	ask := func(line string) {
		t.Helper()
		if _, err := io.WriteString(conn, line+"\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	answered := func() {
		t.Helper()
		got := make(chan error, 1)
		go func() {
			_, err := io.ReadFull(conn, reply)
			got <- err
		}()
		s.workUntil(t, "a reply", func() bool { return len(got) == 1 })
		if err := <-got; err != nil {
			t.Fatal(err)
		}
	}
	ask("CLIENT GETNAME") // for a goroutine
	answered()
	for range loopEasyTurns - 1 {
		ask("GET k")
		answered()
	}
	hold := make(chan struct{})
	s.backend.hold = hold
	ask("GET k")
	s.workUntil(t, "the last turn in the goroutine", s.backend.holding.Load)
	ask("GET k")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	told := s.loop.Work()
	await(t, "the end told", func() bool { return told || s.loop.Work() })
	s.loop.Work()
	close(hold)
	answered()
	answered()
	s.workUntil(t, "the client gone", func() bool { return s.Connected() == 0 })
}

func TestATurnThatTheBackendHadNoRoomForIsMarkedAnew(t *testing.T) {
	s := startServer(t, nil)
	c := s.dial(t)
	s.backend.busy.Store(true)
	reads := 0
	s.backend.drop = func(o *op.Op) bool {
		if o.Kind == op.Read {
			reads++
		}
		return o.Kind == op.Read && o.Again && reads > 1
	}
	for n := 1; n <= 3; n++ {
		reads = 0
		got, err := c.Send([]byte(strings.Repeat("GET k\r\n", turnOpsFirst)+"INCR n\r\nGET n\r\n"), turnOpsFirst+2)
		if want := strings.Repeat("$-1\r\n", turnOpsFirst) + fmt.Sprintf(":%d\r\n$1\r\n%d\r\n", n, n); err != nil || string(got) != want {
			t.Fatalf("%q, %v", got[len(got)-min(len(got), 30):], err)
		}
	}
}

func TestWhatASlowReaderIsSentIsCountedOnce(t *testing.T) {
	s := startServer(t, nil)
	s.dial(t).Do("SET", "k", strings.Repeat("x", 200))
	// Bytes are counted behind the write: the client may have its answer before.
	await(t, "the answer counted", func() bool { return s.Counters().OutputBytes >= uint64(len("+OK\r\n")) })
	before := s.Counters().OutputBytes
	conn := s.raw(t)
	const n = 60_000
	go func() { _, _ = conn.Write(bytes.Repeat([]byte("GET k\r\n"), n)) }()
	// It begins to read when the server can send no more: nothing has been sent for a while.
	sent, since := before, time.Now()
	await(t, "full buffers", func() bool {
		if now := s.Counters().OutputBytes; now != sent {
			sent, since = now, time.Now()
		}
		return sent > before && time.Since(since) > 100*time.Millisecond
	})
	const size = n * (200 + len("$200\r\n") + len("\r\n"))
	if _, err := io.CopyN(io.Discard, conn, int64(size)); err != nil {
		t.Fatal(err)
	}
	await(t, "all counted", func() bool { return s.Counters().OutputBytes-before >= uint64(size) })
	if got := s.Counters().OutputBytes - before; got != uint64(size) {
		t.Errorf("%d bytes counted, %d sent", got, size)
	}
}

// brokenObserver panics once it is told of a command that failed.
type brokenObserver struct{}

func (brokenObserver) Observe(_ *command.Command, _, failed int, _ float64) {
	if failed > 0 {
		panic("planted")
	}
}

func TestAPanicEndsItsConnectionAndNoOther(t *testing.T) {
	s := startServer(t, func(o *Options) { o.Observer = brokenObserver{} })
	other := s.dial(t)
	other.Do("SET", "k", "text")
	conn := s.raw(t)
	sets := strings.Repeat("SET k2 y\r\n", 10*turnOpsMax)
	go func() { _, _ = io.WriteString(conn, "INCR k\r\n"+sets) }()
	_, _ = io.Copy(io.Discard, conn) // closed, or reset
	await(t, "gone", func() bool { return s.Connected() == 1 })
	if n := s.Counters().Panics; n != 1 {
		t.Errorf("%d panics", n)
	}
	if got := string(other.Do("GET", "k")); got != "$4\r\ntext\r\n" {
		t.Error(got)
	}
	if got := s.Counters().Commands; got > 2+turnOpsFirst {
		t.Errorf("%d commands executed", got)
	}
}

// What may be ordered later than what follows it is the last of its batch, even if the batch has grown since it was marked first.
func TestOnlyTheLastWriteOfABatchMayBeSentAhead(t *testing.T) {
	s := startServer(t, nil)
	c := s.dial(t)
	s.backend.busy.Store(true)
	var marks []string
	s.backend.drop = func(o *op.Op) bool {
		marks = append(marks, fmt.Sprintf("%s %v", o.Key, o.Ahead))
		return false
	}
	filler := strings.Repeat("SET a 1\r\n", turnOpsFirst)
	for _, x := range []struct{ ask, answer, marks string }{
		{"SET b 1\r\nSET c 2\r\n", "+OK\r\n+OK\r\n", "b false, c true"},
		{"SET b 1\r\nGET d\r\n", "+OK\r\n$-1\r\n", "b false, d false"},
		{filler + "SET b 1\r\n", strings.Repeat("+OK\r\n", turnOpsFirst+1), strings.Repeat("a false, ", turnOpsFirst) + "b true"},
	} {
		marks = nil
		got, err := c.Send([]byte(x.ask), strings.Count(x.ask, "\r\n"))
		if err != nil || string(got) != x.answer {
			t.Fatalf("%q is answered %q, %v", x.ask, got, err)
		}
		if got := strings.Join(marks, ", "); got != x.marks {
			t.Errorf("%q: %s", x.ask, got)
		}
	}
}
