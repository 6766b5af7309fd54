package linktest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"brainer/internal/link"

	"golang.org/x/sys/unix"
)

func (s Suite) roundTrip(t *testing.T) {
	endpoint := s.Endpoint(t)
	tr := s.New(t, Options{})
	r := Bind(t, tr, endpoint)
	d := Dial(t, tr, r.Endpoint(), "n1")
	for _, n := range []int{1, 0, 100, 70_000} {
		sent := bytes.Repeat([]byte{7}, n)
		SendConnected(t, d, sent, r)
		peer, body := RecvRouter(t, r)
		if peer != "n1" || !bytes.Equal(body, sent) {
			t.Fatalf("router got %d bytes from %q, want %d from n1", len(body), peer, n)
		}
		Must(t, r.Send(peer, body))
		if back := RecvDealer(t, d, r); !bytes.Equal(back, sent) {
			t.Fatalf("dealer got %d bytes back, want %d", len(back), n)
		}
	}
	if _, _, err := r.Recv(); err != link.ErrAgain {
		t.Fatalf("an empty router says %v, want ErrAgain", err)
	}
	if _, err := d.Recv(); err != link.ErrAgain {
		t.Fatalf("an empty dealer says %v, want ErrAgain", err)
	}
}

func (s Suite) aDialToNobodyCanNeitherSendNorReceive(t *testing.T) {
	tr := s.New(t, Options{})
	d := Dial(t, tr, s.Nobody(t), "n1")
	if err := d.Send([]byte("x")); err != link.ErrAgain {
		t.Fatalf("Send says %v, want ErrAgain", err)
	}
	if _, err := d.Recv(); err != link.ErrAgain {
		t.Fatalf("Recv says %v, want ErrAgain", err)
	}
	if d.Connected() {
		t.Fatal("connected to nobody")
	}
}

func (s Suite) unknownPeerIsUnreachable(t *testing.T) {
	r := Bind(t, s.New(t, Options{}), s.Endpoint(t))
	if err := r.Send("nobody", []byte("x")); err != link.ErrUnreachable {
		t.Fatalf("Send to an unknown peer says %v, want ErrUnreachable", err)
	}
}

// A send that returned nil says nothing about arrival; that the peer has gone is seen soon after.
func (s Suite) deadPeerBecomesUnreachable(t *testing.T) {
	endpoint := s.Endpoint(t)
	tr := s.New(t, Options{})
	r := Bind(t, tr, endpoint)
	d := Dial(t, tr, r.Endpoint(), "n1")
	SendConnected(t, d, []byte("hello"), r)
	RecvRouter(t, r)
	Must(t, r.Send("n1", []byte("lost: accepted, and nobody will read it")))
	Must(t, d.Close())
	Eventually(t, patience, "ErrUnreachable after the peer closed", func() bool {
		return r.Send("n1", []byte("x")) == link.ErrUnreachable
	})
}

func (s Suite) deadBrokerIsSeenByTheDealer(t *testing.T) {
	tr := s.New(t, Options{})
	r := Bind(t, tr, s.Endpoint(t))
	d := Dial(t, tr, r.Endpoint(), "n1")
	SendConnected(t, d, []byte("hello"), r)
	RecvRouter(t, r)
	start := time.Now()
	Must(t, r.Close())
	Await(t, "the disconnection", d.Ready, func() bool { return !d.Connected() })
	t.Logf("seen after %v", time.Since(start))
	if err := d.Send([]byte("x")); err != link.ErrAgain {
		t.Fatalf("Send after the broker died says %v, want ErrAgain", err)
	}
}

// With a routing id that a half-open connection still holds, libzmq black-holes a newcomer: neither end
// hears the other. Hence a fresh id for every session.
func (s Suite) secondSessionNeedsAFreshRoutingID(t *testing.T) {
	tr := s.New(t, Options{})
	r := Bind(t, tr, s.Endpoint(t))
	first := Dial(t, tr, r.Endpoint(), "n1")
	SendConnected(t, first, []byte("first"), r)
	RecvRouter(t, r)

	same := Dial(t, tr, r.Endpoint(), "n1")
	if s.CutsOff {
		Eventually(t, patience, "the end of the second", func() bool { r.Ready(); return !same.Connected() })
	} else {
		SendConnected(t, same, []byte("never arrives"), r)
	}
	fresh := Dial(t, tr, r.Endpoint(), SessionID())
	SendConnected(t, fresh, []byte("fresh"), r)
	if peer, body := RecvRouter(t, r); peer == "n1" || string(body) != "fresh" {
		t.Fatalf("router got %q from %q, want the fresh session's", body, peer)
	}
	Must(t, r.Send("n1", []byte("to the first")))
	if body := RecvDealer(t, first, r); string(body) != "to the first" {
		t.Fatalf("the first session got %q", body)
	}
}

// A dealer that ZeroMQ lets reconnect delivers old frames to a broker that was bound later. Ours
// never reconnects, so a new broker hears new sessions only.
func (s Suite) aNewBrokerGetsNoStaleFrames(t *testing.T) {
	tr := s.New(t, Options{})
	endpoint := s.Endpoint(t)
	early := Dial(t, tr, endpoint, "early") // nobody is bound yet
	for range 1000 {
		if early.Send([]byte("stale")) == nil {
			t.Fatal("a frame was accepted for nobody")
		}
	}

	r := Bind(t, tr, endpoint)
	old := Dial(t, tr, endpoint, SessionID())
	SendConnected(t, old, []byte("hello"), r)
	RecvRouter(t, r)
	Must(t, r.Close())
	for range 1000 {
		old.Send([]byte("stale"))
	}
	// The I/O thread of a loaded machine may hear of the end after the next broker is bound.
	for _, d := range []link.Dealer{old, early} {
		Await(t, "the end of the session", d.Ready, func() bool { return !d.Connected() })
	}

	r = Bind(t, tr, endpoint)
	for until := time.Now().Add(300 * time.Millisecond); time.Now().Before(until); { // libzmq's own interval is 100 ms
		fresh, err := tr.Dial(endpoint, SessionID())
		Must(t, err)
		SendConnected(t, fresh, []byte("fresh"), r)
		if _, body := RecvRouter(t, r); string(body) != "fresh" {
			t.Fatalf("the new broker got %q", body)
		}
		Must(t, fresh.Close())
		if old.Connected() || early.Connected() {
			t.Fatal("a session survived its broker")
		}
	}
}

func (s Suite) aSecondBindIsRefusedAndStealsNothing(t *testing.T) {
	endpoint := s.Endpoint(t)
	tr, other := s.New(t, Options{}), s.New(t, Options{})
	r := Bind(t, tr, endpoint)
	_, err := other.Bind(r.Endpoint())
	if err == nil || !strings.Contains(err.Error(), "another process") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("the second bind says %v", err)
	}
	d := Dial(t, other, r.Endpoint(), "n1")
	SendConnected(t, d, []byte("still here"), r)
	RecvRouter(t, r)
}

func (s Suite) aSocketFileLeftBehindIsReplaced(t *testing.T) {
	endpoint := s.Endpoint(t)
	path := strings.TrimPrefix(endpoint, "ipc://")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	Must(t, err)
	dead.SetUnlinkOnClose(false)
	Must(t, dead.Close())
	Must(t, os.WriteFile(path+".lock", nil, 0o600))

	tr := s.New(t, Options{})
	r := Bind(t, tr, endpoint)
	info, err := os.Stat(path)
	Must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("socket file has mode %v, want 0600", info.Mode().Perm())
	}
	Must(t, r.Close())
	for _, left := range []string{path, path + ".lock"} {
		if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left behind", left)
		}
	}
	Bind(t, tr, endpoint)
}

// A holder of the lock may not listen yet: two brokers that start at the same moment.
func (s Suite) theLockAloneGuardsAPath(t *testing.T) {
	endpoint := s.Endpoint(t)
	lock, err := os.Create(strings.TrimPrefix(endpoint, "ipc://") + ".lock")
	Must(t, err)
	defer lock.Close()
	Must(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	if _, err := s.New(t, Options{}).Bind(endpoint); err == nil || !strings.Contains(err.Error(), "another process is bound here") {
		t.Fatalf("bind under another's lock says %v", err)
	}
}

func (s Suite) garbageHarmsNobody(t *testing.T) {
	tr := s.New(t, Options{})
	r := Bind(t, tr, s.Endpoint(t))
	greeting := append([]byte{0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 'N', 'U', 'L', 'L'}, make([]byte, 48)...)
	random := make([]byte, 64<<10)
	rand.Read(random)
	for _, garbage := range [][]byte{
		{0}, []byte("GET / HTTP/1.1\r\n\r\n"), []byte("*1\r\n$4\r\nPING\r\n"), random, greeting,
		append(bytes.Clone(greeting), random...),
		append(bytes.Clone(greeting), 0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), // a command of 2^64-1 bytes
	} {
		c := Connect(t, r.Endpoint())
		c.Write(garbage)
		c.Close()
	}
	d := Dial(t, tr, r.Endpoint(), "n1")
	SendConnected(t, d, []byte("hello"), r)
	for {
		if peer, body := RecvRouter(t, r); peer == "n1" && string(body) == "hello" {
			break
		}
	}
}

// A stranger who speaks ZMTP and sends several frames at once gets the first one through.
func (s Suite) framesBeyondTheBodyAreDropped(t *testing.T) {
	tr := s.New(t, Options{})
	r := Bind(t, tr, s.Endpoint(t))
	c := Connect(t, r.Endpoint())
	zmtpHandshake(t, c, r)
	frames := []byte{
		1, 3, 'o', 'n', 'e', 1, 5, 'e', 'x', 't', 'r', 'a', 0, 4, 'm', 'o', 'r', 'e',
		0, 3, 't', 'w', 'o',
	}
	_, err := c.Write(frames)
	Must(t, err)
	for _, want := range []string{"one", "two"} {
		if _, body := RecvRouter(t, r); string(body) != want {
			t.Fatalf("got %q, want %q", body, want)
		}
	}
}

func (s Suite) bigMessagesPassAndTooBigOnesAreRefusedBeforeTheyBreakTheLink(t *testing.T) {
	tr := s.New(t, Options{MaxMsgBytes: 8 << 20})
	r := Bind(t, tr, s.Endpoint(t))
	d := Dial(t, tr, r.Endpoint(), "n1")
	big := make([]byte, 8<<20)
	rand.Read(big)
	SendConnected(t, d, big, r)
	_, body := RecvRouter(t, r, d)
	if !bytes.Equal(body, big) {
		t.Fatal("8 MiB came out different")
	}
	Must(t, r.Send("n1", body))
	if !bytes.Equal(RecvDealer(t, d, r), big) {
		t.Fatal("8 MiB came back different")
	}
	if err := d.Send(append(big, 0)); err == nil || errors.Is(err, link.ErrAgain) {
		t.Fatalf("one byte too many: Send says %v", err)
	}
	if err := r.Send("n1", append(big, 0)); err == nil || errors.Is(err, link.ErrUnreachable) {
		t.Fatalf("one byte too many: the router's Send says %v", err)
	}
	SendConnected(t, d, []byte("alive"), r)
	RecvRouter(t, r)
}

// A peer that is not read is no reason to wait, nor, up to thousands of messages, to refuse: the bytes
// in flight are the caller's to bound. And the other peers do not notice.
func (s Suite) aPeerThatDoesNotReadBlocksNobody(t *testing.T) {
	tr := s.New(t, Options{})
	r := Bind(t, tr, s.Endpoint(t))
	stuck, well := Dial(t, tr, r.Endpoint(), "stuck"), Dial(t, tr, r.Endpoint(), "well")
	for _, d := range []link.Dealer{stuck, well} {
		SendConnected(t, d, []byte("hello"), r)
		RecvRouter(t, r)
	}
	for range 4000 {
		Must(t, r.Send("stuck", make([]byte, 100)))
	}
	Must(t, r.Send("well", []byte("x")))
	RecvDealer(t, well, r)
	for range 4000 {
		RecvDealer(t, stuck, r)
	}
}

func (s Suite) closedLinksSaySo(t *testing.T) {
	tr := s.New(t, Options{})
	r := Bind(t, tr, s.Endpoint(t))
	d := Dial(t, tr, r.Endpoint(), "n1")
	if err := tr.Close(); err == nil || !strings.Contains(err.Error(), "links are still open") {
		t.Fatalf("closing under open links says %v", err)
	}
	Must(t, d.Close())
	Must(t, r.Close())
	Must(t, d.Close())
	Must(t, r.Close())
	_, err1 := d.Recv()
	_, _, err2 := r.Recv()
	for _, err := range []error{err1, err2, d.Send(nil), r.Send("n1", nil)} {
		if err != link.ErrClosed {
			t.Errorf("got %v, want ErrClosed", err)
		}
	}
	Must(t, tr.Close())
	if _, err := tr.Dial(r.Endpoint(), "n1"); !errors.Is(err, link.ErrClosed) {
		t.Errorf("dial on a closed transport says %v", err)
	}
}

func (s Suite) aThousandSessionsLeaveNoDescriptors(t *testing.T) {
	tr := s.New(t, Options{})
	r := Bind(t, tr, s.Endpoint(t))
	session := func(i int) {
		d, err := tr.Dial(r.Endpoint(), fmt.Sprintf("n%d", i))
		Must(t, err)
		defer d.Close()
		SendConnected(t, d, []byte("hello"), r)
		peer, _ := RecvRouter(t, r)
		Must(t, r.Send(peer, []byte("welcome")))
		RecvDealer(t, d, r)
	}
	for i := range 10 {
		session(i)
	}
	settled := Descriptors(t)
	for i := range 1000 {
		session(1000 + i)
	}
	Eventually(t, patience, "descriptors back to where they were", func() bool {
		r.Ready() // an owner sees there that peers have gone
		return Descriptors(t) <= settled
	})
}

// An owner in Serve misses no message and no Kick, wherever they find it: at work, in a system call
// of its own, on its way into Go's poller, or there.
func (s Suite) serveMissesNothing(t *testing.T) {
	for _, linger := range []time.Duration{0, 10 * time.Microsecond, 100 * time.Microsecond, 10 * time.Millisecond} {
		t.Run(fmt.Sprint("linger ", linger), func(t *testing.T) {
			tr := s.New(t, Options{Linger: linger})
			r := Bind(t, tr, s.Endpoint(t))
			d, err := tr.Dial(r.Endpoint(), "n1")
			Must(t, err)
			Eventually(t, patience, "the connection", func() bool { // without Ready, as it is served
				r.Ready()
				return d.Send([]byte("hello")) == nil
			})
			RecvRouter(t, r)

			calls := make(chan chan struct{}, 1)
			served := make(chan error, 1)
			go func() {
				err := d.Serve(func() bool {
					for {
						select {
						case c := <-calls:
							close(c)
						default:
						}
						body, err := d.Recv()
						if err == link.ErrAgain && len(calls) == 0 {
							return false
						}
						if string(body) == "end" {
							return true
						}
						if err == nil {
							_ = d.Send(body) // an echo that is lost is waited for in vain
						}
					}
				})
				_ = d.Close()
				served <- err
			}()
			for i := range 3000 {
				Must(t, r.Send("n1", fmt.Appendf(nil, "%d", i)))
				if i%3 == 0 {
					called := make(chan struct{})
					calls <- called
					d.Kick()
					select {
					case <-called:
					case <-time.After(patience):
						t.Fatal("a kick was missed")
					}
				}
				if _, body := RecvRouter(t, r); string(body) != fmt.Sprint(i) {
					t.Fatalf("echo %q of %d", body, i)
				}
				if i%100 == 0 {
					<-time.After(2 * linger) // let it fall asleep: what comes next finds it there
				}
			}
			Must(t, r.Send("n1", []byte("end")))
			select {
			case err := <-served:
				Must(t, err)
			case <-time.After(patience):
				t.Fatal("Serve did not end")
			}
			d.Kick() // harmless behind its end
		})
	}
}

// The schedule that loses a wake-up when ZMQ_FD is watched naively: the owner asks, finds no answer
// yet, sends something else (which takes the event of the answer off the descriptor before Go's
// poller has looked), then waits. libzmq looks for events in a send once in about a millisecond.
func (s Suite) aSendBetweenRecvAndWaitLosesNoWakeUp(t *testing.T) {
	tr := s.New(t, Options{})
	r := Bind(t, tr, s.Endpoint(t))
	d := Dial(t, tr, r.Endpoint(), "echo")
	SendConnected(t, d, nil, r)
	RecvRouter(t, r)
	stop, ended := make(chan struct{}), make(chan struct{})
	defer func() { close(stop); <-ended }()
	go func() {
		defer close(ended)
		for {
			body, err := d.Recv()
			if err == nil && string(body) == "ask" {
				err = d.Send(body)
			}
			if err == nil {
				continue
			}
			select {
			case <-d.Ready():
			case <-stop:
				return
			}
		}
	}()
	ready := r.Ready()
	for range 200 {
		Eventually(t, patience, "room in the queue", func() bool { return r.Send("echo", []byte("ask")) == nil })
		if _, _, err := r.Recv(); err == nil {
			continue
		}
		for began := time.Now(); ; { // once at least: the signal that is dropped below has been overtaken by a Send
			if err := r.Send("echo", []byte("tell")); err != link.ErrAgain {
				Must(t, err)
			}
			if time.Since(began) > 1500*time.Microsecond {
				break
			}
		}
		select { // as if the poller had come too late to see it
		case <-ready: // not Ready: it would look
		default:
		}
		select {
		case <-r.Ready():
		case <-time.After(patience):
			t.Fatal("an answer is there, and no wake-up")
		}
		RecvRouter(t, r)
	}
}

// zmtpHandshake speaks ZMTP 3.0 as a DEALER without identity, while the router is worked.
func zmtpHandshake(t *testing.T, c net.Conn, r link.Router) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- shakeHands(c) }()
	Eventually(t, patience, "the handshake", func() bool {
		r.Ready()
		select {
		case err := <-done:
			Must(t, err)
			return true
		default:
			return false
		}
	})
}

func shakeHands(c net.Conn) error {
	greeting := make([]byte, 64)
	copy(greeting, []byte{0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0, 'N', 'U', 'L', 'L'})
	if _, err := c.Write(greeting); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, make([]byte, 64)); err != nil {
		return err
	}
	ready := "\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
	if _, err := c.Write(append([]byte{4, byte(len(ready))}, ready...)); err != nil {
		return err
	}
	head := make([]byte, 2)
	if _, err := io.ReadFull(c, head); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, head[1]))
	return err
}

// A ROUTER's queue for a peer is bounded, and there is room again when the peer reads.
func (s Suite) aPeerThatReadsNothingKeepsFewMessagesWaiting(t *testing.T) {
	r := Bind(t, s.New(t, Options{}), s.Endpoint(t))
	c := Connect(t, r.Endpoint())
	zmtpHandshake(t, c, r)
	_, err := c.Write([]byte{0, 5, 'h', 'e', 'l', 'l', 'o'})
	Must(t, err)
	peer, _ := RecvRouter(t, r)
	body := make([]byte, 16<<10)
	sent := 0
	for ; sent < 20_000; sent++ {
		if err = r.Send(peer, body); err != nil {
			break
		}
	}
	if !errors.Is(err, link.ErrAgain) || sent > 6000 {
		t.Fatalf("%d messages were taken, then %v", sent, err)
	}
	drained := make(chan error, 1)
	go func() {
		_, err := io.CopyN(io.Discard, c, int64(sent*(9+len(body))))
		drained <- err
	}()
	Eventually(t, patience, "all arrives", func() bool {
		_, _, _ = r.Recv() // writes on
		select {
		case err := <-drained:
			Must(t, err)
			return true
		default:
			return false
		}
	})
	Eventually(t, patience, "room in the queue", func() bool { return r.Send(peer, body) == nil })
}

func (s Suite) unusablePathsSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	Must(t, os.WriteFile(file, []byte("precious"), 0o600))
	live, err := net.Listen("unix", filepath.Join(dir, "live"))
	Must(t, err)
	defer live.Close()
	s.Unusable(t, map[string]string{
		"ipc://" + dir + "/none/b.sock":      "does not exist; create it",
		"ipc://" + file:                      "is not a socket",
		"ipc://" + file + "/b.sock":          "not a directory",
		"ipc://" + dir + "/live":             "another process listens",
		"ipc:///" + strings.Repeat("a", 120): "more than the 107",
	})
	if b, _ := os.ReadFile(file); string(b) != "precious" {
		t.Error("binding destroyed a file")
	}
}

// Unusable tries to bind endpoints, and wants what the map says in their errors.
func (s Suite) Unusable(t *testing.T, endpoints map[string]string) {
	t.Helper()
	tr := s.New(t, Options{})
	for endpoint, want := range endpoints {
		r, err := tr.Bind(endpoint)
		if err == nil {
			r.Close()
			t.Errorf("bind %q succeeded", endpoint)
		} else if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("bind %q: %v; want %q in it", endpoint, err, want)
		}
	}
}

func (s Suite) aRoutingIDIsNotEmptyNorLongNorZeroMQsOwn(t *testing.T) {
	tr, endpoint := s.New(t, Options{}), s.Nobody(t)
	for _, id := range []string{"", "\x00x", strings.Repeat("a", 256)} {
		if _, err := tr.Dial(endpoint, id); err == nil {
			t.Errorf("routing id %q was accepted", id)
		}
	}
}
