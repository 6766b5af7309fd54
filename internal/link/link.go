// Package link moves opaque messages between a broker and its peers. It says what a transport must
// do and nothing of what is in a message; link/zmq and link/zmtp speak ZeroMQ, link/mem serves tests.
// A transport may lose, it never reorders or repeats within one connection.
package link

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrAgain: nothing to receive now, or the peer's queue is full.
	ErrAgain = errors.New("link: try again")
	// ErrUnreachable: the peer is not connected (any more). Fast evidence of a death, never proof of life.
	ErrUnreachable = errors.New("link: peer unreachable")
	// ErrClosed: this end was closed.
	ErrClosed = errors.New("link: closed")
)

// MessageBytesMax is the largest message of a transport that was not told another.
const MessageBytesMax = 64 << 20

// Waiter is how an owner may wait that has nothing else to wait for.
type Waiter interface {
	// Serve calls step at once, and again whenever Recv may have something after it said ErrAgain,
	// or after Kick; it returns when step says that it is done. The last call that step makes
	// before it returns is a Recv that says ErrAgain. It costs less than Ready: the owner itself is
	// woken. One of the two is used. Descriptors beside it wake the owner too, when there is something
	// to read on them; step leaves nothing to read.
	Serve(step func() (done bool), beside ...int) error
	// NextWait is about the wait that follows when step returns, and no other: with d > 0 step is called again after
	// that time at the latest; with d < 0 nothing is expected soon.
	// With alone, which is a hint, descriptors beside do not end it before.
	NextWait(d time.Duration, alone bool)
	// Kick has Serve call step; any goroutine may.
	Kick()
}

// Router is the bound end: many peers, each named by its routing id.
// One goroutine owns it and makes all calls, Close's too.
type Router interface {
	// Recv returns the next message without waiting, or ErrAgain. Both slices are the caller's.
	Recv() (peer string, body []byte, err error)
	// RecvView is Recv whose body is valid until the next call only: large messages arrive with less ado.
	RecvView() (peer string, body []byte, err error)
	// Send queues body for peer without waiting; nil says nothing about arrival.
	// It does not keep body.
	Send(peer string, body []byte) error
	// SendJoined is Send of one message that is given in two parts.
	SendJoined(peer string, head, body []byte) error
	// SendLasting is SendJoined of a body that is not changed as long as the peer wants it: it may be kept until it is
	// written. When the connection is of no use any more, it does not matter what is written of it.
	SendLasting(peer string, head, body []byte) error
	// Ready is signalled (capacity 1) when Recv may have something. The owner takes all there is,
	// until Recv says ErrAgain, and calls Ready anew for each wait: the call looks whether a Send
	// in between has taken a wake-up in. A signal may come for nothing.
	Ready() <-chan struct{}
	Waiter
	// Endpoint is where it is really bound (the port chosen for tcp://127.0.0.1:*).
	Endpoint() string
	Close() error
}

// Dealer is the dialling end of one session: it never reconnects; after a failure dial a new one.
// One goroutine owns it and makes all calls.
type Dealer interface {
	Waiter
	Recv() (body []byte, err error)
	// RecvView is Recv whose body is valid until the next call only.
	RecvView() (body []byte, err error)
	// Send says ErrAgain before the connection stands, and for ever after it broke.
	Send(body []byte) error
	// SendJoined is Send of one message that is given in two parts.
	SendJoined(head, body []byte) error
	// Ready as Router's; it is signalled also when the connection comes or goes.
	Ready() <-chan struct{}
	// Connected says whether the connection stands. Who waits for an answer asks before each wait:
	// a Recv that said ErrAgain may have taken the news in.
	Connected() bool
	Close() error
}

// Refuser is a Dealer that may learn why its connection will not come about.
type Refuser interface {
	// Refused is nil as long as it may still come about.
	Refused() error
}

// Placer is a Router that can leave a long message's bytes where they are to stay, without a copy.
type Placer interface {
	// SetPlace has f asked where what follows the first headBytes bytes of a peer's message of n is to lie, of which so many
	// have arrived and much of the rest has not. It returns memory for n-headBytes bytes, which is the link's until the message
	// is received or the connection is gone, or nil. head is valid during the call.
	SetPlace(headBytes int, f func(peer string, head []byte, n int) []byte)
	// Placed returns what belongs behind the message that RecvView returned last, if it was put where f said; nil: nothing.
	Placed() []byte
}

// CheckRoutingID says what is wrong with one, if anything.
func CheckRoutingID(id string) error {
	if id == "" || len(id) > 255 || id[0] == 0 {
		return fmt.Errorf("routing id %q: 1 to 255 bytes, the first not zero", id)
	}
	return nil
}

// Transport makes links. Options that hold for every link (CURVE keys, limits) belong to it.
type Transport interface {
	Bind(endpoint string) (Router, error)
	// Dial connects under the given routing id (at most 255 bytes, not starting with a zero byte).
	Dial(endpoint, routingID string) (Dealer, error)
	Close() error
}
