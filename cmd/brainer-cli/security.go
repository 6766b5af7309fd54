package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"brainer/broker/client"
)

// security are the flags of keys (tcp://) and certificates (rediss://); the latter are redis-cli's.
type security struct {
	curveKey, curveServerKey string

	caCert, cert, key, sni string
	insecure               bool
}

func (s *security) flags(f *pflag.FlagSet) {
	f.StringVar(&s.curveKey, "curve-key", "", "`file` of the own key pair, for tcp:// endpoints")
	f.StringVar(&s.curveServerKey, "curve-server-key", "", "`file` of the public key of who listens at tcp://")
	f.StringVar(&s.caCert, "cacert", "", "PEM `file` of the authorities that rediss:// trusts; default: the system's")
	f.StringVar(&s.cert, "cert", "", "PEM `file` of the certificate that rediss:// shows")
	f.StringVar(&s.key, "key", "", "PEM `file` of its key")
	f.StringVar(&s.sni, "sni", "", "the `name` that the certificate of rediss:// must have; default: the endpoint's host")
	f.BoolVar(&s.insecure, "insecure", false, "do not check the certificate of rediss://")
}

func (s *security) options() ([]client.Option, error) {
	config, err := s.tlsConfig()
	if err != nil {
		return nil, err
	}
	return []client.Option{client.WithKeys(s.curveKey, s.curveServerKey), client.WithTLS(config)}, nil
}

func (s *security) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.sni, InsecureSkipVerify: s.insecure}
	if s.caCert != "" {
		pem, err := os.ReadFile(s.caCert)
		if err != nil {
			return nil, fmt.Errorf("--cacert: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--cacert %s: no certificate in it", s.caCert)
		}
	}
	if (s.cert == "") != (s.key == "") {
		return nil, errors.New("--cert and --key go together")
	}
	if s.cert != "" {
		pair, err := tls.LoadX509KeyPair(s.cert, s.key)
		if err != nil {
			return nil, fmt.Errorf("--cert %s, --key %s: %w", s.cert, s.key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
