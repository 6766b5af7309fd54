package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"brainer/resp"
)

// answering is a server that answers each command with its number on the connection, and breaks off after so many.
func answering(t *testing.T, breaksAfter int) (addr string, connections func() int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	count := make(chan int, 1)
	count <- 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			count <- <-count + 1
			r := resp.NewReader(conn)
			for n := 0; n < breaksAfter; {
				cmd, ok, err := r.Next()
				if err != nil || !ok && r.Fill() != nil {
					break
				}
				if !ok {
					continue
				}
				if _, err := fmt.Fprintf(conn, ":%d\r\n", n); err != nil || bytes.EqualFold(cmd.Args[0], []byte("QUIT")) {
					break
				}
				n++
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String(), func() int { n := <-count; count <- n; return n }
}

func TestPipeGetsEveryReplyInOrder(t *testing.T) {
	addr, _ := answering(t, 1<<30)
	c, err := Connect("redis://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	next := int64(0)
	p, err := c.Pipe(t.Context(), func(number int64, reply resp.Reply) error {
		if number != next || reply.Int != next {
			t.Fatalf("reply %d is %d, want %d", number, reply.Int, next)
		}
		next++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	const commands = 20_000 // several pieces
	raw := command("SET", "some key", "a value that is somewhat longer than the key is, so that it fills pieces")
	for range commands {
		if err := p.Send(t.Context(), raw, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(t.Context()); err != nil || next != commands {
		t.Fatalf("%d replies, %v", next, err)
	}
	p.Close()
	if reply, err := c.Do("PING"); err != nil || reply.Int != commands {
		t.Errorf("on the same connection: %v, %v", reply, err)
	}
}

// A pipe whose connection breaks ends: what was selected on it would not hold on another.
func TestPipeDoesNotConnectAnew(t *testing.T) {
	addr, connections := answering(t, 10)
	c, err := Connect("redis://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p, err := c.Pipe(context.Background(), func(int64, resp.Reply) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		err = errors.Join(p.Send(t.Context(), bytes.Repeat(command("PING"), 20), 20), p.Flush(t.Context()))
		if !errors.Is(err, ErrLost) {
			t.Errorf("%v", err)
		}
	}
	p.Close()
	if n := connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestErrorOfWhoGetsRepliesEndsThePipe(t *testing.T) {
	addr, _ := answering(t, 1<<30)
	c, err := Connect("redis://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	stop := errors.New("enough")
	p, err := c.Pipe(t.Context(), func(number int64, _ resp.Reply) error {
		if number == 3 {
			return stop
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Send(t.Context(), bytes.Repeat(command("PING"), 20), 20), p.Flush(t.Context())); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	p.Close()
	if reply, err := c.Do("PING"); err != nil || reply.Int != 0 {
		t.Errorf("another connection: %v, %v", reply, err)
	}
}
