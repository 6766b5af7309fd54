package replication

import "brainer/internal/wire"

// nodeState is where a node stands with this broker. Transitions are the verbs below.
type nodeState uint8

const (
	stateDown    nodeState = iota // no session
	stateHello                    // asked to promise the epoch
	stateWaiting                  // promised; waits for a donor, or for the broker to be active
	stateLoading                  // takes a snapshot
	stateReplay                   // is sent what it missed
	stateAdding                   // level; its acknowledgements are required; the view is being stored
	stateLive                     // in the durable view, serves reads
)

var stateNames = [...]string{"down", "hello", "waiting", "loading", "replay", "adding", "live"}

// node is what the broker knows of one node, by its id.
type node struct {
	id       string
	number   uint16 // in this run of the broker, not 0
	version  uint8  // of the protocol, in its session
	software string
	salt     uint64
	endpoint string
	embedded bool

	incarnation   uint64
	dataID        uint64   // while it is a member, that of the view
	helloDataID   uint64   // of the present session
	disk          bool     // its copy is kept
	keep          uint64   // the snapshot of it that is wanted on its disk (wire.Beat.Keep), 0: none
	was           []uint64 // data ids that this copy had before, and of which it is what was left on a disk; with renamed it is all of the last
	renamed       bool
	clusterID     uint64
	state         nodeState
	member        bool // (id, dataID) is in the durable view
	inSyncSinceUs int64
	entering      bool   // (id, dataID) is in the view that is being stored, and not in the durable one
	leave         string // why it is to leave the view; "" stays
	lastReason    string // why it left last, or why it is not in
	flaps         int    // how often it has left in one go, without having stayed in between
	heldUntilUs   int64  // it does not enter the set before
	goodbye       bool   // it asked to leave

	peer, beatPeer string
	toldInSync     bool // by the last heartbeat on the session's own socket
	toldUs         int64
	toldCounts     wire.Counts
	toldKeep       uint64
	session        uint64
	assembler      wire.Assembler

	heardUs    int64      // last frame of any kind
	beatUs     int64      // last heartbeat
	tally      wire.Tally // in its session
	progressUs int64      // last Done, or when the oldest turn in flight went out first
	busyMs     uint32
	suspect    bool
	keys       int64
	usedBytes  int64
	ids        int64  // outcomes that it keeps for retries
	idsUsed    uint64 // and has answered with

	pos         wire.Position // as reported after the promise
	ringFirst   uint64
	reported    bool
	sent        uint64 // match <= sent <= tail
	sentMax     uint64 // the furthest that this session has sent; it may have applied up to here
	match       uint64 // applied up to here, in this session
	need        uint64 // adding: enters the set once match >= need
	diverged    bool   // its state differs from the others': only a snapshot helps
	lostReplies uint64 // keeps no replies up to here (it loaded a snapshot)

	turn     uint64
	flight   []flight // turns that it has not answered, the oldest first
	rttUs    int64    // the shortest time in this session between a turn and its answer; 0: not known
	probedUs int64
	parts    uint32 // of the answer to the oldest, that have arrived
	resends  uint8
	reads    readQueue
	buf      []byte
	long     []*long // messages in fragments, in order; the first is being sent
	ahead    nodeAhead

	allowance int64 // bytes that it may be sent now of what it lacks
	leash     leash

	memory nodeMemory

	join  *join // it is a joiner taking a snapshot
	gives int   // snapshots it gives as a donor
	read  int   // snapshots of it that are read in the broker
}

func (n *node) connected() bool { return n.state != stateDown }

// streaming: it is sent turns.
func (n *node) streaming() bool { return n.state >= stateReplay }

// inSync: a member of the durable view that is being served from.
func (n *node) inSync() bool { return n.member && n.state == stateLive }

// required: its acknowledgement is needed for the safe index. One that is entering counts whatever
// becomes of its session: the record that names it may already be durable.
func (n *node) required() bool { return n.member || n.entering || n.state == stateAdding }

// transferUs is the time that the turns in flight may take on their way beyond the usual: 50 MB a second.
func (n *node) transferUs() int64 { return int64(n.flightBytes()) / 50 }

// needFrom is the first entry that it still has to be sent, or may have to be sent again.
func (n *node) needFrom() uint64 {
	if n.state == stateLoading && n.join != nil {
		return n.join.position.Index + 1
	}
	return n.match + 1
}

func (c *Core) nodeByID(id string) *node {
	for _, n := range c.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

// inSyncCount is how many copies a write can be acknowledged by.
func (c *Core) inSyncCount() int {
	k := 0
	for _, n := range c.nodes {
		if n.inSync() && n.leave == "" {
			k++
		}
	}
	return k
}

func (c *Core) anyInSync() bool {
	for _, n := range c.nodes {
		if n.inSync() {
			return true
		}
	}
	return false
}

// listUsable recomputes the candidates for primary.
func (c *Core) listUsable() {
	c.usable = c.usable[:0]
	for _, n := range c.nodes {
		if n.inSync() && !n.suspect && n.leave == "" {
			c.usable = append(c.usable, n)
		}
	}
}
