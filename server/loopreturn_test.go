package server

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

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
