package client

import (
	"context"
	"errors"
	"fmt"

	"brainer/resp"
)

var (
	// ErrUnreachable: no connection came about; nothing was sent.
	ErrUnreachable = errors.New("broker unreachable")
	// ErrTimeout: no reply in time.
	ErrTimeout = errors.New("timeout")
	// ErrLost: the connection broke.
	ErrLost = errors.New("connection lost")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("the client is closed")
)

// errNotSent is a stream's: the connection is gone and took nothing of the request with it.
var errNotSent = errors.New("not sent")

// Error is a failure of the connection, not an answer of the broker. It unwraps to its Kind, and to
// the context's error.
type Error struct {
	Kind      error // ErrUnreachable, ErrTimeout, ErrLost or context.Canceled
	Uncertain bool  // the command had been sent
	text      string
	cause     error
}

func (e *Error) Error() string {
	if e.Uncertain {
		return e.text + "; the command may or may not have been applied"
	}
	return e.text
}

func (e *Error) Unwrap() []error { return []error{e.Kind, e.cause} }

// Uncertain says whether, for all that is known after err, the command may or may not have been
// applied. After any other error it was not, or the broker said what became of it.
func Uncertain(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Uncertain
	}
	var reply resp.ReplyError
	return errors.As(err, &reply) && reply.Code() == "UNCERTAIN"
}

// failed says what err of a stream, or of ctx, means for the caller.
func (c *Client) failed(ctx context.Context, err error, sent bool) error {
	if err == nil {
		return nil
	}
	e := &Error{Uncertain: sent, cause: err}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		e.Kind, e.text = context.Canceled, "canceled"
	case ctx.Err() != nil:
		e.Kind, e.cause = ErrTimeout, ctx.Err()
		e.text = fmt.Sprintf("no reply from %s in time", c.endpoint)
	case refusedByTLS(err):
		e.Kind, e.Uncertain = ErrUnreachable, false
		e.text = fmt.Sprintf("%s refuses the connection: %v; --cert and --key name a certificate of its authority", c.endpoint, err)
	case errors.Is(err, resp.ErrMalformed):
		e.Kind, e.text = ErrLost, fmt.Sprintf("%s answers with something else than the Redis protocol", c.endpoint)
	default:
		e.Kind, e.text = ErrLost, fmt.Sprintf("connection to %s lost", c.endpoint)
	}
	return e
}

// unreachable is the error of opening a connection.
func unreachable(text string, cause error) error {
	return &Error{Kind: ErrUnreachable, text: text, cause: cause}
}
