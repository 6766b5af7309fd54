package command

import (
	"cmp"
	"strconv"

	"brainer/internal/keyspace"
	"brainer/resp"
)

const (
	// stringBytesMax is the longest string, Redis's proto-max-bulk-len.
	stringBytesMax = 512 << 20
	// replyBytesMax bounds one reply, so that naming a large key a million times cannot exhaust a node.
	replyBytesMax = 1 << 30
)

// Ctx is all that one execution sees. It may be used again for the next one.
type Ctx struct {
	KS      *keyspace.Keyspace
	DB      int    // SELECT changes it
	NowMs   int64  // the entry's time, or the read's
	Seed    uint64 // the entry's seed, or the read's; use Rand
	Args    [][]byte
	W       *resp.Writer
	NoTouch bool // do not refresh the access time (CLIENT NO-TOUCH)

	LFU bool // the policy of evictions counts accesses: OBJECT FREQ answers, and OBJECT IDLETIME does not

	// OfThisCopy: the reply depends on the reads that this copy has seen, and may be another one elsewhere.
	OfThisCopy bool

	// Keys that were looked up for reading, as Redis counts keyspace_hits and keyspace_misses.
	Hits, Misses int

	// A read that visits more than LaterFrom elements (0: none does) leaves a Later instead of a reply.
	LaterFrom int
	Later     *Later

	// A GET of FarFrom bytes or more (0: none) leaves the value where it lies: the reply is what was written, Far and CRLF.
	FarFrom int
	Far     []byte

	// Faults are the panics that were answered with ErrInternal, for whoever counts and logs them.
	Faults []Fault

	cmd     *Command // that is running
	rnd     uint64
	scratch [32]byte // for a number that is about to be stored or answered

	// Tests lower the limits; 0 is the constant. They must be equal on every node.
	stringMax, replyMax int
}

// Fault is a panic in a command: a mistake in the program.
type Fault struct {
	Command string
	Value   any
	Stack   []byte
}

// Rand returns the next number of the execution's own sequence (splitmix64 over Seed).
func (c *Ctx) Rand() uint64 {
	c.rnd += 0x9e3779b97f4a7c15
	z := c.Seed + c.rnd
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// get returns the value at key, marking the key as used.
func (c *Ctx) get(key []byte) (v keyspace.Value, found bool) {
	if c.NoTouch {
		return c.peek(key)
	}
	v, found = c.KS.Get(c.DB, key, c.NowMs)
	c.looked(found)
	return v, found
}

// peek returns the value at key.
func (c *Ctx) peek(key []byte) (v keyspace.Value, found bool) {
	v, found = c.KS.Peek(c.DB, key, c.NowMs)
	c.looked(found)
	return v, found
}

// looked counts a look-up, if it is one for reading.
func (c *Ctx) looked(found bool) {
	switch {
	case c.cmd == nil || c.cmd.Flags&ReadOnly == 0:
	case found:
		c.Hits++
	default:
		c.Misses++
	}
}

// read counts a look-up for the reading part of a command that writes.
func (c *Ctx) read(found bool) {
	if found {
		c.Hits++
	} else {
		c.Misses++
	}
}

// getTyped is get for a command that works on one type: ok is false when it answered WRONGTYPE.
func (c *Ctx) getTyped(key []byte, want keyspace.Type) (v keyspace.Value, found, ok bool) {
	v, found = c.get(key)
	if found && v.Type != want {
		c.W.Error(ErrWrongType)
		return v, true, false
	}
	return v, found, true
}

// exists says whether there is a key.
func (c *Ctx) exists(key []byte) bool {
	_, found := c.peek(key)
	return found
}

// int reads argument i as an integer; ok is false when it answered that it is none.
func (c *Ctx) int(i int) (n int64, ok bool) {
	n, ok = parseInt(c.Args[i])
	if !ok {
		c.W.Error(ErrNotInteger)
	}
	return n, ok
}

// dbIndex reads argument i as the number of a database; ok is false when it answered an error.
func (c *Ctx) dbIndex(i int) (db int, ok bool) {
	n, ok := c.int(i)
	switch {
	case !ok:
		return 0, false
	case n < -1<<31 || n > 1<<31-1:
		c.W.Error(ErrRange(-1<<31, 1<<31-1))
		return 0, false
	case n < 0 || n >= Databases:
		c.W.Error(ErrDBIndex)
		return 0, false
	}
	return int(n), true
}

// is says whether argument i is the option of that lower-case name.
func (c *Ctx) is(i int, option string) bool { return equalFold(c.Args[i], option) }

// wrongArity answers that the number of arguments is wrong in a way that the table cannot say.
func (c *Ctx) wrongArity() { c.W.Error(ErrArity(c.cmd.Name)) }

// tooLong says whether a string of size bytes may not grow by more; it has answered so.
func (c *Ctx) tooLong(size, more int64) bool {
	if size <= int64(cmp.Or(c.stringMax, stringBytesMax))-more {
		return false
	}
	c.W.Error(ErrStringTooLong)
	return true
}

// replyTooLarge ends a reply that began at start and has grown beyond all measure.
func (c *Ctx) replyTooLarge(start int) bool {
	if len(c.W.B)-start <= c.replyBytes() {
		return false
	}
	c.W.B = c.W.B[:start]
	c.W.Error(ErrReplyTooLarge)
	return true
}

func (c *Ctx) replyBytes() int { return cmp.Or(c.replyMax, replyBytesMax) }

// bool answers 1 or 0.
func (c *Ctx) bool(yes bool) {
	if yes {
		c.W.Int(1)
	} else {
		c.W.Int(0)
	}
}

// formatInt returns n in decimal, in the scratch buffer.
func (c *Ctx) formatInt(n int64) []byte {
	return strconv.AppendInt(c.scratch[:0], n, 10)
}
