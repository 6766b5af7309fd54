package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"syscall"

	"brainer/server"
)

// doors are the listeners of the front end; either may be missing.
type doors struct {
	plain, encrypted net.Listener
	config           *tls.Config
}

// openDoors takes the addresses; nobody is served yet.
func (o *options) openDoors(log *slog.Logger) (*doors, error) {
	d := &doors{}
	switch {
	case o.tlsListen != "":
		config, err := o.tls.Load(log)
		if err != nil {
			return nil, err
		}
		d.config = config
	case o.tls.CertFile != "" || o.tls.KeyFile != "" || o.tls.CACertFile != "":
		return nil, errors.New("there are TLS files, but no --tls-listen to use them")
	}
	var err error
	if o.listen != "" {
		if d.plain, err = net.Listen("tcp", o.listen); err != nil {
			return nil, listenError("--listen", o.listen, err)
		}
	}
	if o.tlsListen != "" {
		if d.encrypted, err = net.Listen("tcp", o.tlsListen); err != nil {
			d.close()
			return nil, listenError("--tls-listen", o.tlsListen, err)
		}
	}
	return d, nil
}

// open serves until the front end is shut down.
func (d *doors) open(front *server.Server, log *slog.Logger) {
	serve := func(f func() error) {
		go func() {
			if err := f(); err != nil {
				log.Error("listen", "err", err)
			}
		}()
	}
	if d.plain != nil {
		serve(func() error { return front.Serve(d.plain) })
	}
	if d.encrypted != nil {
		serve(func() error { return front.ServeTLS(d.encrypted, d.config) })
	}
}

func (d *doors) close() {
	for _, l := range []net.Listener{d.plain, d.encrypted} {
		if l != nil {
			l.Close()
		}
	}
}

func (d *doors) plainAddr() string { return addrOf(d.plain) }
func (d *doors) tlsAddr() string   { return addrOf(d.encrypted) }

func addrOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// listenError says in one line why the flag's address cannot be had, and what to do if it is taken.
func listenError(flag, addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s %s: another process has this address; end it or choose a free one", flag, addr)
	}
	return fmt.Errorf("%s %s: %w", flag, addr, cause(err))
}

// cause is the last word of a chain of network errors: "permission denied".
func cause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

func splitAddress(addr string) (host string, port int) {
	h, p, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, 0
	}
	port, _ = strconv.Atoi(p)
	return h, port
}

// yesNo is a flag that takes Redis's words for true and false, and Go's.
type yesNo bool

func (y *yesNo) Set(text string) error {
	switch text {
	case "yes":
		*y = true
	case "no":
		*y = false
	default:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("yes or no")
		}
		*y = yesNo(b)
	}
	return nil
}

func (y *yesNo) Type() string { return "yes|no" }

func (y *yesNo) String() string {
	if *y {
		return "yes"
	}
	return "no"
}
