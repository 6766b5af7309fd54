package zmq_test

import (
	"testing"
	"time"

	"brainer/internal/link"
	"brainer/internal/link/linktest"
	"brainer/internal/link/zmq"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

var (
	must, await, eventually               = linktest.Must, linktest.Await, linktest.Eventually
	recvRouter, recvDealer, sendConnected = linktest.RecvRouter, linktest.RecvDealer, linktest.SendConnected
	ipcEndpoint, sessionID, descriptors   = linktest.IPC, linktest.SessionID, linktest.Descriptors
)

func newTransport(t testing.TB) *zmq.Transport { return newWith(t, linktest.Options{}) }

func newWith(t testing.TB, o linktest.Options) *zmq.Transport {
	t.Helper()
	tr, err := zmq.New(zmq.Options{MaxMsgBytes: o.MaxMsgBytes, Linger: o.Linger})
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
	return linktest.Bind(t, tr, endpoint)
}

func dial(t testing.TB, tr *zmq.Transport, endpoint, id string) link.Dealer {
	t.Helper()
	return linktest.Dial(t, tr, endpoint, id)
}

func named(endpoint string) func(testing.TB) string {
	return func(testing.TB) string { return endpoint }
}

func suite() linktest.Suite {
	return linktest.Suite{New: func(t testing.TB, o linktest.Options) link.Transport { return newWith(t, o) }}
}

func TestInproc(t *testing.T) {
	s := suite()
	s.Endpoint, s.Nobody = named("inproc://b"), named("inproc://nobody")
	s.Run(t)
}

func TestIPC(t *testing.T) {
	s := suite()
	s.Endpoint, s.Nobody, s.Strangers, s.Path = ipcEndpoint, ipcEndpoint, true, true
	s.Run(t)
}

func TestTCP(t *testing.T) {
	s := suite()
	s.Endpoint, s.Nobody, s.Strangers = named("tcp://127.0.0.1:*"), named("tcp://127.0.0.1:1"), true
	s.Run(t)
	s.Unusable(t, map[string]string{
		"":                        "an endpoint looks like",
		"/tmp/broker.sock":        "an endpoint looks like",
		"http://x":                `scheme "http"`,
		"tcp://127.0.0.1":         "it looks like tcp://",
		"tcp://nosuchinterface:1": "no such address",
		"tcp://192.0.2.1:5000":    "no such address",
	})
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
