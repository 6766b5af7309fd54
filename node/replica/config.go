package replica

import (
	"sync/atomic"

	"brainer/internal/command"
	"brainer/internal/wire"
)

// Config is what a replica is told about itself.
type Config struct {
	NodeID      string
	Endpoint    string
	Incarnation uint64
	Embedded    bool
	Software    string        // what is running, for people
	Rand        func() uint64 // data ids
	Table       *command.Table

	RingBytesMax    int64 // entries kept for a broker that restarts, beyond those that are not safe yet
	ChunkBytes      int   // of a snapshot
	PartBytes       int   // of a string there; a longer one comes in parts
	ChunkCredit     uint32
	ReclaimPerEntry int   // expired keys freed with an entry
	ReclaimPerTick  int   // and with a TICK
	StepBytes       int   // a step of a turn ends when that many bytes of replies have gathered
	TailBytes       int   // or with a reply of that many, which is sent from where it lies
	AgainBytes      int   // the body of a turn in one frame is used again from that many on; a shorter one is cheaper to make
	LimitBytes      int64 // of memory, this node's own; 0: none
	IDsMax          int   // clients whose writes' outcomes are kept
	RegionMin       int   // bytes of an entry sent ahead that is received where its value can stay
	SliceElements   int   // a read that visits more is executed in slices of so many, with other work in between

	Keep bool // put what must be kept for the next life into Changes

	// Progress, if there is one, counts what is executed, for whoever watches from another goroutine.
	Progress *atomic.Uint64

	OnApply func(p wire.Position, digest uint64) // told of every entry; nil outside of tests
	OnRead  func(id uint64, p wire.Position)     // and of every read
	OnFault func(command.Fault)                  // told of every panic in a command, to log it; may be nil
	// Scribble overwrites what is used again, in tests.
	Scribble bool
	// CountLogical has UsedBytes compared with a limit, in tests of little data.
	CountLogical bool
	Wire         uint8 // the highest protocol version, in tests; 0: this one
	Fault        Fault // planted in tests only
}

func (c *Config) progressed() {
	if c.Progress != nil {
		c.Progress.Add(1)
	}
}

// DefaultConfig returns the settings that the binaries start from; identity and Rand are the caller's.
func DefaultConfig() Config {
	return Config{RingBytesMax: 8 << 20, ChunkBytes: 256 << 10, PartBytes: 256 << 10, ChunkCredit: 8,
		ReclaimPerEntry: 20, ReclaimPerTick: 1000, StepBytes: 1 << 20, TailBytes: 64 << 10, AgainBytes: 8 << 10, SliceElements: 2048,
		IDsMax: IDsMax, RegionMin: 1 << 20}
}
