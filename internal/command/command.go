// Package command is the one place that says what a command is: its name, arity, flags, where its
// keys are, and the function that runs it. The front end reads arity and flags, the broker keys and
// read or write, a node runs it; COMMAND, the documentation and the metric labels derive from it.
// Running is a pure function of (keyspace, arguments, time, seed): no clock, no goroutine, no
// randomness of its own. Connections, transactions' queues and subscriptions are package server's.
package command

import "github.com/cespare/xxhash/v2"

// Flag says what a command does and where it may run.
type Flag uint32

const (
	Write    Flag = 1 << iota // may change the keyspace: ordered and sent to every node
	ReadOnly                  // reads the keyspace: sent to the primary of its first key

	// Those that COMMAND shows besides write and readonly.
	DenyOOM
	Admin
	PubSub
	Noscript
	Blocking
	Loading // allowed while no node is in sync
	Stale
	SkipMonitor
	SkipSlowlog
	Fast
	NoAuth // allowed before AUTH
	MayReplicate
	NoMandatoryKeys
	Protected
	NoAsyncLoading
	NoMulti // refused inside MULTI
	AllowBusy
	MovableKeys // First, Last and Step do not tell where the keys are, Keys does

	// Those that are Brainer's own business.
	Server     // answered by the front end; Run, if there is one, serves it inside a transaction
	Keyless    // reads or writes the keyspace as a whole (KEYS, DBSIZE, FLUSHALL, SWAPDB)
	Subscriber // allowed in RESP2 subscriber mode
	Random     // its reply depends on Ctx.Seed
	Steady     // a read whose reply follows from the values of its keys alone; the first is the first argument
	Internal   // never accepted from a client, hidden from COMMAND
)

// Row is a command as its family's file writes it down.
type Row struct {
	Name  string // lower case; a subcommand's is "object|encoding"
	Arity int    // arguments with the name; negative: at least
	Flags Flag

	// KeySpec says where the keys are: "RW access update @FIRST[:LAST[:STEP[:LIMIT]]] -- notes", LAST
	// being relative to FIRST, or negative from the end.
	KeySpec []string
	// KeyFlags are the flags of all keys of one call, where KeySpec says "variable_flags".
	KeyFlags func(args [][]byte) []string
	// OtherKey names the key in another database that a command touches, as COPY and MOVE can.
	OtherKey func(args [][]byte) (db int, key []byte, ok bool)
	// EntryArgs counts the arguments that the front end adds at the end when it orders the command.
	EntryArgs int

	Run func(*Ctx) // writes exactly one reply to Ctx.W

	ACL  string // categories besides those that the flags imply
	Tips []string

	// For COMMAND DOCS.
	Group                       string
	Since                       string
	Complexity                  string
	Summary                     string
	DeprecatedSince, ReplacedBy string
	SysCmd                      bool
	History                     []string // "VERSION what changed"
	ArgSpec                     string   // see parseArgs

	Sub []Row // subcommands; the second argument picks one
}

// Command is a row of the table, ready for use.
type Command struct {
	Row
	First, Last, Step int // key positions as in COMMAND: 1-based, Last negative counts from the end
	KeySpecs          []KeySpec
	Args              []Arg
	Sub               []*Command
}

// KeyHash names a key of a database in 64 bits, for the primary and for holding reads. It is the same
// everywhere and has no secret: who makes keys that collide has them answered by one node, and held
// for each other's writes. Where keys lie is decided by another one, in internal/keyspace.
func KeyHash(db int, key []byte) uint64 {
	return xxhash.Sum64(key) + uint64(db)*0x9e3779b97f4a7c15
}
