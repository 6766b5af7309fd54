package zmtp_test

import (
	"io"
	"os"
	"testing"
	"time"

	"brainer/internal/link"
	"brainer/internal/link/linktest"

	"golang.org/x/sys/unix"
)

const patience = 10 * time.Second

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
	for _, fd := range taken {
		linktest.Must(t, unix.Close(fd))
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
