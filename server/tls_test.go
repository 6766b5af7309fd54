package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"brainer/internal/certtest"
)

// startTLS serves TLS connections of s too and returns where.
func startTLS(t *testing.T, s *testServer, files TLSFiles) string {
	t.Helper()
	config, err := files.Load(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return serveAlso(t, s, "127.0.0.1", func(ln net.Listener) error { return s.ServeTLS(ln, config) })
}

// serveAlso gives s a further listener on host, and returns its address.
func serveAlso(t *testing.T, s *testServer, host string, serve func(net.Listener) error) string {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := serve(ln); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error("shutdown:", err)
		}
		wg.Wait()
	})
	return ln.Addr().String()
}

// pingTLS sends a PING and returns the reply's line, and the name in the server's certificate.
func pingTLS(t *testing.T, addr string, config *tls.Config) (reply, name string, err error) {
	t.Helper()
	raw, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(patience))
	conn := tls.Client(raw, config)
	if err := conn.Handshake(); err != nil {
		return "", "", err
	}
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return "", "", err
	}
	reply, err = bufio.NewReader(conn).ReadString('\n')
	return reply, conn.ConnectionState().PeerCertificates[0].Subject.CommonName, err
}

func TestTLSAsksForACertificateAsItIsTold(t *testing.T) {
	ours, strange := certtest.New(t), certtest.New(t)
	server, client, stranger := ours.Issue("server"), ours.Issue("client").Load(t), strange.Issue("stranger").Load(t)
	with := func(certs ...tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: ours.Pool(), ServerName: "localhost", Certificates: certs}
	}
	for _, c := range []struct {
		auth   string
		config *tls.Config
		ok     bool
	}{
		{"yes", with(client), true},
		{"yes", with(), false},
		{"yes", with(stranger), false},
		{"optional", with(client), true},
		{"optional", with(), true},
		{"optional", with(stranger), false},
		{"no", with(), true},
		{"no", &tls.Config{RootCAs: strange.Pool(), ServerName: "localhost"}, false},
		{"no", &tls.Config{RootCAs: ours.Pool(), ServerName: "localhost", MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}, false},
		{"no", &tls.Config{RootCAs: ours.Pool(), ServerName: "localhost", MaxVersion: tls.VersionTLS12}, true},
	} {
		s := startServer(t, nil)
		addr := startTLS(t, s, TLSFiles{server.Cert, server.Key, ours.File, c.auth})
		reply, _, err := pingTLS(t, addr, c.config)
		if ok := err == nil && reply == "+PONG\r\n"; ok != c.ok {
			t.Errorf("tls-auth-clients %s: %q %v, want success: %v", c.auth, reply, err, c.ok)
		}
		if n := s.Counters().TLSFailures; c.ok && n != 0 {
			t.Errorf("%d failures counted", n)
		}
	}
}

func TestACertificateThatWasReplacedIsUsedByTheNextConnection(t *testing.T) {
	ca := certtest.New(t)
	files := ca.Issue("first")
	s := startServer(t, nil)
	addr := startTLS(t, s, TLSFiles{CertFile: files.Cert, KeyFile: files.Key, AuthClients: "no"})
	name := func() string {
		reply, name, err := pingTLS(t, addr, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"})
		if err != nil || reply != "+PONG\r\n" {
			t.Fatalf("%q %v", reply, err)
		}
		return name
	}
	if n := name(); n != "first" {
		t.Fatal(n)
	}
	ca.Reissue("second", files)
	await(t, "the second certificate", func() bool { return name() == "second" })
}

func TestBytesThatAreNoHandshakeEndTheConnection(t *testing.T) {
	ca := certtest.New(t)
	files := ca.Issue("server")
	s := startServer(t, nil)
	addr := startTLS(t, s, TLSFiles{CertFile: files.Cert, KeyFile: files.Key, AuthClients: "no"})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, "*1\r\n$4\r\nPING\r\n")
	if b, _ := io.ReadAll(conn); strings.Contains(string(b), "PONG") {
		t.Errorf("answered in the clear: %q", b)
	}
	await(t, "counted", func() bool { return s.Counters().TLSFailures == 1 && s.Connected() == 0 })
}

func TestATLSConnectionIsShutDownLikeAnyOther(t *testing.T) {
	ca := certtest.New(t)
	files := ca.Issue("server")
	s := startServer(t, nil)
	addr := startTLS(t, s, TLSFiles{CertFile: files.Cert, KeyFile: files.Key, AuthClients: "no"})
	conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: ca.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, "PING\r\n")
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); line != "+PONG\r\n" {
		t.Fatalf("%q %v", line, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if _, err := r.ReadByte(); err != io.EOF { // which TLS says only of an end that was announced
		t.Errorf("the end: %v", err)
	}
}

func TestMistakesInTheTLSFilesAreNamed(t *testing.T) {
	ca := certtest.New(t)
	a, b := ca.Issue("a"), ca.Issue("b")
	for want, files := range map[string]TLSFiles{
		"--tls-listen needs --tls-cert-file":            {},
		"private key does not match":                    {a.Cert, b.Key, "", "no"},
		"no such file":                                  {"/nowhere", a.Key, "", "no"},
		"--tls-auth-clients yes needs --tls-ca-cert-fi": {a.Cert, a.Key, "", "yes"},
		"no certificate in it":                          {a.Cert, a.Key, a.Key, "yes"},
		`--tls-auth-clients "maybe"`:                    {a.Cert, a.Key, ca.File, "maybe"},
	} {
		if _, err := files.Load(slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v, want %q", files, err, want)
		}
	}
}

func TestAHandshakeThatDoesNotComeEndsTheConnection(t *testing.T) {
	t.Parallel() // it takes as long as a handshake may
	ca := certtest.New(t)
	files := ca.Issue("server")
	s := startServer(t, nil)
	addr := startTLS(t, s, TLSFiles{CertFile: files.Cert, KeyFile: files.Key, AuthClients: "no"})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(4 * tlsHandshakeMax))
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it is kept: %v", err)
	}
}
