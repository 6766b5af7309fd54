package server

import (
	"io"
	"net"
	"testing"
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
