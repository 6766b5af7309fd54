package mem_test

import (
	"errors"
	"testing"

	"brainer/internal/link"
	"brainer/internal/link/mem"
)

const endpoint = "inproc://broker"

func pair(t *testing.T, n *mem.Network, id string) (link.Router, link.Dealer) {
	t.Helper()
	r, err := n.Bind(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	d, err := n.Dial(endpoint, id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return r, d
}

func wantRouter(t *testing.T, r link.Router, peer, body string) {
	t.Helper()
	p, b, err := r.Recv()
	if err != nil || p != peer || string(b) != body {
		t.Fatalf("router got %q %q %v, want %q %q", p, b, err, peer, body)
	}
}

func wantDealer(t *testing.T, d link.Dealer, body string) {
	t.Helper()
	b, err := d.Recv()
	if err != nil || string(b) != body {
		t.Fatalf("dealer got %q %v, want %q", b, err, body)
	}
}

func wantErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got error %v, want %v", got, want)
	}
}

func routerErr(r link.Router) error { _, _, err := r.Recv(); return err }
func dealerErr(d link.Dealer) error { _, err := d.Recv(); return err }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestMessagesArriveInOrderAndAreCopied(t *testing.T) {
	r, d := pair(t, mem.New(), "n1")
	buf := []byte("one")
	must(t, d.Send(buf))
	copy(buf, "XXX")
	must(t, d.Send([]byte("two")))
	<-r.Ready()
	wantRouter(t, r, "n1", "one")
	wantRouter(t, r, "n1", "two")
	wantErr(t, routerErr(r), link.ErrAgain)
	must(t, r.Send("n1", []byte("three")))
	<-d.Ready()
	wantDealer(t, d, "three")
	wantErr(t, dealerErr(d), link.ErrAgain)
}

func TestCutLosesWhatIsQueuedAndIsSeenAtBothEnds(t *testing.T) {
	n := mem.New()
	r, d := pair(t, n, "n1")
	must(t, d.Send([]byte("up")))
	must(t, r.Send("n1", []byte("down")))
	n.Cut("n1")
	wantErr(t, routerErr(r), link.ErrAgain)
	wantErr(t, dealerErr(d), link.ErrAgain)
	wantErr(t, r.Send("n1", []byte("x")), link.ErrUnreachable)
	wantErr(t, d.Send([]byte("x")), link.ErrAgain)

	again, err := n.Dial(endpoint, "n1")
	must(t, err)
	must(t, again.Send([]byte("back")))
	wantRouter(t, r, "n1", "back")
}

func TestPauseHoldsBothDirectionsUntilResume(t *testing.T) {
	n := mem.New()
	r, d := pair(t, n, "n1")
	n.Pause("n1")
	must(t, d.Send([]byte("up")))
	must(t, r.Send("n1", []byte("down")))
	wantErr(t, routerErr(r), link.ErrAgain)
	wantErr(t, dealerErr(d), link.ErrAgain)
	n.Resume("n1")
	wantRouter(t, r, "n1", "up")
	wantDealer(t, d, "down")
}

func TestDropLosesWhatTheHookChooses(t *testing.T) {
	n := mem.New()
	r, d := pair(t, n, "n1")
	n.Drop(func(m mem.Message) bool { return m.ToRouter && string(m.Body) == "lose" })
	must(t, d.Send([]byte("lose")))
	must(t, d.Send([]byte("keep")))
	wantRouter(t, r, "n1", "keep")
	n.Drop(nil)
	must(t, d.Send([]byte("lose")))
	wantRouter(t, r, "n1", "lose")
}

func TestQueuesAreBoundedBothWays(t *testing.T) {
	r, d := pair(t, mem.NewBounded(2), "n1")
	for range 2 {
		must(t, d.Send(nil))
		must(t, r.Send("n1", nil))
	}
	wantErr(t, d.Send(nil), link.ErrAgain)
	wantErr(t, r.Send("n1", nil), link.ErrAgain)
	wantRouter(t, r, "n1", "")
	must(t, d.Send(nil))
}

func TestClosedEndsSaySo(t *testing.T) {
	n := mem.New()
	r, d := pair(t, n, "n1")
	if _, err := n.Bind(endpoint); err == nil {
		t.Fatal("a second bind of the endpoint succeeded")
	}
	must(t, d.Send([]byte("last words")))
	must(t, d.Close())
	wantErr(t, d.Send(nil), link.ErrClosed)
	wantErr(t, r.Send("n1", nil), link.ErrUnreachable)
	wantRouter(t, r, "n1", "last words")
	must(t, r.Close())
	wantErr(t, routerErr(r), link.ErrClosed)

	lone, err := n.Dial(endpoint, "n2")
	must(t, err)
	wantErr(t, lone.Send(nil), link.ErrAgain)
}
