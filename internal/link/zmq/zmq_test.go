package zmq_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
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
	"brainer/internal/link/zmq"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

func newTransport(t testing.TB) *zmq.Transport {
	t.Helper()
	tr, err := zmq.New(zmq.Options{})
	must(t, err)
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

func bind(t testing.TB, tr *zmq.Transport, endpoint string) link.Router {
	t.Helper()
	r, err := tr.Bind(endpoint)
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

func dial(t testing.TB, tr *zmq.Transport, endpoint, id string) link.Dealer {
	t.Helper()
	d, err := tr.Dial(endpoint, id)
	must(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

func ipcEndpoint(t testing.TB) string { return "ipc://" + filepath.Join(t.TempDir(), "b.sock") }

func sessionID() string {
	var b [8]byte
	rand.Read(b[:])
	return "n1-" + hex.EncodeToString(b[:])
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await calls f until it says true, between calls waiting for a signal of ready.
func await(t testing.TB, what string, ready func() <-chan struct{}, f func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !f() {
		select {
		case <-ready():
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func recvRouter(t testing.TB, r link.Router) (peer string, body []byte) {
	t.Helper()
	await(t, "a message at the router", r.Ready, func() bool {
		var err error
		peer, body, err = r.Recv()
		if err != nil && err != link.ErrAgain {
			t.Fatal(err)
		}
		return err == nil
	})
	return peer, body
}

func recvDealer(t testing.TB, d link.Dealer) (body []byte) {
	t.Helper()
	await(t, "a message at the dealer", d.Ready, func() bool {
		var err error
		body, err = d.Recv()
		if err != nil && err != link.ErrAgain {
			t.Fatal(err)
		}
		return err == nil
	})
	return body
}

func sendConnected(t testing.TB, d link.Dealer, body []byte) {
	t.Helper()
	await(t, "the connection", d.Ready, func() bool {
		err := d.Send(body)
		if err != nil && err != link.ErrAgain {
			t.Fatal(err)
		}
		return err == nil
	})
}

// eventually polls what no Ready announces.
func eventually(t testing.TB, within time.Duration, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(within)
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %v", what, within)
		}
	}
}

func TestRoundTripOverEveryTransport(t *testing.T) {
	for _, endpoint := range []string{"inproc://b", ipcEndpoint(t), "tcp://127.0.0.1:*"} {
		t.Run(strings.SplitN(endpoint, ":", 2)[0], func(t *testing.T) {
			tr := newTransport(t)
			r := bind(t, tr, endpoint)
			d := dial(t, tr, r.Endpoint(), "n1")
			for _, n := range []int{1, 0, 100, 70_000} {
				sent := bytes.Repeat([]byte{7}, n)
				sendConnected(t, d, sent)
				peer, body := recvRouter(t, r)
				if peer != "n1" || !bytes.Equal(body, sent) {
					t.Fatalf("router got %d bytes from %q, want %d from n1", len(body), peer, n)
				}
				must(t, r.Send(peer, body))
				if back := recvDealer(t, d); !bytes.Equal(back, sent) {
					t.Fatalf("dealer got %d bytes back, want %d", len(back), n)
				}
			}
			if _, _, err := r.Recv(); err != link.ErrAgain {
				t.Fatalf("an empty router says %v, want ErrAgain", err)
			}
			if _, err := d.Recv(); err != link.ErrAgain {
				t.Fatalf("an empty dealer says %v, want ErrAgain", err)
			}
		})
	}
}

func TestEmbeddedNodeMayDialBeforeTheBrokerBinds(t *testing.T) {
	tr := newTransport(t)
	d := dial(t, tr, "inproc://b", "n1")
	r := bind(t, tr, "inproc://b")
	sendConnected(t, d, []byte("early"))
	if _, body := recvRouter(t, r); string(body) != "early" {
		t.Fatalf("got %q", body)
	}
}

func TestADialToNobodyCanNeitherSendNorReceive(t *testing.T) {
	tr := newTransport(t)
	for _, endpoint := range []string{ipcEndpoint(t), "tcp://127.0.0.1:1"} {
		d := dial(t, tr, endpoint, "n1")
		if err := d.Send([]byte("x")); err != link.ErrAgain {
			t.Fatalf("%s: Send says %v, want ErrAgain", endpoint, err)
		}
		if _, err := d.Recv(); err != link.ErrAgain {
			t.Fatalf("%s: Recv says %v, want ErrAgain", endpoint, err)
		}
		if d.Connected() {
			t.Fatalf("%s: connected to nobody", endpoint)
		}
	}
}

func TestUnknownPeerIsUnreachable(t *testing.T) {
	r := bind(t, newTransport(t), ipcEndpoint(t))
	if err := r.Send("nobody", []byte("x")); err != link.ErrUnreachable {
		t.Fatalf("Send to an unknown peer says %v, want ErrUnreachable", err)
	}
}

// A send that returned nil says nothing about arrival; that the peer has gone is seen soon after.
func TestDeadPeerBecomesUnreachable(t *testing.T) {
	for _, endpoint := range []string{"inproc://b", ipcEndpoint(t), "tcp://127.0.0.1:*"} {
		t.Run(strings.SplitN(endpoint, ":", 2)[0], func(t *testing.T) {
			tr := newTransport(t)
			r := bind(t, tr, endpoint)
			d := dial(t, tr, r.Endpoint(), "n1")
			sendConnected(t, d, []byte("hello"))
			recvRouter(t, r)
			must(t, r.Send("n1", []byte("lost: accepted, and nobody will read it")))
			must(t, d.Close())
			eventually(t, patience, "ErrUnreachable after the peer closed", func() bool {
				return r.Send("n1", []byte("x")) == link.ErrUnreachable
			})
		})
	}
}

func TestDeadBrokerIsSeenByTheDealer(t *testing.T) {
	tr := newTransport(t)
	r := bind(t, tr, ipcEndpoint(t))
	d := dial(t, tr, r.Endpoint(), "n1")
	sendConnected(t, d, []byte("hello"))
	recvRouter(t, r)
	start := time.Now()
	must(t, r.Close())
	await(t, "the disconnection", d.Ready, func() bool { return !d.Connected() })
	t.Logf("seen after %v", time.Since(start))
	if err := d.Send([]byte("x")); err != link.ErrAgain {
		t.Fatalf("Send after the broker died says %v, want ErrAgain", err)
	}
}

// With a routing id that a half-open connection still holds, a newcomer is black-holed: neither end
// hears the other. Hence a fresh id for every session.
func TestSecondSessionNeedsAFreshRoutingID(t *testing.T) {
	tr := newTransport(t)
	r := bind(t, tr, ipcEndpoint(t))
	first := dial(t, tr, r.Endpoint(), "n1")
	sendConnected(t, first, []byte("first"))
	recvRouter(t, r)

	same := dial(t, tr, r.Endpoint(), "n1")
	sendConnected(t, same, []byte("never arrives"))
	fresh := dial(t, tr, r.Endpoint(), sessionID())
	sendConnected(t, fresh, []byte("fresh"))
	if peer, body := recvRouter(t, r); peer == "n1" || string(body) != "fresh" {
		t.Fatalf("router got %q from %q, want the fresh session's", body, peer)
	}
	must(t, r.Send("n1", []byte("to the first")))
	if body := recvDealer(t, first); string(body) != "to the first" {
		t.Fatalf("the first session got %q", body)
	}
}

// A dealer that ZeroMQ lets reconnect delivers old frames to a broker that was bound later. Ours
// never reconnects, so a new broker hears new sessions only.
func TestANewBrokerGetsNoStaleFrames(t *testing.T) {
	tr := newTransport(t)
	endpoint := ipcEndpoint(t)
	early := dial(t, tr, endpoint, "early") // nobody is bound yet
	for range 1000 {
		if early.Send([]byte("stale")) == nil {
			t.Fatal("a frame was accepted for nobody")
		}
	}

	r := bind(t, tr, endpoint)
	old := dial(t, tr, endpoint, sessionID())
	sendConnected(t, old, []byte("hello"))
	recvRouter(t, r)
	must(t, r.Close())
	for range 1000 {
		old.Send([]byte("stale"))
	}
	// The I/O thread of a loaded machine may hear of the end after the next broker is bound.
	for _, d := range []link.Dealer{old, early} {
		await(t, "the end of the session", d.Ready, func() bool { return !d.Connected() })
	}

	r = bind(t, tr, endpoint)
	for until := time.Now().Add(300 * time.Millisecond); time.Now().Before(until); { // libzmq's own interval is 100 ms
		fresh, err := tr.Dial(endpoint, sessionID())
		must(t, err)
		sendConnected(t, fresh, []byte("fresh"))
		if _, body := recvRouter(t, r); string(body) != "fresh" {
			t.Fatalf("the new broker got %q", body)
		}
		must(t, fresh.Close())
		if old.Connected() || early.Connected() {
			t.Fatal("a session survived its broker")
		}
	}
}

func TestASecondBindIsRefusedAndStealsNothing(t *testing.T) {
	for _, endpoint := range []string{ipcEndpoint(t), "tcp://127.0.0.1:*"} {
		t.Run(strings.SplitN(endpoint, ":", 2)[0], func(t *testing.T) {
			tr, other := newTransport(t), newTransport(t)
			r := bind(t, tr, endpoint)
			_, err := other.Bind(r.Endpoint())
			if err == nil || !strings.Contains(err.Error(), "another process") || strings.Contains(err.Error(), "\n") {
				t.Fatalf("the second bind says %v", err)
			}
			d := dial(t, other, r.Endpoint(), "n1")
			sendConnected(t, d, []byte("still here"))
			recvRouter(t, r)
		})
	}
}

func TestASocketFileLeftBehindIsReplaced(t *testing.T) {
	endpoint := ipcEndpoint(t)
	path := strings.TrimPrefix(endpoint, "ipc://")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	must(t, err)
	dead.SetUnlinkOnClose(false)
	must(t, dead.Close())
	must(t, os.WriteFile(path+".lock", nil, 0o600))

	tr := newTransport(t)
	r := bind(t, tr, endpoint)
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("socket file has mode %v, want 0600", info.Mode().Perm())
	}
	must(t, r.Close())
	for _, left := range []string{path, path + ".lock"} {
		if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left behind", left)
		}
	}
	bind(t, tr, endpoint)
}

// A holder of the lock may not listen yet: two brokers that start at the same moment.
func TestTheLockAloneGuardsAPath(t *testing.T) {
	endpoint := ipcEndpoint(t)
	lock, err := os.Create(strings.TrimPrefix(endpoint, "ipc://") + ".lock")
	must(t, err)
	defer lock.Close()
	must(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	if _, err := newTransport(t).Bind(endpoint); err == nil || !strings.Contains(err.Error(), "another process is bound here") {
		t.Fatalf("bind under another's lock says %v", err)
	}
}

func TestUnusableEndpointsSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, []byte("precious"), 0o600))
	live, err := net.Listen("unix", filepath.Join(dir, "live"))
	must(t, err)
	defer live.Close()

	tr := newTransport(t)
	for endpoint, want := range map[string]string{
		"":                                   "an endpoint looks like",
		"/tmp/broker.sock":                   "an endpoint looks like",
		"http://x":                           `scheme "http"`,
		"ipc://" + dir + "/none/b.sock":      "does not exist; create it",
		"ipc://" + file:                      "is not a socket",
		"ipc://" + file + "/b.sock":          "not a directory",
		"ipc://" + dir + "/live":             "another process listens",
		"ipc:///" + strings.Repeat("a", 120): "more than the 107",
		"tcp://127.0.0.1":                    "it looks like tcp://",
		"tcp://nosuchinterface:1":            "no such address",
		"tcp://192.0.2.1:5000":               "no such address",
	} {
		r, err := tr.Bind(endpoint)
		if err == nil {
			r.Close()
			t.Errorf("bind %q succeeded", endpoint)
		} else if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("bind %q: %v; want %q in it", endpoint, err, want)
		}
	}
	if b, _ := os.ReadFile(file); string(b) != "precious" {
		t.Error("binding destroyed a file")
	}
	for _, id := range []string{"", "\x00x", strings.Repeat("a", 256)} {
		if _, err := tr.Dial("inproc://b", id); err == nil {
			t.Errorf("routing id %q was accepted", id)
		}
	}
}

func TestGarbageOnATCPEndpointHarmsNobody(t *testing.T) {
	tr := newTransport(t)
	r := bind(t, tr, "tcp://127.0.0.1:*")
	address := strings.TrimPrefix(r.Endpoint(), "tcp://")
	greeting := append([]byte{0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 'N', 'U', 'L', 'L'}, make([]byte, 48)...)
	random := make([]byte, 64<<10)
	rand.Read(random)
	for _, garbage := range [][]byte{
		{0}, []byte("GET / HTTP/1.1\r\n\r\n"), []byte("*1\r\n$4\r\nPING\r\n"), random, greeting,
		append(bytes.Clone(greeting), random...),
		append(bytes.Clone(greeting), 0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), // a command of 2^64-1 bytes
	} {
		c, err := net.Dial("tcp", address)
		must(t, err)
		c.Write(garbage)
		c.Close()
	}
	d := dial(t, tr, r.Endpoint(), "n1")
	sendConnected(t, d, []byte("hello"))
	for {
		if peer, body := recvRouter(t, r); peer == "n1" && string(body) == "hello" {
			break
		}
	}
}

// A stranger who speaks ZMTP and sends several frames at once gets the first one through.
func TestFramesBeyondTheBodyAreDropped(t *testing.T) {
	tr := newTransport(t)
	r := bind(t, tr, "tcp://127.0.0.1:*")
	c, err := net.Dial("tcp", strings.TrimPrefix(r.Endpoint(), "tcp://"))
	must(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	zmtpHandshake(t, c)
	frames := []byte{
		1, 3, 'o', 'n', 'e', 1, 5, 'e', 'x', 't', 'r', 'a', 0, 4, 'm', 'o', 'r', 'e',
		0, 3, 't', 'w', 'o',
	}
	_, err = c.Write(frames)
	must(t, err)
	for _, want := range []string{"one", "two"} {
		if _, body := recvRouter(t, r); string(body) != want {
			t.Fatalf("got %q, want %q", body, want)
		}
	}
}

// zmtpHandshake speaks ZMTP 3.0 as a DEALER without identity.
func zmtpHandshake(t *testing.T, c net.Conn) {
	t.Helper()
	greeting := make([]byte, 64)
	copy(greeting, []byte{0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0, 'N', 'U', 'L', 'L'})
	_, err := c.Write(greeting)
	must(t, err)
	_, err = io.ReadFull(c, make([]byte, 64))
	must(t, err)
	ready := "\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
	_, err = c.Write(append([]byte{4, byte(len(ready))}, ready...))
	must(t, err)
	head := make([]byte, 2)
	_, err = io.ReadFull(c, head)
	must(t, err)
	_, err = io.ReadFull(c, make([]byte, head[1]))
	must(t, err)
}

func TestBigMessagesPassAndTooBigOnesAreRefusedBeforeTheyBreakTheLink(t *testing.T) {
	tr, err := zmq.New(zmq.Options{MaxMsgBytes: 8 << 20})
	must(t, err)
	t.Cleanup(func() { must(t, tr.Close()) })
	r := bind(t, tr, ipcEndpoint(t))
	d := dial(t, tr, r.Endpoint(), "n1")
	big := make([]byte, 8<<20)
	rand.Read(big)
	sendConnected(t, d, big)
	_, body := recvRouter(t, r)
	if !bytes.Equal(body, big) {
		t.Fatal("8 MiB came out different")
	}
	must(t, r.Send("n1", body))
	if !bytes.Equal(recvDealer(t, d), big) {
		t.Fatal("8 MiB came back different")
	}
	if err := d.Send(append(big, 0)); err == nil || errors.Is(err, link.ErrAgain) {
		t.Fatalf("one byte too many: Send says %v", err)
	}
	if err := r.Send("n1", append(big, 0)); err == nil || errors.Is(err, link.ErrUnreachable) {
		t.Fatalf("one byte too many: the router's Send says %v", err)
	}
	sendConnected(t, d, []byte("alive"))
	recvRouter(t, r)
}

// A peer that is not read is no reason to wait, nor, up to thousands of messages, to refuse: the bytes
// in flight are the caller's to bound. And the other peers do not notice.
func TestAPeerThatDoesNotReadBlocksNobody(t *testing.T) {
	tr := newTransport(t)
	r := bind(t, tr, ipcEndpoint(t))
	stuck, well := dial(t, tr, r.Endpoint(), "stuck"), dial(t, tr, r.Endpoint(), "well")
	for _, d := range []link.Dealer{stuck, well} {
		sendConnected(t, d, []byte("hello"))
		recvRouter(t, r)
	}
	for range 4000 {
		must(t, r.Send("stuck", make([]byte, 100)))
	}
	must(t, r.Send("well", []byte("x")))
	recvDealer(t, well)
	for range 4000 {
		recvDealer(t, stuck)
	}
}

// The schedule that loses a wake-up when ZMQ_FD is watched naively: the owner asks, finds no answer
// yet, sends something else (which takes the event of the answer off the descriptor before Go's
// poller has looked), then waits. libzmq looks for events in a send once in about a millisecond.
func TestASendBetweenRecvAndWaitLosesNoWakeUp(t *testing.T) {
	tr := newTransport(t)
	r := bind(t, tr, "inproc://b")
	stop, ended := make(chan struct{}), make(chan struct{})
	defer func() { close(stop); <-ended }()
	d := dial(t, tr, "inproc://b", "echo")
	must(t, d.Send(nil))
	recvRouter(t, r)
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
		must(t, r.Send("echo", []byte("ask")))
		if _, _, err := r.Recv(); err == nil {
			continue
		}
		for until := time.Now().Add(1500 * time.Microsecond); time.Now().Before(until); {
			must(t, r.Send("echo", []byte("tell")))
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
		recvRouter(t, r)
	}
}

func TestClosedLinksSaySo(t *testing.T) {
	tr := newTransport(t)
	r := bind(t, tr, "inproc://b")
	d := dial(t, tr, "inproc://b", "n1")
	if err := tr.Close(); err == nil || !strings.Contains(err.Error(), "2 links are still open") {
		t.Fatalf("closing under open links says %v", err)
	}
	must(t, d.Close())
	must(t, r.Close())
	must(t, d.Close())
	must(t, r.Close())
	_, err1 := d.Recv()
	_, _, err2 := r.Recv()
	for _, err := range []error{err1, err2, d.Send(nil), r.Send("n1", nil)} {
		if err != link.ErrClosed {
			t.Errorf("got %v, want ErrClosed", err)
		}
	}
	must(t, tr.Close())
	if _, err := tr.Dial("inproc://b", "n1"); !errors.Is(err, link.ErrClosed) {
		t.Errorf("dial on a closed transport says %v", err)
	}
}

func TestAThousandSessionsLeaveNoDescriptors(t *testing.T) {
	tr := newTransport(t)
	r := bind(t, tr, ipcEndpoint(t))
	session := func(i int) {
		d, err := tr.Dial(r.Endpoint(), fmt.Sprintf("n%d", i))
		must(t, err)
		defer d.Close()
		sendConnected(t, d, []byte("hello"))
		peer, _ := recvRouter(t, r)
		must(t, r.Send(peer, []byte("welcome")))
		recvDealer(t, d)
	}
	for i := range 10 {
		session(i)
	}
	settled := descriptors(t)
	for i := range 1000 {
		session(1000 + i)
	}
	eventually(t, 5*time.Second, "descriptors back to where they were", func() bool {
		return descriptors(t) <= settled
	})
}

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}
