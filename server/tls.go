package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"brainer/internal/reload"
)

// tlsHandshakeMax is how long a stranger may hold a connection before it is one.
const tlsHandshakeMax = 5 * time.Second

// TLSFiles are Redis's options of the same names.
type TLSFiles struct {
	CertFile, KeyFile string
	CACertFile        string // whose client certificates are accepted
	AuthClients       string // yes, no or optional
}

// Load reads the files. Connections that come after one of them was replaced get what it says then;
// while what is there cannot be used, they get what was there before, and the log says why.
func (f TLSFiles) Load(log *slog.Logger) (*tls.Config, error) {
	if f.CertFile == "" || f.KeyFile == "" {
		return nil, errors.New("--tls-listen needs --tls-cert-file and --tls-key-file")
	}
	files := reload.Watch(f.CertFile, f.KeyFile, f.CACertFile)
	first, err := f.read()
	if err != nil {
		return nil, err
	}
	var current atomic.Pointer[tls.Config]
	current.Store(first)
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			if files.Changed() {
				if next, err := f.read(); err != nil {
					log.Error("the TLS files were replaced by what cannot be used, the former stay", "err", err)
				} else {
					current.Store(next)
					log.Info("TLS files read again", "cert", f.CertFile)
				}
			}
			return current.Load(), nil
		},
	}, nil
}

func (f TLSFiles) read() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(f.CertFile, f.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert-file %s, --tls-key-file %s: %w", f.CertFile, f.KeyFile, err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
	switch f.AuthClients {
	case "yes":
		c.ClientAuth = tls.RequireAndVerifyClientCert
	case "optional":
		c.ClientAuth = tls.VerifyClientCertIfGiven
	case "no":
		return c, nil
	default:
		return nil, fmt.Errorf("--tls-auth-clients %q: yes, no or optional", f.AuthClients)
	}
	if f.CACertFile == "" {
		return nil, fmt.Errorf("--tls-auth-clients %s needs --tls-ca-cert-file; --tls-auth-clients no asks clients for no certificate", f.AuthClients)
	}
	pem, err := os.ReadFile(f.CACertFile)
	if err != nil {
		return nil, fmt.Errorf("--tls-ca-cert-file: %w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--tls-ca-cert-file %s: no certificate in it", f.CACertFile)
	}
	return c, nil
}

// tlsConn is served like any other connection.
type tlsConn struct{ *tls.Conn }

// Close waits for nobody. A client that is still there has been told by CloseWrite.
func (c tlsConn) Close() error { return c.NetConn().Close() }

// handshake makes a TLS connection one. Other connections are.
func (s *Server) handshake(conn net.Conn) error {
	c, ok := conn.(tlsConn)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), tlsHandshakeMax)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		s.stats.tlsFailures.Add(1)
		s.log.Debug("TLS handshake failed", "addr", c.RemoteAddr(), "err", err)
		return fmt.Errorf("TLS handshake: %w", err)
	}
	return nil
}
