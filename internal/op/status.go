package op

import "brainer/internal/eviction"

// Status is what the broker knows about itself and its nodes at one moment: the one source of
// BRAINER STATUS, BRAINER NODES, INFO, ROLE, the metrics and brainer-cli status.
type Status struct {
	State       string // one of BrokerStates
	Detail      string // one line why, when State is not "active"
	Leader      bool
	Epoch       uint64
	ViewNo      uint64
	Index       uint64 // last ordered
	Safe        uint64 // applied by the whole in-sync set
	MinInSync   int
	Ack         Ack // the server's default rule
	StartedAtMs int64
	NowMs       int64

	WindowEntries, WindowBytes int64
	WindowSeconds              float64

	PendingWrites, PendingReads int
	InflightBytes               int64

	Resends          uint64 // entries sent again
	ReadsRerouted    uint64
	ReadsHedged      uint64  // asked of a second node because the first was slow
	ReadsHedgedWon   uint64  // of these, those that the second answered first
	SentAhead        uint64  // writes that nodes held before they were ordered
	NearHits         uint64  // reads that the near cache answered
	NearMisses       uint64  // and that it could have answered, but did not have
	NearBytes        int64   // that it takes
	NearBytesMax     int64   // 0: there is none
	HedgeAfter       float64 // seconds after which a read is; 0: none is
	DigestMismatches uint64
	NodesEvicted     map[string]uint64 // reason -> how often a node left the in-sync set
	ResumesTotal     uint64
	SnapshotsTotal   uint64

	Memory Memory

	KeyHits, KeyMisses uint64 // keys that were looked up for reading, the near cache's included
	Expired            uint64 // keys that were freed because their deadline had passed

	Verify Verify

	Hot       []HotKey `json:"-"` // of the last second, the hottest first; BRAINER HOTKEYS shows them
	HotSpread int      // keys whose reads are spread over the nodes

	Nodes []NodeStatus
}

// Memory is the memory limit, and what became of it.
type Memory struct {
	eviction.Settings
	SmallestBytes int64  // the smallest limit, nodes' own included; 0: there is none
	UsedBytes     int64  // what the in-sync node takes that takes most
	Waiting       int    // operations that wait for room
	Evicted       uint64 // keys
	EvictedBy     map[string]uint64
	Nominated     uint64
	Refused       uint64 // writes, with -OOM
}

// HotKey is how often a key was asked for in a second, about: one operation in a few is counted.
type HotKey struct {
	DB            int
	Key           []byte // the beginning of a long one
	Reads, Writes int64
	Spread        bool // its reads go to all in-sync nodes in turn
}

// Verify is the comparison of the copies that is under way, or the last one.
type Verify struct {
	Number           uint64 // of this life of the broker; 0: there was none
	Running          bool
	BeganMs, EndedMs int64
	Keys, KeysTotal  int64 // compared (fields of large hashes, too), and about how many keys there are
	Ranges           int64
	Skipped          int64 // ranges that fewer than two copies answered
	Differed         int64
	Found            []string // what differed, the latest of it
	GaveUp           string   // why it did not come to its end

	Passes        int64 // comparisons in which all copies were equal, to the end
	EqualMs       int64 // when the last of these ended
	TotalRanges   int64 // of all comparisons
	TotalDiffered int64
}

// BrokerStates are the values of Status.State: serving; recovering or waiting for a first node; no
// copy that may be served is left.
var BrokerStates = []string{"active", "loading", "down"}

// NodeStatus is one node as the broker sees it.
type NodeStatus struct {
	ID            string
	Endpoint      string // the node's own, for brainer-cli
	Incarnation   uint64
	DataID        uint64
	State         string // one of NodeStates
	Up            bool
	InSync        bool
	Reason        string // why it is not in sync, or why it left last
	Embedded      bool
	Software      string  // what it runs; empty: it has not said
	Protocol      int     // version that it is spoken with
	HeartbeatAge  float64 // seconds
	Applied       uint64
	LagEntries    uint64
	LagSeconds    float64
	InflightBytes int64
	Keys          int64
	UsedMemory    int64
	Memory        int64       // bytes of its process that are compared with a limit
	MemoryLimit   int64       // its own; 0: none
	IDs           int64       // outcomes of writes with an id that its copy keeps
	IDsAnswered   uint64      // writes that this life of the node has answered with one
	Join          *JoinStatus // while it joins
}

// NodeStates are the values of NodeStatus.State, and of the label of brainer_node_state.
var NodeStates = []string{"down", "hello", "waiting", "loading", "replay", "adding", "live", "suspect"}

// JoinStatus is how far a joiner has come.
type JoinStatus struct {
	Phase                 string // one of JoinPhases
	Donor                 string
	SnapshotIndex         uint64
	KeysDone, KeysTotal   int64
	BytesDone, BytesTotal int64 // BytesTotal is an estimate
	EntriesBehind         int64
	EtaSeconds            float64 // -1 when unknown
	BytesPerSecond        int64   // that it is sent, of late
	PacedTo               int64   // that it may be sent, while clients are to be considered; 0: no limit
	WritesPaced           bool    // clients' writes wait for it, as it does not catch up otherwise
}

// JoinPhases are the values of JoinStatus.Phase in order; brainer_replay_phase is the position in it.
var JoinPhases = []string{"idle", "waiting", "snapshot", "replay", "adding"}
