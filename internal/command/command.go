// Package command is the one place that says what a command is: its name, arity, flags, where its
// keys are, and the function that runs it. The front end reads arity and flags, the broker keys and
// read or write, a node runs it; COMMAND, the documentation and the metric labels derive from it.
// Running is a pure function of (keyspace, arguments, time, seed): no clock, no goroutine, no
// randomness of its own. Connections, transactions' queues and subscriptions are package server's.
package command

import (
	"brainer/internal/keyspace"
	"brainer/resp"

	"github.com/cespare/xxhash/v2"
)

// Flag says what a command does and where it may run.
type Flag uint32

const (
	Write       Flag = 1 << iota // may change the keyspace: ordered and sent to every node
	ReadOnly                     // reads the keyspace: sent to the primary of its first key
	Server                       // answered by the front end itself; Run is nil
	Keyless                      // reads or writes the keyspace as a whole (KEYS, DBSIZE, FLUSHALL, SWAPDB)
	Fast                         // as COMMAND prints it
	Admin                        // "
	Loading                      // allowed while no node is in sync
	NoAuth                       // allowed before AUTH
	NoMulti                      // refused inside MULTI
	PubSub                       // allowed in RESP2 subscriber mode
	Blocking                     // "
	DenyOOM                      // "
	MovableKeys                  // keys need Keys, First/Last/Step do not tell
	Random                       // its reply depends on Ctx.Seed
	SkipMonitor                  // "
	SkipSlowlog                  // "
	Internal                     // never accepted from a client, hidden from COMMAND
	Noscript                     // "
	Stale                        // "
)

// Command is one row of the table.
type Command struct {
	Name  string // lower case; a subcommand's is "object|encoding"
	Arity int    // arguments with the name; negative: at least
	Flags Flag

	First, Last, Step int // key positions as in COMMAND: 1-based, Last negative counts from the end
	// Keys returns the indexes of the keys in args, for MovableKeys.
	Keys func(args [][]byte) []int

	Run func(*Ctx) // writes exactly one reply to Ctx.W

	Sub []*Command // subcommands; the second argument picks one

	Group      string // as COMMAND DOCS: "string", "generic", "hash", "connection", "server", "pubsub", "transactions"
	Since      string
	Complexity string
	Summary    string
	ACL        []string // further categories for COMMAND ("@keyspace" ...), beyond those the flags imply
	Args       []Arg    // for COMMAND DOCS
}

// Arg describes one argument for COMMAND DOCS.
type Arg struct {
	Name, Type, Token, Since string // Type as Redis: "key", "string", "integer", "oneof", "block", "pure-token" ...
	Optional, Multiple       bool
	MultipleToken            bool
	KeySpec                  int
	Args                     []Arg
}

// Ctx is all that one execution sees.
type Ctx struct {
	KS      *keyspace.Keyspace
	DB      int
	NowMs   int64  // the entry's time, or the read's
	Seed    uint64 // the entry's seed, or the read's; use Rand
	Args    [][]byte
	W       *resp.Writer
	NoTouch bool // do not refresh the access time (CLIENT NO-TOUCH)

	rnd uint64
}

// Rand returns the next number of the execution's own sequence (splitmix64 over Seed).
func (c *Ctx) Rand() uint64 {
	c.rnd += 0x9e3779b97f4a7c15
	z := c.Seed + c.rnd
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// KeyHash names a key of a database in 64 bits, for the primary and for holding reads. It is also
// the hash that orders SCAN: keyspace uses the same function of the key.
func KeyHash(db int, key []byte) uint64 {
	return xxhash.Sum64(key) + uint64(db)*0x9e3779b97f4a7c15
}
