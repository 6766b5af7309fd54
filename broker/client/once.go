package client

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"brainer/resp"
)

const (
	retryFirst = 2 * time.Millisecond
	retryMost  = 100 * time.Millisecond
)

// WithRetries has Set and Remove go as DoOnce does.
func WithRetries() Option { return func(c *Client) { c.retries = true } }

// DoOnce sends a command that changes data, and sends it again until its outcome is known or the call's
// time is over: through broken connections, nodes and brokers that die. It takes effect at most once,
// because it carries an id by which the nodes know it (BRAINER WITH ID). The time must be shorter than
// the broker's --id-keep. Only an error that Uncertain knows leaves the outcome open; a reply larger
// than 1 KiB is not kept, so that a repetition is answered with an error that says that it was applied.
func (c *Client) DoOnce(args ...string) (resp.Reply, error) {
	return c.DoOnceContext(context.Background(), args...)
}

// DoOnceContext is DoOnce within a context.
func (c *Client) DoOnceContext(ctx context.Context, args ...string) (resp.Reply, error) {
	release, ctx, err := c.beginCommand(ctx, args)
	if err != nil {
		return resp.Reply{}, err
	}
	defer release()
	request := command(c.withID(args)...)
	var open error // the first failure that left the outcome open
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		reply, err := c.call(ctx, request)
		if err == nil {
			err = reply.Err()
		}
		if err == nil {
			return reply, nil
		}
		if open == nil && Uncertain(err) {
			open = err
		}
		switch {
		case passes(err):
		case open == nil, !turnedAway(err): // it is the command's own
			return reply, err
		default:
			return resp.Reply{}, open // we cannot ask any more
		}
		select {
		case <-time.After(wait):
			continue
		case <-ctx.Done():
		}
		if open != nil {
			return resp.Reply{}, open
		}
		return resp.Reply{}, err
	}
}

// withID gives a command the next number; those of a client are in the order of its calls, which take turns.
func (c *Client) withID(args []string) []string {
	if c.id == "" {
		var b [16]byte
		_, _ = rand.Read(b[:]) // it never fails
		c.id = hex.EncodeToString(b[:])
	}
	c.number++
	if len(args) < 2 || !strings.EqualFold(args[0], "BRAINER") || !strings.EqualFold(args[1], "WITH") {
		args = append([]string{"BRAINER", "WITH"}, args...)
	}
	return slices.Insert(slices.Clone(args), 2, "ID", c.id, strconv.FormatUint(c.number, 10))
}

// passes says whether what err tells of may be over when the command is sent again.
func passes(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind == ErrLost || e.Kind == ErrUnreachable
	}
	var reply resp.ReplyError
	if !errors.As(err, &reply) {
		return false
	}
	switch reply.Code() {
	case "UNCERTAIN", "LOADING", "CLUSTERDOWN", "NOREPLICAS", "TRYAGAIN":
		return true
	}
	return strings.HasPrefix(string(reply), "ERR max number of clients")
}

// turnedAway says whether err is about us, not the answer to a command that was executed.
func turnedAway(err error) bool {
	var reply resp.ReplyError
	if !errors.As(err, &reply) {
		return true
	}
	switch reply.Code() {
	case "NOAUTH", "WRONGPASS", "NOPERM", "DENIED":
		return true
	}
	return strings.HasPrefix(string(reply), "ERR AUTH") || strings.HasPrefix(string(reply), "ERR too many wrong passwords")
}

// write sends a command that changes data.
func (c *Client) write(ctx context.Context, args ...string) (resp.Reply, error) {
	if c.retries {
		return c.DoOnceContext(ctx, args...)
	}
	return c.DoContext(ctx, args...)
}
