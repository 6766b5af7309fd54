package server

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	guessesAtOnce    = 100 // wrong passwords from one address
	guessesPerSecond = 20  // after those; from all addresses there is no room for, together
	guessersMax      = 16384
	guesserLogEvery  = time.Minute
)

// guesses bounds how fast passwords can be guessed: so many from one address, whatever number of
// connections it opens. Beyond them a password from there is refused without a look, the right one
// too, for there is no other way to leave a guess unanswered; other addresses do not notice. An
// address that has made no mistake lately has no entry.
type guesses struct {
	mu       sync.Mutex
	of       map[netip.Prefix]*guesser // at most guessersMax
	rest     guesser                   // those that found no room
	sweptAt  time.Time
	restUsed bool
}

// guesser is a bucket of attempts that fills up with time.
type guesser struct {
	left     float64
	at       time.Time
	loggedAt time.Time
}

func (g *guesses) init() { g.of = map[netip.Prefix]*guesser{} }

// take uses up one attempt. When there is none left, log says whether that is worth a line.
func (g *guesses) take(from netip.Prefix, now time.Time) (ok, log bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.find(from, now)
	b.fill(now)
	if b.left < 1 {
		log = now.Sub(b.loggedAt) >= guesserLogEvery
		if log {
			b.loggedAt = now
		}
		return false, log
	}
	b.left--
	return true, false
}

// giveBack is for an attempt that was no mistake.
func (g *guesses) giveBack(from netip.Prefix, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.of[from]
	if b == nil {
		b = &g.rest
	}
	b.fill(now)
	b.left = min(guessesAtOnce, b.left+1)
	if b.left == guessesAtOnce {
		delete(g.of, from)
	}
}

func (g *guesses) find(from netip.Prefix, now time.Time) *guesser {
	if b := g.of[from]; b != nil {
		return b
	}
	if len(g.of) >= guessersMax && now.Sub(g.sweptAt) >= time.Second {
		g.sweptAt = now
		for address, b := range g.of {
			if b.fill(now); b.left == guessesAtOnce {
				delete(g.of, address)
			}
		}
	}
	if len(g.of) >= guessersMax {
		if !g.restUsed {
			g.rest, g.restUsed = guesser{left: guessesAtOnce, at: now}, true
		}
		return &g.rest
	}
	b := &guesser{left: guessesAtOnce, at: now}
	g.of[from] = b
	return b
}

func (b *guesser) fill(now time.Time) {
	if d := now.Sub(b.at).Seconds(); d > 0 {
		b.left = min(guessesAtOnce, b.left+d*guessesPerSecond)
		b.at = now
	}
}

// guesserOf is the address that is held responsible: an IPv4 address, an IPv6 network of the size that
// one customer gets, or everybody who comes through ZeroMQ.
func guesserOf(conn net.Conn) netip.Prefix {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	a := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // of an address without a zone it does not fail
	return p
}
