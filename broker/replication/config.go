package replication

import (
	"brainer/internal/eviction"
	"brainer/internal/op"
	"brainer/internal/wire"
)

// Config holds the core's settings. Times are milliseconds.
type Config struct {
	BrokerRun uint64        // this life of the broker
	Rand      func() uint64 // cluster and snapshot ids
	Embedded  bool          // a node runs in this process

	HeartbeatMs int64 // both ways
	SuspectMs   int64 // without a heartbeat: reads go elsewhere
	DeadMs      int64 // without a heartbeat, or with data and no progress: out of the set
	BusyLimitMs int64 // how long one entry may run before its node counts as stalled
	ResendMs    int64 // a turn unanswered by a node that is not busy is sent again

	FormWaitMs     int64 // a broker without a record waits that long for nodes that hold data
	RecoverWaitMs  int64 // how long recovery waits for the other members once one is here
	WriteTimeoutMs int64 // an ordered write without outcome is answered -UNCERTAIN after it
	ReadTimeoutMs  int64 // a read without an answer is answered with an error after it
	JoinStallMs    int64 // a snapshot that does not move for so long is given up
	// HedgePercentile: a read that takes longer than so many percent of them is asked of a second node, too; 0: none is.
	HedgePercentile float64
	HotEvery        int   // one operation in so many is counted to find the hottest keys; 0: none
	HotReads        int64 // reads a second from which on those of a key go to all nodes in turn; 0: never
	NearBytes       int64 // of replies that the near cache keeps; 0: none
	HoldOffMaxMs    int64 // a node that leaves the set again and again stays out no longer than this

	TurnBytesMax   int   // entries in one turn
	TurnReadsMax   int   // reads in one turn
	FrameBytesMax  int   // a longer turn travels in fragments
	FragmentBytes  int   // of so many
	AheadBytes     int   // a write whose body is so long is sent ahead of its order (op.Op.Ahead); 0: none is
	WindowBytesMax int64 // log window
	ChunkBytes     int   // what the window gives up at a time
	WindowMs       int64 // log window; 0: no limit in time
	JoinPinBytes   int64 // what the window may grow to for a joiner
	JoinLagEntries uint64
	JoinFloorBytes int64 // a second, of all joins together: what they get however long clients wait

	VerifyEveryMs   int64 // all copies are compared once in so long; 0: when somebody asks for it
	VerifyRangeKeys int   // about so many keys at a time

	MinInSync int
	Ack       op.Ack // for AckDefault
	IDKeepMs  int64  // how long the outcome of a write with an id is kept

	Memory eviction.Settings
	Unlink func(keys [][]byte) []byte // makes the command that removes keys

	Wire  uint8 // the highest protocol version, in tests; 0: this one
	Fault Fault // planted in tests only
}

// DefaultConfig returns the settings that the binaries start from.
func DefaultConfig() Config {
	return Config{
		HeartbeatMs: 100, SuspectMs: 300, DeadMs: 1000, BusyLimitMs: 5000, ResendMs: 250,
		FormWaitMs: 300, RecoverWaitMs: 2000, WriteTimeoutMs: 5000, ReadTimeoutMs: 5000, JoinStallMs: 15_000, HoldOffMaxMs: 30_000,
		TurnBytesMax: 1 << 20, TurnReadsMax: 4096, FrameBytesMax: wire.FrameBytesMax, FragmentBytes: wire.FragmentBytes, AheadBytes: 4 << 20,
		WindowBytesMax: 256 << 20, ChunkBytes: 1 << 20, WindowMs: 600_000, JoinPinBytes: 1 << 30, JoinLagEntries: 1000, JoinFloorBytes: 4 << 20,
		NearBytes: 64 << 20, HotEvery: 16, HotReads: 2000,
		VerifyEveryMs: 3_600_000, VerifyRangeKeys: 1000,
		MinInSync: 1, Ack: op.AckAll, IDKeepMs: 900_000,
		Memory: eviction.Default,
	}
}
