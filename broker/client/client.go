// Package client is the synchronous client of a Brainer broker over ZeroMQ (ipc://, tcp://) or plain
// Redis protocol (redis://, with TLS rediss://): Connect, Set, Get, Remove, Do, Close. Either way the bytes are those of
// Redis, so every command works and AUTH, SELECT and HELLO hold for the connection.
//
// It never repeats a command that may have been applied; Uncertain tells those failures apart. DoOnce, and
// with WithRetries Set and Remove, repeat writes with an id, under which they are applied once.
// Retrying what else there is, pooling and pipelines are left to its users and to the Redis libraries. Unlike the rest
// of the broker's packages it needs libzmq, so that Connect("ipc:///tmp/broker.sock") just works.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"time"

	"brainer/internal/link"
	"brainer/resp"
)

const (
	// ConnectTimeoutDefault bounds Connect, and reconnecting within a call.
	ConnectTimeoutDefault = 2 * time.Second
	// TimeoutDefault bounds a call. It is longer than the broker itself takes to say -UNCERTAIN.
	TimeoutDefault = 10 * time.Second

	quitMax = 250 * time.Millisecond

	longReply = 64 << 10
)

// Client is one connection. It may be used from several goroutines, which take turns. When a call
// finds the connection broken before it has sent anything, or after a call has failed, it connects
// anew; what was set by WithPassword and WithDB is restored then, what commands had set is not.
type Client struct {
	endpoint  endpoint
	transport link.Transport // nil: own per connection

	connectTimeout, timeout time.Duration
	password                string
	db                      int
	keyFile, serverKeyFile  string
	tls                     *tls.Config
	retries                 bool

	turn   chan struct{} // holds a token while a call is under way; what follows belongs to that call
	stream stream        // nil: not connected
	buf    []byte        // received and not taken yet
	closed bool
	id     string // of DoOnce; drawn when it is first needed
	number uint64 // of the last DoOnce
}

// stream is a connection that moves the bytes of commands and replies.
type stream interface {
	// send returns errNotSent when nothing of b can have arrived.
	send(ctx context.Context, b []byte) error
	// recv returns the next bytes; none when a broker asks whether we are there.
	recv(ctx context.Context) ([]byte, error)
	close()
}

// Option changes what Connect does.
type Option func(*Client)

// WithTimeout bounds each call; 0 means that only its context does.
func WithTimeout(d time.Duration) Option { return func(c *Client) { c.timeout = d } }

// WithConnectTimeout bounds connecting.
func WithConnectTimeout(d time.Duration) Option { return func(c *Client) { c.connectTimeout = d } }

// WithPassword is what the broker's --requirepass asks for.
func WithPassword(password string) Option { return func(c *Client) { c.password = password } }

// WithDB selects a database other than 0.
func WithDB(db int) Option { return func(c *Client) { c.db = db } }

// WithKeys secures tcp:// endpoints: keyFile has our own pair, which must be on the broker's list,
// serverKeyFile the public key of whom we dial (brainer-cli keygen makes such files).
func WithKeys(keyFile, serverKeyFile string) Option {
	return func(c *Client) { c.keyFile, c.serverKeyFile = keyFile, serverKeyFile }
}

// WithTLS says whom rediss:// endpoints trust, and which certificate they show. Without it the
// system's authorities are trusted, and none is shown.
func WithTLS(config *tls.Config) Option { return func(c *Client) { c.tls = config.Clone() } }

// WithTransport uses links of t, which stays open: clients that share one share its two threads, and
// inproc endpoints are found only on the broker's own.
func WithTransport(t link.Transport) Option { return func(c *Client) { c.transport = t } }

// Endpoint is where it connects to, without a password.
func (c *Client) Endpoint() string { return c.endpoint.String() }

// Connect connects to a broker, or to a node's own endpoint (which answers reads of its copy).
// Endpoints are ipc://PATH, tcp://HOST:PORT and redis://[[USER]:PASSWORD@]HOST[:PORT][/DB] or the same
// with rediss://.
func Connect(endpoint string, options ...Option) (*Client, error) {
	return ConnectContext(context.Background(), endpoint, options...)
}

// ConnectContext is Connect within a context.
func ConnectContext(ctx context.Context, endpoint string, options ...Option) (*Client, error) {
	e, err := parseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	c := &Client{
		endpoint:       e,
		connectTimeout: ConnectTimeoutDefault,
		timeout:        TimeoutDefault,
		password:       e.password,
		db:             e.db,
		turn:           make(chan struct{}, 1),
	}
	for _, o := range options {
		o(c)
	}
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// SetOption is an option of one Set.
type SetOption func(*setOptions)

type setOptions struct {
	anyNode bool
	expire  time.Duration
}

// WaitAll says whether Set returns when every in-sync node has applied the write (true, the default)
// or already when the key's primary has.
func WaitAll(all bool) SetOption { return func(o *setOptions) { o.anyNode = !all } }

// Expire removes the key after d.
func Expire(d time.Duration) SetOption { return func(o *setOptions) { o.expire = d } }

// Set stores value under key (https://redis.io/commands/set).
func (c *Client) Set(key string, value []byte, options ...SetOption) error {
	return c.SetContext(context.Background(), key, value, options...)
}

// SetContext is Set within a context.
func (c *Client) SetContext(ctx context.Context, key string, value []byte, options ...SetOption) error {
	args, err := setCommand(key, value, options)
	if err != nil {
		return err
	}
	_, err = c.write(ctx, args...)
	return err
}

func setCommand(key string, value []byte, options []SetOption) ([]string, error) {
	var o setOptions
	for _, option := range options {
		option(&o)
	}
	ack := "all"
	if o.anyNode {
		ack = "primary"
	}
	args := []string{"BRAINER", "WITH", "ACK", ack, "SET", key, string(value)}
	switch {
	case o.expire < 0:
		return nil, fmt.Errorf("set %q: an expiry of %v is in the past", key, o.expire)
	case o.expire == 0:
	case o.expire%time.Second == 0:
		args = append(args, "EX", strconv.FormatInt(int64(o.expire/time.Second), 10))
	default:
		ms := (o.expire + time.Millisecond - 1) / time.Millisecond
		args = append(args, "PX", strconv.FormatInt(int64(ms), 10))
	}
	return args, nil
}

// Get returns the value of key, and whether there is one (https://redis.io/commands/get).
func (c *Client) Get(key string) (value []byte, found bool, err error) {
	return c.GetContext(context.Background(), key)
}

// GetContext is Get within a context.
func (c *Client) GetContext(ctx context.Context, key string) (value []byte, found bool, err error) {
	reply, err := c.DoContext(ctx, "GET", key)
	if err != nil || reply.IsNull() {
		return nil, false, err
	}
	return reply.Str, true, nil
}

// Remove deletes key and says whether it was there (https://redis.io/commands/del).
func (c *Client) Remove(key string) (existed bool, err error) {
	return c.RemoveContext(context.Background(), key)
}

// RemoveContext is Remove within a context.
func (c *Client) RemoveContext(ctx context.Context, key string) (existed bool, err error) {
	reply, err := c.write(ctx, "DEL", key)
	return reply.Int == 1, err
}

// Do sends one command and returns its reply; an error reply comes as a resp.ReplyError. The reply's
// bytes are the caller's.
func (c *Client) Do(args ...string) (resp.Reply, error) {
	return c.DoContext(context.Background(), args...)
}

// DoContext is Do within a context.
func (c *Client) DoContext(ctx context.Context, args ...string) (resp.Reply, error) {
	release, ctx, err := c.beginCommand(ctx, args)
	if err != nil {
		return resp.Reply{}, err
	}
	defer release()
	reply, err := c.call(ctx, command(args...))
	if err != nil {
		return resp.Reply{}, err
	}
	return reply, reply.Err()
}

// beginCommand is begin for a command of the caller's.
func (c *Client) beginCommand(ctx context.Context, args []string) (release func(), within context.Context, err error) {
	if len(args) == 0 {
		return nil, nil, errors.New("a command has at least a name")
	}
	return c.begin(ctx)
}

// Receive waits for what the broker sends unasked, after SUBSCRIBE and its like. Only ctx bounds it.
func (c *Client) Receive(ctx context.Context) (resp.Reply, error) {
	if err := c.take(ctx); err != nil {
		return resp.Reply{}, err
	}
	defer func() { <-c.turn }()
	if c.stream == nil {
		return resp.Reply{}, &Error{Kind: ErrLost, text: "not connected any more: subscribe again"}
	}
	reply, err := c.readReply(ctx)
	if err != nil {
		c.disconnect()
		return resp.Reply{}, c.failed(ctx, err, false)
	}
	return reply, reply.Err()
}

// Close says QUIT and ends the connection. A call under way is finished first.
func (c *Client) Close() error {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	c.closed = true
	if c.stream == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), quitMax)
	defer cancel()
	if c.stream.send(ctx, command("QUIT")) == nil {
		c.readReply(ctx) // a link drops what is still queued when it is closed
	}
	c.disconnect()
	return nil
}

// begin takes the turn and applies the timeout.
func (c *Client) begin(ctx context.Context) (release func(), bounded context.Context, err error) {
	cancel := func() {}
	if c.timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
	}
	if err := c.take(ctx); err != nil {
		cancel()
		return nil, nil, err
	}
	return func() { <-c.turn; cancel() }, ctx, nil
}

func (c *Client) take(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return c.failed(ctx, ctx.Err(), false)
	}
	if c.closed {
		<-c.turn
		return ErrClosed
	}
	return nil
}

// call sends request and reads its reply. After a failure the connection is of no use: a late reply
// would be taken for the next command's.
func (c *Client) call(ctx context.Context, request []byte) (resp.Reply, error) {
	if err := c.sendConnected(ctx, request); err != nil {
		c.disconnect()
		return resp.Reply{}, err
	}
	reply, err := c.readReply(ctx)
	if err != nil {
		c.disconnect()
		return resp.Reply{}, c.failed(ctx, err, true)
	}
	return reply, nil
}

func (c *Client) sendConnected(ctx context.Context, request []byte) error {
	if c.stream != nil {
		err := c.stream.send(ctx, request)
		if err != errNotSent {
			return c.failed(ctx, err, true)
		}
		c.disconnect()
	}
	if err := c.connect(ctx); err != nil {
		return err
	}
	if err := c.stream.send(ctx, request); err != nil {
		return c.failed(ctx, err, err != errNotSent)
	}
	return nil
}

// connect opens the stream and restores what the options ask for.
func (c *Client) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.connectTimeout)
	defer cancel()
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	c.stream = s
	switch {
	case c.password != "" && c.endpoint.user != "":
		err = c.prepare(ctx, "AUTH", c.endpoint.user, c.password)
	case c.password != "":
		err = c.prepare(ctx, "AUTH", c.password)
	}
	if err == nil && c.db != 0 {
		err = c.prepare(ctx, "SELECT", strconv.Itoa(c.db))
	}
	if err != nil {
		c.disconnect()
	}
	return err
}

func (c *Client) prepare(ctx context.Context, args ...string) error {
	if err := c.stream.send(ctx, command(args...)); err != nil {
		return c.failed(ctx, err, false)
	}
	reply, err := c.readReply(ctx)
	if err != nil {
		return c.failed(ctx, err, false)
	}
	return reply.Err()
}

func (c *Client) disconnect() {
	if c.stream != nil {
		c.stream.close()
	}
	c.stream, c.buf = nil, nil
}

// readReply returns the next reply, whose memory it gives away.
func (c *Client) readReply(ctx context.Context) (resp.Reply, error) {
	var whole resp.Slicer
	for {
		n, err := whole.Next(c.buf)
		if err == nil {
			reply, _, err := resp.ParseReply(c.buf[:n:n])
			c.buf = c.buf[n:]
			if n > longReply || len(c.buf) == 0 { // not to be kept by what follows it
				c.buf = append([]byte(nil), c.buf...)
			}
			return reply, err
		}
		if err != resp.ErrIncomplete {
			return resp.Reply{}, err
		}
		more, err := c.stream.recv(ctx)
		if err != nil {
			return resp.Reply{}, err
		}
		c.buf = append(c.buf, more...)
	}
}

func command(args ...string) []byte {
	raw := make([][]byte, len(args))
	for i, a := range args {
		raw[i] = []byte(a)
	}
	return resp.AppendCommand(nil, raw...)
}
