package broker_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"brainer/internal/link"
	"brainer/internal/link/mem"
)

func recv(t *testing.T, d link.Dealer) []byte {
	t.Helper()
	deadline := time.After(patience)
	for {
		body, err := d.Recv()
		if err == nil {
			return body
		}
		if !errors.Is(err, link.ErrAgain) {
			t.Fatal(err)
		}
		select {
		case <-d.Ready():
		case <-deadline:
			t.Fatal("nothing came")
		}
	}
}

// TestClientOfTheEndpointIsAConnection: what a ZeroMQ client sends reaches the front end as a stream.
func TestClientOfTheEndpointIsAConnection(t *testing.T) {
	network := mem.New()
	b, _ := startBroker(t, network, &memStore{})
	ended := make(chan struct{})
	b.SetServe(func(c net.Conn) {
		defer close(ended)
		defer c.Close()
		buf := make([]byte, 5)
		if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "hello" {
			t.Errorf("%q, %v", buf, err)
		}
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Error(err)
		}
		if _, err := c.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a read past its deadline: %v", err)
		}
		if _, err := c.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
			t.Error(err)
		}
	})
	d, err := network.Dial("b", "client-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"he", "llo"} {
		if err := d.Send([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	got := 0
	for got < 1<<20 {
		got += len(recv(t, d))
	}
	<-ended
	d.Close()
}

// TestClientThatSendsTooMuchIsToldSo: its bytes wait up to a bound, the rest is discarded.
func TestClientThatSendsTooMuchIsToldSo(t *testing.T) {
	network := mem.New()
	b, _ := startBroker(t, network, &memStore{})
	gate := make(chan struct{})
	read := make(chan int, 1)
	b.SetServe(func(c net.Conn) {
		defer c.Close()
		<-gate
		n, _ := io.Copy(io.Discard, io.LimitReader(c, 8<<20))
		read <- int(n)
	})
	d, err := network.Dial("b", "client-1")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	part := bytes.Repeat([]byte("x"), 1<<20)
	for i := 0; i < 10; i++ {
		if err := d.Send(part); err != nil {
			t.Fatal(err)
		}
	}
	if got := recv(t, d); !bytes.HasPrefix(got, []byte("-ERR ")) {
		t.Fatalf("%q", got)
	}
	close(gate)
	if n := <-read; n != 8<<20 {
		t.Fatalf("%d bytes were kept", n)
	}
}

// TestClientThatReadsSlowlyGetsEverything: its queue in the link is full again and again.
func TestClientThatReadsSlowlyGetsEverything(t *testing.T) {
	network := mem.NewBounded(3)
	b, _ := startBroker(t, network, &memStore{})
	const size = 4 << 20
	b.SetServe(func(c net.Conn) {
		for i := range size / 1024 {
			if _, err := c.Write(bytes.Repeat([]byte{byte(i)}, 1024)); err != nil {
				t.Error(err)
			}
		}
		c.Close()
	})
	d, err := network.Dial("b", "client-1")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Send([]byte("go")); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for len(got) < size {
		got = append(got, recv(t, d)...)
	}
	for i, x := range got {
		if x != byte(i/1024) {
			t.Fatalf("byte %d is not what was written", i)
		}
	}
}

// TestClientThatDoesNotReadBlocksTheWriter: what waits for it is bounded, and the front end finds out.
func TestClientThatDoesNotReadBlocksTheWriter(t *testing.T) {
	network := mem.NewBounded(3)
	b, _ := startBroker(t, network, &memStore{})
	wrote := make(chan int, 1)
	b.SetServe(func(c net.Conn) {
		defer c.Close()
		if err := c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			t.Error(err)
		}
		n := 0
		for part := make([]byte, 64<<10); n < 1<<30; n += len(part) {
			if _, err := c.Write(part); err != nil {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
				break
			}
		}
		wrote <- n
	})
	d, err := network.Dial("b", "client-1")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Send([]byte("go")); err != nil {
		t.Fatal(err)
	}
	if n := <-wrote; n > 20<<20 {
		t.Fatalf("%d bytes wait for a client that does not read", n)
	}
}
