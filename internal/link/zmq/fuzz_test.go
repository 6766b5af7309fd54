package zmq_test

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"brainer/internal/curve"
	"brainer/internal/link"
)

// greeting is ZMTP's, for a mechanism.
func greeting(mechanism string) []byte {
	g := make([]byte, 64)
	copy(g, []byte{0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0})
	copy(g[12:], mechanism)
	return g
}

// FuzzEndpoint sends bytes to tcp endpoints with and without keys. Whatever they are, the process lives,
// its descriptors come back, what has no key gets nothing through the one with keys, and other peers go on.
func FuzzEndpoint(f *testing.F) {
	null, curved := greeting("NULL"), greeting("CURVE")
	ready := "\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
	for _, seed := range [][]byte{
		{0}, []byte("GET / HTTP/1.1\r\n\r\n"), []byte("*1\r\n$4\r\nPING\r\n"), null[:11], null, curved,
		append(bytes.Clone(null), ready...),
		append(append(bytes.Clone(null), ready...), "\x00\x05hello\x01\x03one\x00\x03two"...),
		append(bytes.Clone(null), 6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		append(bytes.Clone(curved), append([]byte{4, 200, 5}, append([]byte("HELLO\x01\x00"), make([]byte, 192)...)...)...),
		append(bytes.Clone(curved), ready...),
	} {
		f.Add(seed, uint8(len(seed)/2))
	}
	good := newPair(f)
	guarded := bindGuarded(f, anyTCP, nil, "client "+good.String())
	plain := bind(f, newTransport(f), anyTCP)
	keyed := dial(f, newTransportWith(f, &curve.Config{Own: good, Server: guarded.own.Public}), guarded.Endpoint(), sessionID())
	open := dial(f, newTransport(f), plain.Endpoint(), sessionID())
	sendConnected(f, keyed, []byte("first"))
	sendConnected(f, open, []byte("first"))
	number := 0
	// passes awaits a message through a link; from a stranger only the endpoint without keys takes any.
	passes := func(t *testing.T, d link.Dealer, r link.Router, strangers bool) {
		number++
		want := fmt.Sprintf("legit %d", number)
		must(t, d.Send([]byte(want)))
		for {
			_, body := recvRouter(t, r)
			if string(body) == want {
				return
			}
			if !strangers && string(body) != "first" {
				t.Fatalf("%q came through without a key", body)
			}
		}
	}
	base := 0
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		for _, r := range []link.Router{plain, guarded} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(r.Endpoint(), "tcp://"))
			must(t, err)
			must(t, conn.SetDeadline(time.Now().Add(patience)))
			at := min(int(cut), len(b))
			if _, err = conn.Write(b[:at]); err == nil {
				_, _ = conn.Write(b[at:])
			}
			must(t, conn.Close())
		}
		passes(t, open, plain, true)
		passes(t, keyed, guarded, false)
		if base == 0 {
			base = descriptors(t) + 20
		}
		if number%400 == 0 {
			eventually(t, patience, "the descriptors come back", func() bool { return descriptors(t) <= base })
		}
	})
}
