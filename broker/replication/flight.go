package replication

// flight is a turn that is on its way, or its answer is.
type flight struct {
	turn    uint64
	sentUs  int64
	bytes   int
	entries bool
	memory  bool // it asks what the node takes
	long    bool // it travels in fragments
}

// Over a link with a delay a node would stand idle while its turn and the answer travel: there turns follow each other
// without waiting, and only so many that they share the time of the way. Where the way is short, what a turn costs
// counts for more, and there is one at a time.
const (
	longWayUs = 600 // between a turn and its answer, of a link that counts as long; the quickest that a session has seen
	turnsMax  = 16  // on their way to a node
	turnGapUs = 250 // between two, at least
)

func (n *node) lastTurn() *flight { return &n.flight[len(n.flight)-1] }

func (n *node) flightBytes() (bytes int) {
	for i := range n.flight {
		bytes += n.flight[i].bytes
	}
	return bytes
}

// turnGapUs is the time between two turns.
func (n *node) turnGapUs() int64 { return max(turnGapUs, n.rttUs/turnsMax) }

// mayFollow reports whether another turn may follow those that are on their way to n, when its time has come.
func (c *Core) mayFollow(n *node) bool {
	return n.rttUs >= longWayUs && len(n.flight) < turnsMax && n.resends == 0 && !n.suspect && !n.lastTurn().long && len(n.long) == 0 &&
		n.flightBytes() < c.cfg.TurnBytesMax && !c.joins(n)
}

// turnAnswered notes that n is done with a turn, and with those before; it says whether the turn was on its way.
func (c *Core) turnAnswered(n *node, turn uint64) bool {
	done := 0
	for done < len(n.flight) && n.flight[done].turn <= turn {
		done++
	}
	if done == 0 || n.flight[done-1].turn != turn {
		return false
	}
	for i := range n.flight[:done] {
		f := &n.flight[i]
		us := c.nowUs - f.sentUs
		if f.entries {
			c.Out.Acks = append(c.Out.Acks, NodeAck{Node: n.id, Us: us})
		}
		if f.memory {
			n.memory.asked = false
		}
		if n.rttUs == 0 || us < n.rttUs {
			n.rttUs = max(us, 1)
		}
	}
	n.flight = append(n.flight[:0], n.flight[done:]...)
	n.parts = 0
	return true
}
