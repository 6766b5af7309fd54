package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
)

// openTLS makes conn a TLS connection and closes it when that fails.
func (e endpoint) openTLS(ctx context.Context, conn net.Conn, config *tls.Config) (stream, error) {
	c := &tls.Config{}
	if config != nil {
		c = config.Clone()
	}
	if c.ServerName == "" {
		c.ServerName, _, _ = net.SplitHostPort(e.address) // it has been dialled, so it can be split
	}
	if c.MinVersion < tls.VersionTLS12 {
		c.MinVersion = tls.VersionTLS12
	}
	t := tls.Client(conn, c)
	if err := t.HandshakeContext(ctx); err != nil {
		conn.Close()
		if ctx.Err() != nil {
			return nil, unreachable(fmt.Sprintf("no TLS handshake with %s in time", e), ctx.Err())
		}
		return nil, unreachable(fmt.Sprintf("%s: %s", e, handshakeText(err)), err)
	}
	return &socketStream{conn: t}, nil
}

// handshakeText says what an error of a handshake means.
func handshakeText(err error) string {
	var header tls.RecordHeaderError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &header):
		return "no TLS is spoken there: redis:// connects in the clear"
	case errors.As(err, &authority):
		return "its certificate is of no authority that is trusted here: --cacert names one"
	}
	return err.Error()
}

// refusedByTLS says whether err is the server's answer to our certificate, or to there being none. With
// TLS 1.3 it comes after the handshake, instead of the first reply; commands have not been read then.
func refusedByTLS(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
