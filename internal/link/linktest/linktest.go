// Package linktest is what every ZeroMQ transport passes, on each kind of endpoint that it serves.
package linktest

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"brainer/internal/link"
)

const patience = 30 * time.Second

// Options are those that transports have in common.
type Options struct {
	MaxMsgBytes int64
	Linger      time.Duration
}

// Suite is one transport on one kind of endpoint.
type Suite struct {
	// New makes a transport that ends with the test.
	New func(testing.TB, Options) link.Transport
	// Endpoint is one to bind, Nobody one where nobody listens.
	Endpoint, Nobody func(testing.TB) string
	Strangers        bool // whoever speaks ZMTP may connect with a socket of his own
	CutsOff          bool // a router ends the connection of a second peer under a routing id
	Path             bool // the endpoint is a file
}

// IPC is an endpoint in a directory of the test's.
func IPC(t testing.TB) string { return "ipc://" + filepath.Join(t.TempDir(), "b.sock") }

// Run runs all.
func (s Suite) Run(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(*testing.T)
		when bool
	}{
		{"RoundTrip", s.roundTrip, true},
		{"ADialToNobodyCanNeitherSendNorReceive", s.aDialToNobodyCanNeitherSendNorReceive, s.Strangers},
		{"UnknownPeerIsUnreachable", s.unknownPeerIsUnreachable, true},
		{"DeadPeerBecomesUnreachable", s.deadPeerBecomesUnreachable, true},
		{"DeadBrokerIsSeenByTheDealer", s.deadBrokerIsSeenByTheDealer, s.Strangers},
		{"SecondSessionNeedsAFreshRoutingID", s.secondSessionNeedsAFreshRoutingID, true},
		{"ANewBrokerGetsNoStaleFrames", s.aNewBrokerGetsNoStaleFrames, s.Path},
		{"ASecondBindIsRefusedAndStealsNothing", s.aSecondBindIsRefusedAndStealsNothing, s.Strangers},
		{"ASocketFileLeftBehindIsReplaced", s.aSocketFileLeftBehindIsReplaced, s.Path},
		{"TheLockAloneGuardsAPath", s.theLockAloneGuardsAPath, s.Path},
		{"GarbageHarmsNobody", s.garbageHarmsNobody, s.Strangers},
		{"FramesBeyondTheBodyAreDropped", s.framesBeyondTheBodyAreDropped, s.Strangers},
		{"BigMessagesPassAndTooBigOnesAreRefusedBeforeTheyBreakTheLink", s.bigMessagesPassAndTooBigOnesAreRefusedBeforeTheyBreakTheLink, true},
		{"APeerThatDoesNotReadBlocksNobody", s.aPeerThatDoesNotReadBlocksNobody, true},
		{"ClosedLinksSaySo", s.closedLinksSaySo, true},
		{"AThousandSessionsLeaveNoDescriptors", s.aThousandSessionsLeaveNoDescriptors, s.Strangers},
		{"ServeMissesNothing", s.serveMissesNothing, true},
		{"ASendBetweenRecvAndWaitLosesNoWakeUp", s.aSendBetweenRecvAndWaitLosesNoWakeUp, true},
		{"APeerThatReadsNothingKeepsFewMessagesWaiting", s.aPeerThatReadsNothingKeepsFewMessagesWaiting, s.Strangers},
		{"UnusablePathsSayWhatToDo", s.unusablePathsSayWhatToDo, s.Path},
		{"ARoutingIDIsNotEmptyNorLongNorZeroMQsOwn", s.aRoutingIDIsNotEmptyNorLongNorZeroMQsOwn, true},
	} {
		if c.when {
			t.Run(c.name, c.run)
		}
	}
}

// Bind opens an endpoint that ends with the test.
func Bind(t testing.TB, tr link.Transport, endpoint string) link.Router {
	t.Helper()
	r, err := tr.Bind(endpoint)
	Must(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

// Dial opens a session that ends with the test.
func Dial(t testing.TB, tr link.Transport, endpoint, id string) link.Dealer {
	t.Helper()
	d, err := tr.Dial(endpoint, id)
	Must(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

// Connect opens a stream to an endpoint, under no protocol.
func Connect(t testing.TB, endpoint string) net.Conn {
	t.Helper()
	network, address, _ := strings.Cut(endpoint, "://")
	if network == "ipc" {
		network = "unix"
	}
	c, err := net.Dial(network, address)
	Must(t, err)
	t.Cleanup(func() { c.Close() })
	Must(t, c.SetDeadline(time.Now().Add(2*patience)))
	return c
}

// SessionID is a routing id that nobody had.
func SessionID() string {
	var b [8]byte
	rand.Read(b[:])
	return "n1-" + hex.EncodeToString(b[:])
}

// Must fails the test on an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// End is a Router or Dealer.
type End interface{ Ready() <-chan struct{} }

// Await calls f until it says true, between calls waiting for a signal of ready. The other end is worked
// meanwhile: a handshake, and large messages, take both owners.
func Await(t testing.TB, what string, ready func() <-chan struct{}, f func() bool, other ...End) {
	t.Helper()
	deadline := time.After(patience)
	for !f() {
		var theirs <-chan struct{}
		for _, o := range other {
			theirs = o.Ready()
		}
		select {
		case <-ready():
		case <-theirs:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// RecvRouter waits for the next message.
func RecvRouter(t testing.TB, r link.Router, other ...End) (peer string, body []byte) {
	t.Helper()
	Await(t, "a message at the router", r.Ready, func() bool {
		var err error
		peer, body, err = r.Recv()
		if err != nil && err != link.ErrAgain {
			t.Fatal(err)
		}
		return err == nil
	}, other...)
	return peer, body
}

// RecvDealer waits for the next message.
func RecvDealer(t testing.TB, d link.Dealer, other ...End) (body []byte) {
	t.Helper()
	Await(t, "a message at the dealer", d.Ready, func() bool {
		var err error
		body, err = d.Recv()
		if err != nil && err != link.ErrAgain {
			t.Fatal(err)
		}
		return err == nil
	}, other...)
	return body
}

// SendConnected sends as soon as the connection stands.
func SendConnected(t testing.TB, d link.Dealer, body []byte, other ...End) {
	t.Helper()
	Await(t, "the connection", d.Ready, func() bool {
		err := d.Send(body)
		if err != nil && err != link.ErrAgain {
			t.Fatal(err)
		}
		return err == nil
	}, other...)
}

// Eventually polls what no Ready announces.
func Eventually(t testing.TB, within time.Duration, what string, f func() bool) {
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

// Descriptors counts those of this process.
func Descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	Must(t, err)
	return len(entries)
}
