package zmq_test

import (
	"errors"
	"testing"
	"time"

	"brainer/internal/link"

	zmq4 "github.com/pebbe/zmq4"
)

// TestAPeerThatReadsNothingKeepsFewMessagesWaiting: a ROUTER's queue for a peer is bounded, and there
// is room again when the peer reads.
func TestAPeerThatReadsNothingKeepsFewMessagesWaiting(t *testing.T) {
	r := bind(t, newTransport(t), ipcEndpoint(t))
	soc, err := zmq4.NewSocket(zmq4.DEALER)
	must(t, err)
	defer soc.Close()
	must(t, soc.SetLinger(0))
	must(t, soc.SetRcvhwm(1))
	must(t, soc.Connect(r.Endpoint()))
	_, err = soc.SendBytes([]byte("hello"), 0)
	must(t, err)
	peer, _ := recvRouter(t, r)
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
	for range sent {
		_, err := soc.RecvBytes(0)
		must(t, err)
	}
	eventually(t, 10*time.Second, "room in the queue", func() bool { return r.Send(peer, body) == nil })
}
