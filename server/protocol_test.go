package server

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"brainer/internal/redistest"
)

// talk sends raw, closes that direction, and returns all that comes back until the server closes.
func talk(t testing.TB, addr string, raw []byte) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	go func() {
		_, _ = conn.Write(raw) // the server may close before it has read all
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	var reply bytes.Buffer
	if _, err = io.Copy(&reply, conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("%.60q: %v", raw, err)
	}
	return reply.String()
}

const pingCmd = "*1\r\n$4\r\nPING\r\n"

var rawInputs = []string{
	pingCmd,
	pingCmd + pingCmd + "PING\r\nping x\n",
	"*0\r\n*-1\r\n*-100\r\n\r\n\n" + pingCmd,
	"PING 'a b'\r\nPING \"\\x41\\n\"\r\n",
	"*1\rX$4\rXPINGXX" + pingCmd,
	"*2\r\n$4\r\nPING\r\n$0\r\n\r\n",
	pingCmd + "*1\r\n$9223372036854775807\r\nxxxxxxx",
	pingCmd + "*9000000000000000000\r\n" + pingCmd,
	pingCmd + "*9223372036854775808\r\n",
	pingCmd + "*a\r\n",
	pingCmd + "*\r\n",
	pingCmd + "*01\r\n",
	pingCmd + "*+1\r\n",
	pingCmd + "*-0\r\n",
	pingCmd + "* 1\r\n",
	pingCmd + "*2147483648\r\n",
	pingCmd + "*1\r\n$-1\r\n",
	pingCmd + "*1\r\n$\r\n",
	pingCmd + "*1\r\n$01\r\n",
	pingCmd + "*1\r\n$536870913\r\n",
	pingCmd + "*1\r\n$a\r\n",
	pingCmd + "*1\r\nfoo\r\n",
	pingCmd + "*1\r\n\r\n\r\n",
	pingCmd + "*1\r\n\n\r\n",
	pingCmd + "*2\r\n$1\r\na\r\n:1\r\n",
	pingCmd + "PING 'b\r\n",
	pingCmd + "PING \"b\"c\r\n",
	pingCmd + "PING \"b\\\"\r\n",
	pingCmd + "PING 'b'c'\r\n",
	strings.Repeat("a", 70000),
	"*" + strings.Repeat("1", 70000),
	"*1\r\n$" + strings.Repeat("1", 70000),
	"POST / HTTP/1.1\r\nHost: x\r\n\r\n" + pingCmd,
	pingCmd + "QUIT\r\n" + pingCmd,
	pingCmd + "*1\r\n$4\r\nPI",
	pingCmd + "*1\r\n$4\r",
	pingCmd + "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nab",
	"*1\r\n$0\r\n\r\n" + pingCmd,
	"\"\"\r\n",
	"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$0\r\n\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n",
}

func TestRawInputIsAnsweredAsByRedis(t *testing.T) {
	real, ours := redistest.Start(t), startServer(t, nil)
	for _, in := range rawInputs {
		if want, got := talk(t, real, []byte(in)), talk(t, ours.addr, []byte(in)); want != got {
			t.Errorf("%.80q\n redis %q\n ours  %q", in, want, got)
		}
	}
}

func TestAStrangerIsHeldToRedisLimits(t *testing.T) {
	real := redistest.Start(t)
	redistest.Dial(t, real).Do("CONFIG", "SET", "requirepass", "secret")
	ours := startServer(t, func(o *Options) { o.Password = "secret" })
	for _, in := range []string{
		pingCmd + "*11\r\n",
		pingCmd + "*1\r\n$16385\r\n",
		"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*11\r\n" + strings.Repeat("$4\r\nECHO\r\n", 11),
		"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*2\r\n$4\r\nECHO\r\n$20000\r\n" + strings.Repeat("x", 20000) + "\r\n",
		"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\nRESET\r\n*11\r\n",
		"*10\r\n" + strings.Repeat("$4\r\nECHO\r\n", 10),
	} {
		if want, got := talk(t, real, []byte(in)), talk(t, ours.addr, []byte(in)); want != got {
			t.Errorf("%.80q\n redis %q\n ours  %q", in, want, got)
		}
	}
}

// Redis drops the replies that are pending then; we send them.
func TestAnHTTPRequestEndsTheConnection(t *testing.T) {
	s := startServer(t, nil)
	if got := talk(t, s.addr, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"+pingCmd)); got != "-ERR wrong number of arguments for 'get' command\r\n" {
		t.Errorf("%q", got)
	}
}

// The packets that end, pin or swell a server on redcon's reader (one of them needs no password).
func TestTheKillingPacketsCostNothing(t *testing.T) {
	s := startServer(t, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	for range 20 {
		for _, in := range []string{
			"*1\r\n$9223372036854775807\r\nxxxxxxx",
			"*9000000000000000000\r\n",
			"*1048576\r\n$536870912\r\n",
			"*1\r\n$536870912\r\nabc",
			"*1\r\n$1073741824\r\n",
		} {
			talk(t, s.addr, []byte(in))
		}
	}
	runtime.ReadMemStats(&after)
	if took := time.Since(began); took > patience {
		t.Errorf("took %v", took)
	}
	if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 64<<20 {
		t.Errorf("%d bytes allocated", grown)
	}
	if got := talk(t, s.addr, []byte(pingCmd)); got != "+PONG\r\n" {
		t.Errorf("afterwards: %q", got)
	}
}

func TestOneByteAtATime(t *testing.T) {
	s := startServer(t, nil)
	conn := s.raw(t)
	_ = conn.(*net.TCPConn).SetNoDelay(true)
	in := "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhello\r\nPING 'a b'\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
	for i := range len(in) {
		if _, err := conn.Write([]byte{in[i]}); err != nil {
			t.Fatal(err)
		}
	}
	want := "+OK\r\n$3\r\na b\r\n$5\r\nhello\r\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestWhoStopsWithinACommandIsClosed(t *testing.T) {
	s := startServer(t, func(o *Options) { o.PartialTimeout = 50 * time.Millisecond })
	idle, half := s.raw(t), s.raw(t)
	if _, err := half.Write([]byte(pingCmd + "*2\r\n$3\r\nGET\r\n$1\r\n")); err != nil {
		t.Fatal(err)
	}
	reply, err := io.ReadAll(half)
	if err != nil || string(reply) != "+PONG\r\n" {
		t.Fatalf("%q, %v", reply, err)
	}
	// One that is silent between commands stays.
	if _, err := idle.Write([]byte(pingCmd)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(idle, make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
}

func TestAnIdleClientIsClosedAfterTheTimeout(t *testing.T) {
	s := startServer(t, func(o *Options) { o.IdleTimeout = time.Second })
	conn := s.raw(t)
	if _, err := io.ReadAll(conn); err != nil {
		t.Fatal(err)
	}
}
