package bell

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

func pipe(t *testing.T) (r, w int) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	})
	return fds[0], fds[1]
}

func ready(t *testing.T, fd int) bool {
	t.Helper()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

func put(t *testing.T, fd int) {
	t.Helper()
	if _, err := unix.Write(fd, []byte{1}); err != nil {
		t.Fatal(err)
	}
}

// serve runs Serve whose waits begin as wait says; steps gets the number of each step, whose end is awaited.
func serve(t *testing.T, wait Wait, fds ...int) (steps chan int, goOn chan bool, b *Bell) {
	t.Helper()
	b = &Bell{}
	if err := b.Open(true, fds...); err != nil {
		t.Fatal(err)
	}
	steps, goOn = make(chan int), make(chan bool)
	ended := make(chan error, 1)
	go func() {
		n := 0
		ended <- b.Serve(func() Wait { return wait }, func() bool {
			n++
			steps <- n
			return <-goOn
		})
	}()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return steps, goOn, b
}

func next(t *testing.T, steps chan int) {
	t.Helper()
	select {
	case <-steps:
	case <-time.After(patience):
		t.Fatal("the owner sleeps")
	}
}

// While the owner is at work, what arrives wakes no thread that waits in Go's poller.
func TestGosPollerHearsOnlyWhileTheOwnerIsParked(t *testing.T) {
	r1, w1 := pipe(t)
	r2, w2 := pipe(t)
	steps, goOn, b := serve(t, Wait{}, r1, r2)
	next(t, steps)
	for round := range 3 {
		goOn <- false
		if round == 1 {
			b.Ring()
		} else {
			put(t, w1)
		}
		next(t, steps)
		for _, w := range []int{w1, w2} {
			put(t, w)
			if ready(t, b.fd) {
				t.Errorf("round %d: the poller hears of a descriptor although the owner is at work", round)
			}
		}
		for _, r := range []int{r1, r2} {
			var buf [16]byte
			_, _ = unix.Read(r, buf[:])
		}
	}
	goOn <- true
}

func TestAWaitAloneHearsTheLastDescriptorOnly(t *testing.T) {
	beside, w1 := pipe(t)
	own, w2 := pipe(t)
	b := &Bell{}
	if err := b.Open(true, beside, own); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	put(t, w1)
	alone := Wait{For: time.Millisecond, Alone: true}
	if b.block(alone) {
		t.Error("a descriptor beside ended the wait")
	}
	if !b.block(Wait{For: patience}) {
		t.Error("a descriptor beside did not end the wait of all")
	}
	put(t, w2)
	alone.For = patience
	if !b.block(alone) {
		t.Error("the owner's descriptor did not end the wait")
	}
}
