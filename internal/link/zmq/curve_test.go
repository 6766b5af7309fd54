package zmq_test

import (
	"crypto/rand"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"brainer/internal/curve"
	"brainer/internal/link"
	"brainer/internal/link/zmq"
)

func newPair(t testing.TB) curve.Pair {
	t.Helper()
	p, err := curve.Generate()
	must(t, err)
	return p
}

// guarded is a bound end with keys.
type guarded struct {
	link.Router
	own      curve.Pair
	list     string // its file
	refusals *curve.Refusals
}

const anyTCP = "tcp://127.0.0.1:*"

// bindGuarded binds endpoint; the lines say who may connect.
func bindGuarded(t testing.TB, endpoint string, admit func(curve.Caller, []byte) bool, lines ...string) *guarded {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	g := &guarded{own: newPair(t), list: filepath.Join(t.TempDir(), "allowed"), refusals: curve.NewRefusals(log)}
	g.allow(t, lines...)
	allowed, err := curve.LoadAllowed(g.list, log)
	must(t, err)
	tr := newTransportWith(t, &curve.Config{Own: g.own, Allowed: allowed, Admit: admit, Refusals: g.refusals})
	g.Router = bind(t, tr, endpoint)
	return g
}

func (g *guarded) allow(t testing.TB, lines ...string) {
	t.Helper()
	must(t, os.WriteFile(g.list+".new", []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	must(t, os.Rename(g.list+".new", g.list))
}

func newTransportWith(t testing.TB, c *curve.Config) *zmq.Transport {
	t.Helper()
	tr, err := zmq.New(zmq.Options{Curve: c})
	must(t, err)
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

// outcome waits until d is connected ("") or knows why it will not be.
func outcome(t testing.TB, d link.Dealer) string {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if d.Connected() {
			return ""
		}
		if err := d.(link.Refuser).Refused(); err != nil {
			return err.Error()
		}
	}
	t.Fatal("neither connected nor refused")
	return ""
}

func TestOnlyListedKeysConnect(t *testing.T) {
	good, stranger, nobody := newPair(t), newPair(t), newPair(t)
	g := bindGuarded(t, anyTCP, nil, "client "+good.String())
	if n := g.refusals.Count(curve.UnknownKey); n != 0 {
		t.Errorf("the self-test counts as %d strangers", n)
	}
	open := bind(t, newTransport(t), anyTCP)
	for _, c := range []struct {
		name     string
		own      curve.Pair
		server   curve.Key
		endpoint string
		want     string // a part of the reason; "": connected
		counted  curve.Reason
	}{
		{"listed", good, g.own.Public, g.Endpoint(), "", -1},
		{"not listed", stranger, g.own.Public, g.Endpoint(), "our key is refused", curve.UnknownKey},
		{"takes it for another", good, nobody.Public, g.Endpoint(), "--curve-server-key is not the key", curve.NoHandshake},
		{"without keys", curve.Pair{}, curve.Key{}, g.Endpoint(), "keys are asked for", curve.NoHandshake},
		{"with keys where none are", good, g.own.Public, open.Endpoint(), "none", -1},
		{"none to none", curve.Pair{}, curve.Key{}, open.Endpoint(), "", -1},
	} {
		before, tr := count(g.refusals), newTransportWith(t, &curve.Config{Own: c.own, Server: c.server})
		await(t, c.name+": counted", tick, func() bool { // a client without keys may be the one that hangs up
			d := dial(t, tr, c.endpoint, sessionID())
			got := outcome(t, d)
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Fatalf("%s: %q, want %q", c.name, got, c.want)
			}
			if got != "" {
				if err := d.Send([]byte("x")); err != link.ErrAgain {
					t.Errorf("%s: Send: %v", c.name, err)
				}
			}
			now := count(g.refusals)
			return c.counted < 0 && now == before || c.counted >= 0 && now[c.counted] > before[c.counted]
		})
	}
	d := dial(t, newTransportWith(t, &curve.Config{Own: good, Server: g.own.Public}), g.Endpoint(), sessionID())
	sendConnected(t, d, []byte("hello"))
	peer, body := recvRouter(t, g)
	if string(body) != "hello" {
		t.Fatalf("%q", body)
	}
	must(t, g.Send(peer, []byte("answer")))
	if got := recvDealer(t, d); string(got) != "answer" {
		t.Errorf("%q", got)
	}
}

func count(r *curve.Refusals) (n [3]uint64) {
	for _, why := range curve.Reasons() {
		n[why] = r.Count(why)
	}
	return n
}

func tick() <-chan struct{} {
	c := make(chan struct{})
	time.AfterFunc(time.Millisecond, func() { close(c) })
	return c
}

func TestAKeySaysOnlyWhatItMay(t *testing.T) {
	client, node := newPair(t), newPair(t)
	g := bindGuarded(t, anyTCP, func(from curve.Caller, body []byte) bool {
		return from.Node == (string(body) == "join")
	}, "client "+client.String(), "node "+node.String()+" n1")
	c := dial(t, newTransportWith(t, &curve.Config{Own: client, Server: g.own.Public}), g.Endpoint(), sessionID())
	n := dial(t, newTransportWith(t, &curve.Config{Own: node, Server: g.own.Public}), g.Endpoint(), sessionID())
	for _, s := range []struct {
		from link.Dealer
		body string
		ok   bool
	}{{c, "GET k", true}, {c, "join", false}, {n, "join", true}, {n, "GET k", false}} {
		before := g.refusals.Count(curve.NotItsPlace)
		sendConnected(t, s.from, []byte(s.body))
		if s.ok {
			if _, body := recvRouter(t, g); string(body) != s.body {
				t.Errorf("%q, want %q", body, s.body)
			}
			continue
		}
		await(t, s.body+": dropped", g.Ready, func() bool {
			if _, body, err := g.Recv(); err == nil {
				t.Fatalf("%q came through", body)
			}
			return g.refusals.Count(curve.NotItsPlace) == before+1
		})
	}
}

func TestInsideTheProcessNoKeyIsAskedFor(t *testing.T) {
	tr, g := func() (*zmq.Transport, link.Router) {
		list := filepath.Join(t.TempDir(), "allowed")
		must(t, os.WriteFile(list, nil, 0o600))
		log := slog.New(slog.DiscardHandler)
		allowed, err := curve.LoadAllowed(list, log)
		must(t, err)
		own := newPair(t)
		tr := newTransportWith(t, &curve.Config{Own: own, Allowed: allowed, Refusals: curve.NewRefusals(log),
			Admit: func(curve.Caller, []byte) bool { return false }})
		return tr, bind(t, tr, "inproc://embedded")
	}()
	d := dial(t, tr, "inproc://embedded", sessionID())
	sendConnected(t, d, []byte("hello"))
	if _, body := recvRouter(t, g); string(body) != "hello" {
		t.Errorf("%q", body)
	}
}

func TestIPCIsGuardedByItsModeAlone(t *testing.T) {
	g := bindGuarded(t, ipcEndpoint(t), nil)
	d := dial(t, newTransportWith(t, &curve.Config{Own: newPair(t), Server: g.own.Public}), g.Endpoint(), sessionID())
	sendConnected(t, d, []byte("hello"))
	if _, body := recvRouter(t, g); string(body) != "hello" {
		t.Errorf("%q", body)
	}
}

func TestAKeyTakenOffTheListIsCutOff(t *testing.T) {
	good := newPair(t)
	g := bindGuarded(t, anyTCP, nil, "client "+good.String())
	tr := newTransportWith(t, &curve.Config{Own: good, Server: g.own.Public})
	d, listener := dial(t, tr, g.Endpoint(), sessionID()), dial(t, tr, g.Endpoint(), sessionID())
	sendConnected(t, d, []byte("hello"))
	recvRouter(t, g)
	sendConnected(t, listener, []byte("hello"))
	quiet, _ := recvRouter(t, g)
	g.allow(t, "# nobody")
	await(t, "nothing is sent to who only listens", tick, func() bool {
		err := g.Send(quiet, []byte("news"))
		if err != nil && err != link.ErrUnreachable {
			t.Fatal(err)
		}
		return err != nil
	})
	if err := g.Send(quiet, []byte("news")); err != link.ErrUnreachable {
		t.Errorf("sent later: %v", err)
	}
	await(t, "messages of the old connection are dropped", tick, func() bool {
		must(t, d.Send([]byte("again")))
		for {
			if _, _, err := g.Recv(); err != nil {
				break
			}
		}
		return g.refusals.Count(curve.NotItsPlace) > 0
	})
	if got := outcome(t, dial(t, tr, g.Endpoint(), sessionID())); !strings.Contains(got, "our key is refused") {
		t.Errorf("a new connection: %q", got)
	}
	g.allow(t, "client "+good.String())
	await(t, "a new connection stands", tick, func() bool {
		return outcome(t, dial(t, tr, g.Endpoint(), sessionID())) == ""
	})
}

// Bytes of strangers do no harm, and leave nothing.
func TestGarbageAtASecuredEndpoint(t *testing.T) {
	good := newPair(t)
	g := bindGuarded(t, anyTCP, nil, "client "+good.String())
	address := strings.TrimPrefix(g.Endpoint(), "tcp://")
	greeting := append([]byte{0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 'C', 'U', 'R', 'V', 'E'}, make([]byte, 47)...)
	for i := range 200 {
		conn, err := net.Dial("tcp", address)
		must(t, err)
		junk := make([]byte, 300)
		rand.Read(junk)
		switch i % 4 {
		case 1:
			junk = append(greeting, junk...)
		case 2: // a command that announces 2^62 bytes
			junk = append(greeting, 6, 0x40, 0, 0, 0, 0, 0, 0, 0)
		case 3:
			junk = greeting[:i%64]
		}
		_, _ = conn.Write(junk)
		if i%2 == 0 {
			conn.Close()
		} else {
			defer conn.Close()
		}
	}
	d := dial(t, newTransportWith(t, &curve.Config{Own: good, Server: g.own.Public}), g.Endpoint(), sessionID())
	sendConnected(t, d, []byte("hello"))
	if _, body := recvRouter(t, g); string(body) != "hello" {
		t.Errorf("%q", body)
	}
	idle, err := net.Dial("tcp", address) // says nothing: cut after the limit of a handshake
	must(t, err)
	defer idle.Close()
	must(t, idle.SetReadDeadline(time.Now().Add(3*patience)))
	for buf := make([]byte, 100); err == nil; {
		_, err = idle.Read(buf)
	}
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Error("a connection that says nothing is kept")
	}
}
