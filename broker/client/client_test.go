package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"brainer/broker/client"
	"brainer/broker/client/clienttest"
	"brainer/internal/link/mem"
	"brainer/internal/link/zmq"
	"brainer/resp"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newTransport(t testing.TB) *zmq.Transport {
	t.Helper()
	tr, err := zmq.New(zmq.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

func ipcEndpoint(t testing.TB) string { return "ipc://" + filepath.Join(t.TempDir(), "broker.sock") }

func start(t testing.TB, endpoint string, setup func(*clienttest.Broker)) *clienttest.Broker {
	t.Helper()
	return clienttest.Start(t, newTransport(t), endpoint, setup)
}

// patience is how long a test waits for what must happen: it costs nothing when it does.
const patience = 30 * time.Second

func connect(t testing.TB, endpoint string, options ...client.Option) *client.Client {
	t.Helper()
	patient := []client.Option{client.WithConnectTimeout(patience), client.WithTimeout(patience)}
	c, err := client.Connect(endpoint, append(patient, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSetGetRemoveOverEveryTransport(t *testing.T) {
	for _, endpoint := range []string{ipcEndpoint(t), "tcp://127.0.0.1:*"} {
		t.Run(strings.SplitN(endpoint, ":", 2)[0], func(t *testing.T) {
			setGetRemove(t, connect(t, start(t, endpoint, nil).Endpoint()))
		})
	}
	t.Run("inproc", func(t *testing.T) {
		tr := newTransport(t)
		clienttest.Start(t, tr, "inproc://broker", nil)
		setGetRemove(t, connect(t, "inproc://broker", client.WithTransport(tr)))
	})
	t.Run("mem", func(t *testing.T) {
		n := mem.New()
		clienttest.Start(t, n, "inproc://broker", nil)
		setGetRemove(t, connect(t, "inproc://broker", client.WithTransport(n)))
	})
}

func setGetRemove(t *testing.T, c *client.Client) {
	t.Helper()
	binary := []byte("\x00\r\n\xff$3\r\n")
	must(t, c.Set("k", binary))
	value, found, err := c.Get("k")
	if err != nil || !found || !bytes.Equal(value, binary) {
		t.Fatalf("get: %q %v %v", value, found, err)
	}
	for _, want := range []bool{true, false} {
		if existed, err := c.Remove("k"); err != nil || existed != want {
			t.Fatalf("remove: %v %v, want %v", existed, err, want)
		}
	}
	if value, found, err := c.Get("k"); err != nil || found || value != nil {
		t.Fatalf("get of nothing: %q %v %v", value, found, err)
	}
	must(t, c.Set("empty", nil))
	if value, found, err := c.Get("empty"); err != nil || !found || len(value) != 0 {
		t.Fatalf("get of an empty value: %q %v %v", value, found, err)
	}
}

func TestSetSaysWhomToWaitForAndWhenToExpire(t *testing.T) {
	b := start(t, ipcEndpoint(t), nil)
	c := connect(t, b.Endpoint())
	must(t, c.Set("k", []byte("v")))
	must(t, c.Set("k", []byte("v"), client.WaitAll(false)))
	must(t, c.Set("k", []byte("v"), client.Expire(90*time.Second)))
	must(t, c.Set("k", []byte("v"), client.Expire(1500*time.Millisecond), client.WaitAll(true)))
	must(t, c.Set("k", []byte("v"), client.Expire(time.Nanosecond)))
	want := []string{
		"BRAINER WITH ACK all SET k v",
		"BRAINER WITH ACK primary SET k v",
		"BRAINER WITH ACK all SET k v EX 90",
		"BRAINER WITH ACK all SET k v PX 1500",
		"BRAINER WITH ACK all SET k v PX 1",
	}
	if got := b.Commands(); !slices.Equal(got, want) {
		t.Errorf("sent %q\nwant %q", got, want)
	}
	if err := c.Set("k", nil, client.Expire(-time.Second)); err == nil {
		t.Error("an expiry in the past was accepted")
	}
}

func TestDoReturnsRepliesAndServerErrors(t *testing.T) {
	c := connect(t, start(t, ipcEndpoint(t), nil).Endpoint())
	reply, err := c.Do("INCRBY", "n", "5")
	if err != nil || reply.Kind != resp.IntKind || reply.Int != 5 {
		t.Fatalf("INCRBY: %+v %v", reply, err)
	}
	reply, err = c.Do("MGET", "n", "none")
	if err != nil || len(reply.Elems) != 2 || string(reply.Elems[0].Str) != "5" || !reply.Elems[1].IsNull() {
		t.Fatalf("MGET: %+v %v", reply, err)
	}
	_, err = c.Do("NOSUCH")
	var server resp.ReplyError
	if !errors.As(err, &server) || server.Code() != "ERR" || client.Uncertain(err) {
		t.Fatalf("an error reply came as %#v", err)
	}
	if _, err = c.Do("UNCERTAIN"); !client.Uncertain(err) {
		t.Fatalf("-UNCERTAIN is not uncertain: %v", err)
	}
	if _, err := c.Do(); err == nil {
		t.Fatal("no command at all was sent")
	}
	if _, err := c.Do("PING"); err != nil {
		t.Fatalf("after error replies: %v", err)
	}
}

func TestPasswordAndDatabaseAreOfTheConnection(t *testing.T) {
	b := start(t, ipcEndpoint(t), func(b *clienttest.Broker) { b.Password = "secret" })
	if _, err := client.Connect(b.Endpoint(), client.WithPassword("wrong")); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Fatalf("a wrong password gives %v", err)
	}
	stranger := connect(t, b.Endpoint())
	if _, _, err := stranger.Get("k"); err == nil || !strings.HasPrefix(err.Error(), "NOAUTH") {
		t.Fatalf("without a password: %v", err)
	}
	c := connect(t, b.Endpoint(), client.WithPassword("secret"), client.WithDB(3))
	must(t, c.Set("k", []byte("v")))
	other := connect(t, b.Endpoint(), client.WithPassword("secret"))
	if _, found, err := other.Get("k"); err != nil || found {
		t.Fatalf("database 0 has what was set in 3: %v %v", found, err)
	}
}

func TestCallsOfSeveralGoroutinesTakeTurns(t *testing.T) {
	c := connect(t, start(t, ipcEndpoint(t), nil).Endpoint())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				key, value := fmt.Sprint("k", i), []byte(fmt.Sprint(i, "-", j))
				if err := c.Set(key, value); err != nil {
					t.Error(err)
					return
				}
				if got, _, err := c.Get(key); err != nil || !bytes.Equal(got, value) {
					t.Errorf("got %q %v, want %q", got, err, value)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestNoBrokerIsSaidAtOnceAndWithWhatToDo(t *testing.T) {
	dir := t.TempDir()
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "stale")})
	must(t, err)
	stale.SetUnlinkOnClose(false)
	must(t, stale.Close())
	for endpoint, want := range map[string]string{
		"ipc://" + dir + "/none":   "no broker listens on ipc://" + dir + "/none: start run_broker, or name its --broker endpoint",
		"ipc://" + dir + "/stale":  "no broker listens on",
		"tcp://127.0.0.1:1":        "no broker listens on tcp://127.0.0.1:1",
		"redis://:pw@127.0.0.1:1":  "nothing listens on redis://127.0.0.1:1: no run_broker with that --listen address",
		"redis://nosuch.invalid":   "cannot connect to redis://nosuch.invalid:6379",
		"inproc://broker":          "only within one process",
		"/tmp/broker.sock":         "it looks like ipc:///tmp/broker.sock",
		"tcp://nowhere":            "it looks like tcp://127.0.0.1:5555",
		"amqp://127.0.0.1":         `scheme "amqp"`,
		"redis://127.0.0.1:1/cart": `database "cart"`,
		"redis://:pw@[/":           "looks like redis://:PASSWORD@HOST:PORT/DB",
	} {
		var options []client.Option
		resolved := strings.Contains(endpoint, "invalid") // or not, for a while
		if !resolved {
			options = append(options, client.WithConnectTimeout(2*patience))
		}
		start := time.Now()
		c, err := client.Connect(endpoint, options...)
		if err == nil {
			c.Close()
			t.Errorf("%s: connected", endpoint)
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "pw") {
			t.Errorf("%s: %v\nwant %q", endpoint, err, want)
		}
		if took := time.Since(start); took > patience && !resolved {
			t.Errorf("%s: said after %v", endpoint, took)
		}
	}
}

func TestAnEndpointOfSomethingElseIsNoBroker(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer mute.Close()
	_, err = client.Connect("tcp://"+mute.Addr().String(), client.WithConnectTimeout(50*time.Millisecond))
	if !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), "but does not answer: the broker hangs") {
		t.Fatalf("a mute listener gives %v", err)
	}

	c := connect(t, start(t, ipcEndpoint(t), nil).Endpoint())
	if _, err := c.Do("GARBAGE"); !errors.Is(err, client.ErrLost) || !strings.Contains(err.Error(), "something else than the Redis protocol") {
		t.Fatalf("garbage gives %v", err)
	}
}

func TestATimeoutLeavesTheOutcomeOpenAndTheNextCallWorks(t *testing.T) {
	b := start(t, ipcEndpoint(t), nil)
	c := connect(t, b.Endpoint(), client.WithTimeout(30*time.Millisecond))
	b.Silence(true)
	err := c.Set("k", []byte("v"))
	if !errors.Is(err, client.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) || !client.Uncertain(err) ||
		!strings.Contains(err.Error(), "may or may not have been applied") {
		t.Fatalf("a timeout gives %v", err)
	}
	b.Silence(false)
	// The first session's reply must not be taken for this one's. (It has the same 30 ms, which a busy machine exceeds.)
	var reply resp.Reply
	for began := time.Now(); ; {
		reply, err = c.DoContext(t.Context(), "INCRBY", "n", "7")
		if !errors.Is(err, client.ErrTimeout) && !errors.Is(err, client.ErrUnreachable) || time.Since(began) > patience {
			break
		}
	}
	if err != nil || reply.Kind != resp.IntKind || reply.Int%7 != 0 {
		t.Fatalf("after a timeout: %+v %v", reply, err)
	}
	if n := strings.Count(strings.Join(b.Commands(), "\n"), "SET k v"); n != 1 {
		t.Fatalf("the command was sent %d times", n)
	}
}

func TestAContextEndsACallAndTheWaitForATurn(t *testing.T) {
	b := start(t, ipcEndpoint(t), nil)
	c := connect(t, b.Endpoint(), client.WithTimeout(0))
	b.Silence(true)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := c.DoContext(ctx, "PING"); first <- err }()
	for len(b.Commands()) == 0 {
		select {
		case err := <-first:
			t.Fatal(err)
		case <-time.After(time.Millisecond):
		}
	}
	short, cancelShort := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancelShort()
	if _, err := c.DoContext(short, "PING"); !errors.Is(err, client.ErrTimeout) || client.Uncertain(err) {
		t.Fatalf("waiting for a turn in vain gives %v", err)
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) || !client.Uncertain(err) {
		t.Fatalf("a canceled call gives %v", err)
	}
}

func TestABrokerThatDiesIsNoticedAtOnce(t *testing.T) {
	endpoint := ipcEndpoint(t)
	b := start(t, endpoint, nil)
	c := connect(t, endpoint)
	b.Silence(true)
	failed := make(chan error, 1)
	go func() { _, err := c.Do("INCRBY", "n", "1"); failed <- err }()
	for len(b.Commands()) == 0 {
		select {
		case err := <-failed:
			t.Fatal(err)
		case <-time.After(time.Millisecond):
		}
	}
	b.Stop()
	err := <-failed
	if !errors.Is(err, client.ErrLost) || !client.Uncertain(err) {
		t.Fatalf("a broker's death in a call gives %v", err)
	}
	if _, err := c.Do("PING"); !errors.Is(err, client.ErrUnreachable) || client.Uncertain(err) {
		t.Fatalf("without a broker: %v", err)
	}
}

func TestABrokerThatCameBackIsUsedWithoutAnError(t *testing.T) {
	endpoint := ipcEndpoint(t)
	b := start(t, endpoint, nil)
	c := connect(t, endpoint, client.WithDB(2))
	must(t, c.Set("k", []byte("v")))
	b.Stop()
	b = start(t, endpoint, nil)
	// The death must have reached this end: what is sent on a link not yet known to be broken is uncertain.
	deadline := time.Now().Add(patience)
	for {
		reply, err := c.Do("INCRBY", "n", "1")
		if err == nil && reply.Int == 1 {
			break
		}
		if !client.Uncertain(err) || time.Now().After(deadline) {
			t.Fatalf("after the restart: %+v %v", reply, err)
		}
	}
	if got := b.Commands(); got[0] != "SELECT 2" {
		t.Errorf("the new broker got %q, want the database first", got)
	}
}

func TestALinkThatBrokeBetweenTwoCallsIsReplacedWithoutAnError(t *testing.T) {
	n := mem.New()
	b := clienttest.Start(t, n, "inproc://broker", nil)
	c := connect(t, "inproc://broker", client.WithTransport(n), client.WithDB(2))
	for want := range int64(3) {
		reply, err := c.Do("INCRBY", "n", "1")
		if err != nil || reply.Int != want+1 {
			t.Fatalf("call %d: %+v %v", want, reply, err)
		}
		for _, id := range n.Peers("inproc://broker") {
			n.Cut(id)
		}
	}
	if got := strings.Join(b.Commands(), ", "); strings.Count(got, "SELECT 2") != 3 || strings.Count(got, "INCRBY") != 3 {
		t.Errorf("the broker got %s", got)
	}
}

func TestCloseSaysQuitAndEndsTheClient(t *testing.T) {
	b := start(t, ipcEndpoint(t), nil)
	c := connect(t, b.Endpoint())
	must(t, c.Close())
	must(t, c.Close())
	if got := b.Commands(); !slices.Equal(got, []string{"QUIT"}) {
		t.Errorf("the broker got %q, want QUIT", got)
	}
	if _, err := c.Do("PING"); !errors.Is(err, client.ErrClosed) {
		t.Errorf("a closed client says %v", err)
	}
}

// A link drops what is queued when it is closed, so Close gives the answer a moment to come.
func TestCloseWaitsForTheAnswerToQuitButNotForEver(t *testing.T) {
	b := start(t, ipcEndpoint(t), nil)
	c := connect(t, b.Endpoint())
	b.Silence(true)
	begun := time.Now()
	must(t, c.Close())
	if took := time.Since(begun); took < 200*time.Millisecond || took > patience {
		t.Errorf("Close took %v", took)
	}
}

func TestReceiveReturnsWhatComesUnasked(t *testing.T) {
	c := connect(t, start(t, ipcEndpoint(t), nil).Endpoint())
	if _, err := c.Do("SUBSCRIBE", "news"); err != nil {
		t.Fatal(err)
	}
	m, err := c.Receive(t.Context())
	if err != nil || len(m.Elems) != 3 || string(m.Elems[0].Str) != "message" {
		t.Fatalf("received %+v %v", m, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.Receive(ctx); !errors.Is(err, client.ErrTimeout) {
		t.Fatalf("nothing to receive: %v", err)
	}
}

func TestBigValues(t *testing.T) {
	c := connect(t, start(t, ipcEndpoint(t), nil).Endpoint())
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	must(t, c.Set("big", big))
	if got, _, err := c.Get("big"); err != nil || !bytes.Equal(got, big) {
		t.Fatalf("4 MiB came back as %d bytes, %v", len(got), err)
	}
}

func TestAThousandClientsLeaveNoDescriptors(t *testing.T) {
	if testing.Short() {
		t.Skip("several seconds")
	}
	b := start(t, ipcEndpoint(t), nil)
	once := func() {
		c, err := client.Connect(b.Endpoint(), client.WithConnectTimeout(patience))
		must(t, err)
		must(t, c.Set("k", []byte("v")))
		must(t, c.Close())
	}
	for range 10 {
		once()
	}
	settled := descriptors(t)
	for range 1000 {
		once()
	}
	quits := slices.DeleteFunc(b.Commands(), func(s string) bool { return s != "QUIT" })
	if len(quits) < 900 { // on a busy machine an answer may take longer than Close waits
		t.Errorf("%d of 1010 clients were heard to say QUIT", len(quits))
	}
	for deadline := time.Now().Add(patience); descriptors(t) > settled; {
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors, %d before", descriptors(t), settled)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}
