package inproc_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"brainer/internal/link"
	"brainer/internal/link/inproc"
	"brainer/internal/link/mem"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	outside = "ipc://broker"
	inside  = "inproc://node"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func bound(t *testing.T) (*inproc.Transport, link.Router) {
	t.Helper()
	tr := inproc.Over(mem.New(), inside)
	r, err := tr.Bind(outside)
	must(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return tr, r
}

func dial(t *testing.T, tr link.Transport, endpoint, id string) link.Dealer {
	t.Helper()
	d, err := tr.Dial(endpoint, id)
	must(t, err)
	return d
}

// served has the router's owner, who is the test, call step until it is done; ended is closed then.
func served(t *testing.T, d link.Dealer, step func() bool) (ended chan struct{}) {
	t.Helper()
	ended = make(chan struct{})
	began := make(chan struct{})
	go func() {
		defer close(ended)
		close(began)
		_ = d.Serve(step)
	}()
	<-began
	t.Cleanup(func() { await(t, "Serve ends", ended) })
	return ended
}

// patience is how long a test waits for what must happen: it costs nothing when it does.
const patience = 30 * time.Second

func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("%s: not within %s", what, patience)
	}
}

// recv is the router's next message. What is served begins to be on its own goroutine: it may take a moment.
func recv(t *testing.T, r link.Router) (peer, body string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		p, b, err := r.RecvView()
		if err == nil {
			return p, string(b)
		}
		if !errors.Is(err, link.ErrAgain) {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing received within ", patience)
		}
	}
}

func echo(d link.Dealer) func() bool {
	return func() bool {
		for {
			b, err := d.RecvView()
			if err != nil {
				return !d.Connected()
			}
			if string(b) == "end" {
				return true
			}
			_ = d.SendJoined([]byte("echo of "), b)
		}
	}
}

func TestTheRoutersOwnerWorksForTheDealer(t *testing.T) {
	tr, r := bound(t)
	d, other := dial(t, tr, inside, "embedded"), dial(t, tr, outside, "n1")
	ended := served(t, d, echo(d))
	for i := range 20 {
		must(t, r.Send("embedded", fmt.Appendf(nil, "turn %d", i)))
		if peer, body := recv(t, r); peer != "embedded" || body != fmt.Sprintf("echo of turn %d", i) {
			t.Fatalf("%q from %q", body, peer)
		}
	}
	must(t, other.Send([]byte("hello")))
	if peer, body := recv(t, r); peer != "n1" || body != "hello" {
		t.Fatalf("%q from %q", body, peer)
	}
	must(t, r.Send("n1", []byte("welcome")))
	if b, err := other.Recv(); err != nil || string(b) != "welcome" {
		t.Fatalf("%q, %v", b, err)
	}
	must(t, r.Send("embedded", []byte("end")))
	if _, _, err := r.RecvView(); !errors.Is(err, link.ErrAgain) {
		t.Fatal(err)
	}
	await(t, "Serve ends", ended)
	must(t, d.Close())
	if err := r.Send("embedded", nil); !errors.Is(err, link.ErrUnreachable) {
		t.Errorf("to a closed dealer: %v", err)
	}
}

func TestAViewIsValidUntilTheNextCall(t *testing.T) {
	tr, r := bound(t)
	d := dial(t, tr, inside, "embedded")
	for _, body := range []string{"one", "two"} {
		must(t, d.Send([]byte(body)))
	}
	_, view, err := r.RecvView()
	must(t, err)
	must(t, d.Send([]byte("three")))
	must(t, r.Send("embedded", []byte("four")))
	if string(view) != "one" {
		t.Fatalf("%q", view)
	}
	for _, want := range []string{"two", "three"} {
		if _, body := recv(t, r); body != want {
			t.Fatalf("%q, want %q", body, want)
		}
	}
	if b, err := d.RecvView(); err != nil || string(b) != "four" {
		t.Fatalf("%q, %v", b, err)
	}
}

func TestADealerWithMoreToDoLetsTheOthersBetween(t *testing.T) {
	tr, r := bound(t)
	d, other := dial(t, tr, inside, "embedded"), dial(t, tr, outside, "n1")
	steps := 0
	served(t, d, func() bool {
		if steps++; steps == 3 {
			_ = d.Send([]byte("done"))
			return true
		}
		d.Kick()
		return false
	})
	for steps == 0 {
		_, _, err := r.RecvView()
		if !errors.Is(err, link.ErrAgain) {
			t.Fatal(err)
		}
	}
	for range 2 {
		must(t, other.Send([]byte("x")))
	}
	for i, want := range []string{"x", "x", "", "done"} {
		_, body, err := r.RecvView()
		if err != nil {
			body = nil
		}
		if string(body) != want || (steps == 3) != (want == "done") {
			t.Errorf("received %d: %q after %d steps, want %q", i, body, steps, want)
		}
	}
}

func TestTheEndOfTheRouterEndsItsDealers(t *testing.T) {
	tr, r := bound(t)
	d, unserved := dial(t, tr, inside, "embedded"), dial(t, tr, inside, "heartbeats")
	first := make(chan struct{})
	stepped := false
	ended := served(t, d, func() bool {
		if !stepped {
			stepped = true
			close(first)
		}
		return false
	})
	for waiting := true; waiting; {
		_, _, _ = r.RecvView()
		select {
		case <-first:
			waiting = false
		default:
		}
	}
	must(t, r.Close())
	await(t, "Serve ends", ended)
	await(t, "who waits is told", unserved.Ready())
	for _, d := range []link.Dealer{d, unserved} {
		if d.Connected() {
			t.Error("connected to a closed router")
		}
		if err := d.Send(nil); !errors.Is(err, link.ErrAgain) {
			t.Errorf("sent: %v", err)
		}
		if err := d.Serve(func() bool { return false }); err != nil {
			t.Error(err)
		}
		must(t, d.Close())
	}
	if _, err := tr.Dial(inside, "late"); !errors.Is(err, link.ErrClosed) {
		t.Errorf("dialled: %v", err)
	}
}

func TestARoutingIDIsForOne(t *testing.T) {
	tr, _ := bound(t)
	d := dial(t, tr, inside, "embedded")
	if _, err := tr.Dial(inside, "embedded"); err == nil {
		t.Error("dialled twice")
	}
	must(t, d.Close())
	dial(t, tr, inside, "embedded")
}

func TestOnlyTheFirstRouterIsDialledInside(t *testing.T) {
	tr := inproc.Over(mem.New(), inside)
	if _, err := tr.Dial(inside, "early"); !errors.Is(err, link.ErrUnreachable) {
		t.Errorf("dialled before there was a router: %v", err)
	}
	r, err := tr.Bind(outside)
	must(t, err)
	second, err := tr.Bind("ipc://node")
	must(t, err)
	d := dial(t, tr, inside, "embedded")
	must(t, d.Send([]byte("hello")))
	if _, _, err := second.Recv(); !errors.Is(err, link.ErrAgain) {
		t.Errorf("the second: %v", err)
	}
	if _, body, err := r.Recv(); err != nil || string(body) != "hello" {
		t.Errorf("the first: %q, %v", body, err)
	}
	must(t, second.Close())
	must(t, r.Close())
}

// TestAKickWakesTheRoutersOwner: whoever kicks or sends from another goroutine reaches the owner that sleeps.
func TestAKickWakesTheRoutersOwner(t *testing.T) {
	tr, r := bound(t)
	d := dial(t, tr, inside, "embedded")
	kicks := make(chan struct{}, 1)
	done := make(chan struct{})
	served(t, d, func() bool {
		select {
		case kicks <- struct{}{}:
		default:
		}
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
	owner := make(chan error, 1)
	over := false
	go func() {
		owner <- r.Serve(func() bool {
			for {
				if _, _, err := r.RecvView(); err != nil {
					break
				}
				over = true
			}
			return over
		})
	}()
	for range 10 {
		d.Kick()
		await(t, "the step runs", kicks)
	}
	d.NextWait(time.Microsecond, false)
	await(t, "the step runs after a time", kicks)
	close(done)
	d.Kick()
	other := dial(t, tr, outside, "n1")
	must(t, other.Send([]byte("end")))
	must(t, <-owner)
}

func TestADealerHasItsTurnHoweverManyMessagesOfOthersCome(t *testing.T) {
	tr, r := bound(t)
	d, other := dial(t, tr, inside, "embedded"), dial(t, tr, outside, "n1")
	steps := 0
	ended := served(t, d, func() bool {
		steps++
		d.Kick()
		return steps == 4
	})
	for range 20_000 {
		must(t, other.Send([]byte("x")))
		if _, _, err := r.RecvView(); err != nil {
			t.Fatal(err)
		}
	}
	if steps < 4 {
		for range 100 {
			_, _, _ = r.RecvView()
		}
		t.Errorf("%d steps", steps)
	}
	await(t, "Serve ends", ended)
}
