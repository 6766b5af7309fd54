package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"

	"brainer/internal/curve"
)

// endpoint is where to connect. Its String never shows a password.
type endpoint struct {
	scheme   string // ipc, tcp, inproc, redis or rediss
	address  string // a path; HOST:PORT; a name
	user     string
	password string
	db       int
}

func (e endpoint) String() string { return e.scheme + "://" + e.address }

func (e endpoint) isRedis() bool { return e.scheme == "redis" || e.scheme == "rediss" }

func parseEndpoint(s string) (endpoint, error) {
	scheme, address, ok := strings.Cut(s, "://")
	if !ok || address == "" {
		return endpoint{}, fmt.Errorf("endpoint %q: it looks like ipc:///tmp/broker.sock, tcp://127.0.0.1:5555 or redis://127.0.0.1:6379", s)
	}
	switch scheme {
	case "ipc", "inproc":
		return endpoint{scheme: scheme, address: address}, nil
	case "tcp":
		if _, _, err := net.SplitHostPort(address); err != nil {
			return endpoint{}, fmt.Errorf("endpoint %q: it looks like tcp://127.0.0.1:5555", s)
		}
		return endpoint{scheme: scheme, address: address}, nil
	case "redis", "rediss":
		return parseRedisURL(s)
	}
	return endpoint{}, fmt.Errorf("endpoint %q: scheme %q is none of ipc, tcp, redis, rediss", s, scheme)
}

func parseRedisURL(s string) (endpoint, error) {
	u, err := url.Parse(s)
	if err != nil {
		return endpoint{}, errors.New("a redis endpoint looks like redis://:PASSWORD@HOST:PORT/DB") // err may show the password
	}
	e := endpoint{scheme: u.Scheme, address: net.JoinHostPort(u.Hostname(), u.Port())}
	if u.Port() == "" {
		e.address = net.JoinHostPort(u.Hostname(), "6379")
	}
	e.user = u.User.Username()
	e.password, _ = u.User.Password()
	if db := strings.Trim(u.Path, "/"); db != "" {
		if e.db, err = strconv.Atoi(db); err != nil {
			return endpoint{}, fmt.Errorf("endpoint %s: database %q is not a number", e, db)
		}
	}
	return e, nil
}

// open connects; with a transport of the caller's it trusts its endpoints to be what they are.
func (c *Client) open(ctx context.Context) (stream, error) {
	e := c.endpoint
	if c.transport != nil && !e.isRedis() {
		return openLink(ctx, e, c.transport, false)
	}
	if e.scheme == "inproc" {
		return nil, fmt.Errorf("endpoint %s: inproc reaches only within one process, and one transport", e)
	}
	conn, err := e.dialSocket(ctx)
	if err != nil {
		return nil, err
	}
	switch e.scheme {
	case "redis":
		return &socketStream{conn: conn}, nil
	case "rediss":
		return e.openTLS(ctx, conn, c.tls)
	}
	// ZeroMQ connects in the background and keeps its reasons to itself; the socket told them.
	conn.Close()
	keys, err := c.keys()
	if err != nil {
		return nil, err
	}
	return openOwnLink(ctx, e, keys)
}

// keys reads the key files, if there are any; they are of use on tcp:// alone.
func (c *Client) keys() (*curve.Config, error) {
	if c.endpoint.scheme != "tcp" || c.keyFile == "" && c.serverKeyFile == "" {
		return nil, nil
	}
	if c.keyFile == "" || c.serverKeyFile == "" {
		return nil, fmt.Errorf("endpoint %s: --curve-key and --curve-server-key go together: our own pair, and the public key of who listens there", c.endpoint)
	}
	var k curve.Config
	var err error
	if k.Own, err = curve.LoadPair(c.keyFile); err != nil {
		return nil, fmt.Errorf("--curve-key %w", err)
	}
	if k.Server, err = curve.LoadPublic(c.serverKeyFile); err != nil {
		return nil, fmt.Errorf("--curve-server-key %w", err)
	}
	return &k, nil
}

// nobody says that nobody is there, and who should be.
func (e endpoint) nobody() string {
	switch e.scheme {
	case "redis":
		return fmt.Sprintf("nothing listens on %s: no run_broker with that --listen address, nor a Redis", e)
	case "rediss":
		return fmt.Sprintf("nothing listens on %s: no run_broker with that --tls-listen address, nor a Redis", e)
	}
	return fmt.Sprintf("no broker listens on %s: start run_broker, or name its --broker endpoint", e)
}

func (e endpoint) dialSocket(ctx context.Context) (net.Conn, error) {
	network := "tcp"
	if e.scheme == "ipc" {
		network = "unix"
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, e.address)
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return nil, unreachable(e.nobody(), err)
	case errors.Is(err, fs.ErrPermission):
		return nil, unreachable(fmt.Sprintf("permission denied on %s: run as the broker's user", e), err)
	case ctx.Err() != nil:
		return nil, unreachable(fmt.Sprintf("cannot connect to %s in time", e), ctx.Err())
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err // without the address, which e names
	}
	return nil, unreachable(fmt.Sprintf("cannot connect to %s: %v", e, err), err)
}
