package zmtp_test

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"brainer/internal/link"
	"brainer/internal/link/linktest"

	"golang.org/x/sys/unix"
)

const patience = 30 * time.Second

// Connections that never say who they are end when there are many.
func TestThoseWhoSayNothingHoldFewDescriptors(t *testing.T) {
	r := linktest.Bind(t, ours(t, linktest.Options{}), linktest.IPC(t))
	before := linktest.Descriptors(t)
	const many = 600
	for range many {
		linktest.Connect(t, r.Endpoint())
		r.Ready()
	}
	if n := linktest.Descriptors(t) - before - many; n > 257 {
		t.Errorf("the router holds %d", n)
	}
	d := linktest.Dial(t, ours(t, linktest.Options{}), r.Endpoint(), "n1")
	linktest.SendConnected(t, d, []byte("hello"), r)
}

// Without a descriptor for another connection the owner is not kept awake, those who are there are served, and
// others come in when there is room again.
func TestWithoutDescriptorsTheOthersAreServed(t *testing.T) {
	tr := ours(t, linktest.Options{})
	r := linktest.Bind(t, tr, linktest.IPC(t))
	d := linktest.Dial(t, tr, r.Endpoint(), "n1")
	linktest.SendConnected(t, d, []byte("hello"), r)
	linktest.RecvRouter(t, r)
	late := linktest.Connect(t, r.Endpoint())
	taken := takeDescriptors(t)
	r.Ready()
	for range 100 {
		if _, _, err := r.Recv(); err != link.ErrAgain {
			t.Fatal(err)
		}
	}
	linktest.Must(t, d.Send([]byte("still here")))
	if _, body := linktest.RecvRouter(t, r); string(body) != "still here" {
		t.Fatalf("%q", body)
	}
	for drained := false; !drained; {
		select {
		case <-r.Ready():
		default:
			drained = true
		}
	}
	for _, fd := range taken {
		linktest.Must(t, unix.Close(fd))
	}
	select {
	case <-r.Ready():
	case <-time.After(patience):
		t.Fatal("who waits for Ready does not hear that the door may open again")
	}
	greeted := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(late, make([]byte, 64))
		greeted <- err
	}()
	linktest.Eventually(t, patience, "the greeting", func() bool {
		_, _, _ = r.Recv()
		select {
		case err := <-greeted:
			linktest.Must(t, err)
			return true
		default:
			return false
		}
	})
}

// takeDescriptors leaves this process none.
func takeDescriptors(t *testing.T) (taken []int) {
	t.Helper()
	var limit unix.Rlimit
	linktest.Must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	low := limit
	low.Cur = uint64(linktest.Descriptors(t) + 20)
	linktest.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	t.Cleanup(func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) })
	for {
		fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return taken
		}
		taken = append(taken, fd)
	}
}

// hello makes a peer known.
func hello(t *testing.T, tr link.Transport, r link.Router, id string) link.Dealer {
	t.Helper()
	d := linktest.Dial(t, tr, r.Endpoint(), id)
	linktest.SendConnected(t, d, []byte("hello"), r)
	linktest.RecvRouter(t, r)
	return d
}

func TestWhatAPeerSaidLastIsHeardAlsoByWhoWritesFirst(t *testing.T) {
	tr := ours(t, linktest.Options{})
	r := linktest.Bind(t, tr, linktest.IPC(t))
	d := hello(t, tr, r, "n1")
	linktest.Must(t, d.Send([]byte("last words")))
	linktest.Must(t, d.Close())
	if err := r.Send("n1", []byte("x")); err != link.ErrUnreachable {
		t.Fatalf("sent to who has gone: %v", err)
	}
	if peer, body := linktest.RecvRouter(t, r); peer != "n1" || string(body) != "last words" {
		t.Errorf("%q from %q", body, peer)
	}
}

func TestAPeerWithManyMessagesLetsTheOthersBetween(t *testing.T) {
	tr := ours(t, linktest.Options{})
	r := linktest.Bind(t, tr, linktest.IPC(t))
	greedy, other := hello(t, tr, r, "greedy"), hello(t, tr, r, "other")
	const many = 10_000
	for range many {
		linktest.Must(t, greedy.Send(nil))
	}
	if peer, _ := linktest.RecvRouter(t, r); peer != "greedy" {
		t.Fatal(peer)
	}
	linktest.Must(t, other.Send([]byte("x")))
	before, theirs := 0, 1
	for theirs < many {
		peer, _ := linktest.RecvRouter(t, r, greedy)
		if peer == "other" {
			before = theirs
		} else {
			theirs++
		}
	}
	if before == 0 || before > 300 {
		t.Errorf("its message came after %d of the other's", before)
	}
}

func TestALargeReplyPassesWhoeverReadsIt(t *testing.T) {
	tr := ours(t, linktest.Options{})
	r := linktest.Bind(t, tr, linktest.IPC(t))
	d := hello(t, tr, r, "n1")
	piece := make([]byte, 256<<10)
	const pieces = 400 // 100 MB
	got := make(chan int)
	go func() {
		n := 0
		for deadline := time.Now().Add(patience); n < pieces && time.Now().Before(deadline); {
			if _, err := d.RecvView(); err == nil {
				n++
			}
		}
		got <- n
	}()
	for range pieces {
		linktest.Must(t, r.Send("n1", piece))
	}
	n := 0
	linktest.Eventually(t, 2*patience, "all pieces", func() bool {
		_, _, _ = r.Recv()
		select {
		case n = <-got:
			return true
		default:
			return false
		}
	})
	if n != pieces {
		t.Errorf("%d of %d arrived", n, pieces)
	}
}

func TestAnImpossiblePathIsSaidAtOnce(t *testing.T) {
	tr := ours(t, linktest.Options{})
	if _, err := tr.Dial("ipc:///"+strings.Repeat("a", 120), "n1"); err == nil {
		t.Error("a path of 121 bytes was dialled")
	}
}
