package server

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
)

// byHand is a server with a loop whose owner is the test.
type byHand struct {
	*testServer
	loop *Loop
}

func startByHand(t *testing.T) *byHand {
	t.Helper()
	if !withLoop {
		t.Skip("of the loop alone")
	}
	backend := newFakeBackend()
	s := &byHand{testServer: &testServer{Server: New(backend, Options{Table: backend.table, Log: textLog(io.Discard)}), backend: backend}}
	var err error
	if s.loop, err = s.NewLoop(func() {}); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		down := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			down <- s.Shutdown(ctx)
		}()
		s.workUntil(t, "shut down", func() bool { return len(down) == 1 })
		if err := <-down; err != nil {
			t.Error(err)
		}
		<-served
		for s.loop.Work() || s.loop.Pending() {
		}
		_ = s.loop.Close()
		backend.close()
	})
	return s
}

// workUntil is the owner's life until ok.
func (s *byHand) workUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	await(t, what, func() bool {
		for s.loop.Work() {
		}
		return ok()
	})
}

// awaitNew waits until so many clients are to be adopted.
func (s *byHand) awaitNew(t *testing.T, n int) {
	t.Helper()
	await(t, "accepted", func() bool {
		s.loop.mu.Lock()
		defer s.loop.mu.Unlock()
		return len(s.loop.added) == n
	})
}

func TestAClientThatSendsWithoutEndLetsOthersHaveTheirTurn(t *testing.T) {
	s := startByHand(t)
	conn := s.raw(t)
	s.awaitNew(t, 1)
	const n = 100_000
	wrote := make(chan error, 1)
	go func() {
		_, err := conn.Write(bytes.Repeat([]byte("PING\r\n"), n))
		wrote <- err
	}()
	replies := make(chan string, 1)
	go func() {
		got := make([]byte, n*len("+PONG\r\n"))
		_, _ = io.ReadFull(conn, got)
		replies <- string(got)
	}()
	s.workUntil(t, "all executed", func() bool { return s.Counters().Commands == n })
	for _, c := range s.loop.clients {
		if !c.loop.detached {
			t.Error("the loop has executed all of it")
		}
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	if got := <-replies; got != strings.Repeat("+PONG\r\n", n) {
		t.Error("other replies")
	}
}

func TestManyClientsAreServedInPieces(t *testing.T) {
	s := startByHand(t)
	const n = 5 * loopClients
	for range n {
		if _, err := io.WriteString(s.raw(t), "PING\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	s.awaitNew(t, n)
	s.loop.Work()
	if got := s.Counters().Commands; got == 0 || got > 2*loopClients {
		t.Errorf("%d clients were served at once", got)
	}
	if !s.loop.Pending() {
		t.Error("the others are forgotten")
	}
	s.workUntil(t, "all are served", func() bool { return s.Counters().Commands == n })
}

// A client may want to go on, and come back from its goroutine, and have news, all at once.
func TestAClientThatComesAndGoesWithFullBuffersIsServedInOrder(t *testing.T) {
	s := startServer(t, nil)
	c := s.dial(t)
	var in, want strings.Builder
	replies := 0
	for i := range 300 {
		n := i * 37 % 2500
		in.WriteString(strings.Repeat("PING\r\n", n) + "CLIENT GETNAME\r\n")
		want.WriteString(strings.Repeat("+PONG\r\n", n) + "$-1\r\n")
		replies += n + 1
	}
	got, err := c.Send([]byte(in.String()), replies)
	if err != nil || string(got) != want.String() {
		t.Fatal(err, len(got), want.Len())
	}
}
