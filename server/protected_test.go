package server

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"brainer/internal/redistest"
)

// elsewhere is an address of this machine that is not loopback: who dials it comes from it.
func elsewhere(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no address but loopback")
	return ""
}

// greeting is all that a server says to who says PING, and then nothing.
func greeting(t *testing.T, addr string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, "PING\r\n")
	_ = conn.(*net.TCPConn).CloseWrite()
	b, _ := io.ReadAll(conn) // a reset ends it too
	return string(b)
}

func TestProtectedModeSpeaksAsRedis(t *testing.T) {
	host := elsewhere(t)
	redis := redistest.Start(t, "--bind", "0.0.0.0")
	s := startServer(t, func(o *Options) { o.Protected = true })
	_, port, err := net.SplitHostPort(redis)
	if err != nil {
		t.Fatal(err)
	}
	redisFrom := net.JoinHostPort(host, port)
	oursFrom := serveAlso(t, s, host, s.Serve)
	want := greeting(t, redisFrom)
	if !strings.HasPrefix(want, "-DENIED ") {
		t.Fatalf("redis-server: %q", want)
	}
	if got := greeting(t, oursFrom); got != want {
		t.Errorf("from elsewhere: %q\nredis-server: %q", got, want)
	}
	if n := s.Counters().RejectedConnections; n != 1 {
		t.Errorf("%d connections counted", n)
	}
	// What opens the door there opens it here.
	for _, step := range []struct{ name, value, want string }{
		{"protected-mode", "no", "+PONG\r\n"},
		{"protected-mode", "yes", want},
		{"requirepass", "secret", "-NOAUTH Authentication required.\r\n"},
	} {
		for local, addr := range map[string]string{redis: redisFrom, s.addr: oursFrom} {
			c := redistest.Dial(t, local)
			if got := string(c.Do("CONFIG", "SET", step.name, step.value)); got != "+OK\r\n" {
				t.Fatal(got)
			}
			if got := greeting(t, addr); got != step.want {
				t.Errorf("%s, %s %s: %q", addr, step.name, step.value, got)
			}
		}
	}
	local := redistest.Dial(t, s.addr)
	if got := string(local.Do("AUTH", "secret")); got != "+OK\r\n" {
		t.Fatal(got)
	}
	for _, args := range [][]string{{"CONFIG", "GET", "protected-mode"}, {"CONFIG", "SET", "protected-mode", "maybe"}} {
		r := redistest.Dial(t, redis)
		_ = r.Do("AUTH", "secret")
		if want, got := string(r.Do(args...)), string(local.Do(args...)); got != want {
			t.Errorf("%q: %q, redis-server %q", args, got, want)
		}
	}
}
