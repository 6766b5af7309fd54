package curve

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Reason is why a peer, or a message of it, was refused.
type Reason int

const (
	UnknownKey  Reason = iota // its key is not on the list
	NoHandshake               // no CURVE, or a client that takes us for another
	NotItsPlace               // the list does not let this key say that
	reasonsCount
)

// String is the reason's label.
func (r Reason) String() string {
	return [...]string{"unknown_key", "handshake", "role"}[r]
}

// Reasons are all there are.
func Reasons() (all []Reason) {
	for r := range reasonsCount {
		all = append(all, r)
	}
	return all
}

// logEvery bounds the lines of one reason: strangers do not fill the log.
const logEvery = 10 * time.Second

// Refusals counts, and logs now and then. Its methods may be called from any goroutine.
type Refusals struct {
	log    *slog.Logger
	counts [reasonsCount]atomic.Uint64

	mu       sync.Mutex
	loggedAt [reasonsCount]time.Time
}

// NewRefusals writes to log.
func NewRefusals(log *slog.Logger) *Refusals { return &Refusals{log: log} }

// Count is how often something was refused for this reason.
func (r *Refusals) Count(why Reason) uint64 { return r.counts[why].Load() }

// Add counts one, of the peer with this address and key as far as they are known.
func (r *Refusals) Add(why Reason, addr, key string) {
	total := r.counts[why].Add(1)
	if !r.mayLog(why, time.Now()) {
		return
	}
	text := map[Reason]string{
		UnknownKey:  "connection refused: its key is not on the list of allowed keys",
		NoHandshake: "connection refused: no CURVE handshake, or one that was meant for another key than ours",
		NotItsPlace: "messages dropped: the list of allowed keys does not let this key send them",
	}[why]
	attrs := []any{"reason", why.String(), "total", total}
	if addr != "" {
		attrs = append(attrs, "addr", addr)
	}
	if key != "" {
		attrs = append(attrs, "key", key)
	}
	r.log.Warn(text, attrs...)
}

func (r *Refusals) mayLog(why Reason, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.loggedAt[why]) < logEvery {
		return false
	}
	r.loggedAt[why] = now
	return true
}
