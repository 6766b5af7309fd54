package zmtp_test

import (
	"errors"
	"testing"

	"brainer/internal/link"
	"brainer/internal/link/linktest"
	"brainer/internal/link/mem"
	"brainer/internal/link/zmq"
	"brainer/internal/link/zmtp"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ours(t testing.TB, o linktest.Options) link.Transport {
	t.Helper()
	tr := zmtp.Over(mem.New(), zmtp.Options{MaxMsgBytes: o.MaxMsgBytes, Linger: o.Linger})
	t.Cleanup(func() { linktest.Must(t, tr.Close()) })
	return tr
}

func libzmqs(t testing.TB, o linktest.Options) link.Transport {
	t.Helper()
	tr, err := zmq.New(zmq.Options{MaxMsgBytes: o.MaxMsgBytes, Linger: o.Linger})
	linktest.Must(t, err)
	t.Cleanup(func() { linktest.Must(t, tr.Close()) })
	return tr
}

// mixed has its routers of one transport and its dealers of another.
type mixed struct{ routers, dealers link.Transport }

func (m mixed) Bind(endpoint string) (link.Router, error)     { return m.routers.Bind(endpoint) }
func (m mixed) Dial(endpoint, id string) (link.Dealer, error) { return m.dealers.Dial(endpoint, id) }

func (m mixed) Close() error {
	return errors.Join(m.routers.Close(), m.dealers.Close())
}

func mix(routers, dealers func(testing.TB, linktest.Options) link.Transport) func(testing.TB, linktest.Options) link.Transport {
	return func(t testing.TB, o linktest.Options) link.Transport {
		t.Helper()
		return mixed{routers(t, o), dealers(t, o)}
	}
}

func run(t *testing.T, transport func(testing.TB, linktest.Options) link.Transport, cutsOff bool) {
	linktest.Suite{New: transport, Endpoint: linktest.IPC, Nobody: linktest.IPC, Strangers: true, CutsOff: cutsOff, Path: true}.Run(t)
}

func TestBothEndsOurs(t *testing.T) { run(t, ours, true) }

func TestDealersOfLibzmq(t *testing.T) { run(t, mix(ours, libzmqs), true) }

func TestARouterOfLibzmq(t *testing.T) { run(t, mix(libzmqs, ours), false) }
