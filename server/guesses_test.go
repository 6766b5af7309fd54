package server

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func address(t *testing.T, text string) netip.Prefix {
	t.Helper()
	a, err := netip.ParseAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	return guesserOf(from{a})
}

// from is a connection of which only the other end's address matters.
type from struct{ addr netip.Addr }

func (f from) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(netip.AddrPortFrom(f.addr, 1)) }

func (from) Read([]byte) (int, error)         { return 0, net.ErrClosed }
func (from) Write([]byte) (int, error)        { return 0, net.ErrClosed }
func (from) Close() error                     { return nil }
func (from) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (from) SetDeadline(time.Time) error      { return nil }
func (from) SetReadDeadline(time.Time) error  { return nil }
func (from) SetWriteDeadline(time.Time) error { return nil }

func TestOneAddressGuessesOnlySoFastAndOthersDoNotNotice(t *testing.T) {
	var g guesses
	g.init()
	now := time.Now()
	attacker := address(t, "203.0.113.7")
	tried, logged := 0, 0
	for range 10_000 { // within one second
		ok, log := g.take(attacker, now)
		if ok {
			tried++
		}
		if log {
			logged++
		}
		now = now.Add(time.Second / 10_000)
	}
	if tried < guessesAtOnce || tried > guessesAtOnce+guessesPerSecond || logged != 1 {
		t.Errorf("%d guesses in a second, %d lines", tried, logged)
	}
	friend := address(t, "203.0.113.8")
	for range 1000 {
		if ok, _ := g.take(friend, now); !ok {
			t.Fatal("another address is refused")
		}
		g.giveBack(friend, now)
	}
	if _, kept := g.of[friend]; kept || len(g.of) != 1 {
		t.Errorf("%d addresses are kept", len(g.of))
	}
	if ok, _ := g.take(attacker, now.Add(time.Second)); !ok {
		t.Error("after a second it may still not try")
	}
}

func TestAnIPv6NetworkIsOneGuesser(t *testing.T) {
	if address(t, "2001:db8::1") != address(t, "2001:db8::ffff:2") || address(t, "2001:db8::1") == address(t, "2001:db8:0:1::1") {
		t.Error("not by /64")
	}
	if address(t, "::ffff:203.0.113.7") != address(t, "203.0.113.7") {
		t.Error("an IPv4 address has two names")
	}
}

func TestGuessersFillNoMemory(t *testing.T) {
	var g guesses
	g.init()
	now := time.Now()
	for i := range 2 * guessersMax {
		g.take(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32), now)
	}
	if len(g.of) != guessersMax {
		t.Errorf("%d entries", len(g.of))
	}
	now = now.Add(time.Minute) // they have been quiet
	g.take(address(t, "203.0.113.7"), now)
	if len(g.of) != 1 {
		t.Errorf("%d entries are left", len(g.of))
	}
}

func TestAUTHIsRefusedAfterTooManyWrongPasswords(t *testing.T) {
	var log syncBuffer
	s := startServer(t, func(o *Options) { o.Password, o.Log = "secret", textLog(&log) })
	c := s.dial(t)
	in := bytes.Repeat([]byte("AUTH wrong\r\n"), 10*guessesAtOnce)
	replies, err := c.Send(in, 10*guessesAtOnce)
	if err != nil {
		t.Fatal(err)
	}
	wrong, limited := strings.Count(string(replies), "-"+errWrongPass), strings.Count(string(replies), "-"+errAuthLimited)
	if wrong < guessesAtOnce || limited == 0 || wrong+limited != 10*guessesAtOnce {
		t.Errorf("%d wrong, %d limited", wrong, limited)
	}
	n := s.Counters()
	if n.AuthFailures != uint64(wrong) || n.AuthLimited != uint64(limited) {
		t.Errorf("counted: %d wrong, %d limited, not %d, %d", n.AuthFailures, n.AuthLimited, wrong, limited)
	}
	if strings.Count(log.String(), "too many wrong passwords") != 1 || strings.Contains(log.String(), "secret") {
		t.Error(log.String())
	}
	// It takes as long as it takes until the bucket has a drop again.
	await(t, "the right password is accepted again", func() bool { return string(s.dial(t).Do("HELLO", "3", "AUTH", "default", "secret"))[0] == '%' })
	if got := string(c.Do("PING")); got != "-NOAUTH Authentication required.\r\n" {
		t.Error(got)
	}
}

func TestSamePassword(t *testing.T) {
	for _, c := range []struct{ given, want string }{{"", "x"}, {"x", "xx"}, {"xx", "x"}, {"a", "b"}, {"x\x00", "x"}} {
		if samePassword([]byte(c.given), c.want) {
			t.Errorf("%q is taken for %q", c.given, c.want)
		}
	}
	for _, p := range []string{"x", strings.Repeat("long", 1000), "\x00\xff"} {
		if !samePassword([]byte(p), p) {
			t.Errorf("%q is not itself", p)
		}
	}
}
