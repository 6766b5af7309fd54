package replication

import "brainer/internal/wire"

// readersMax is how many snapshots may be read at once, besides those of joiners.
const readersMax = 2

// reader takes a snapshot as a joiner does, but is somebody in the broker's process who writes it down: nothing is
// loaded, and no entries follow.
type reader struct {
	id         uint64
	donor      *node
	started    bool          // the donor's stream has the mark
	turn       uint64        // the donor's turn that carried it
	position   wire.Position // of the state
	timeMs     int64         // at most so late is that state
	progressUs int64

	chunks    int    // that have come
	wanted    uint32 // the credit that the reader gives
	passed    uint32 // that the donor has
	bytes     int64  // that have come
	allowance int64  // while joins are paced
	last      *Part  // it has come, and waits until what it shows is safe
}

// Part is a piece of the snapshot that somebody reads, in order.
type Part struct {
	Reader     uint64
	Position   wire.Position // of the whole
	TimeMs     int64         // when the state was so, by this broker's clock
	Cluster    uint64
	KeysDone   int64 // with this part
	KeysTotal  int64
	BytesTotal int64 // an estimate
	Records    []byte
	Last       bool
	Refusal    string // nothing comes any more, and this is why
}

// BeginRead picks a donor for somebody who reads a snapshot, of the state at one index; it goes on as ReadOn says.
func (c *Core) BeginRead(nowUs int64) (id uint64, refusal string) {
	c.setNow(nowUs)
	if c.state != active {
		return 0, c.notActive()
	}
	if len(c.readers) >= readersMax {
		return 0, errReadersMax
	}
	var donor *node
	for _, n := range c.usable {
		if donor == nil || n.gives+n.read < donor.gives+donor.read {
			donor = n
		}
	}
	if donor == nil {
		return 0, errClusterDown
	}
	donor.read++
	r := &reader{id: c.cfg.Rand() | 1, donor: donor, progressUs: c.nowUs}
	c.readers = append(c.readers, r)
	return r.id, ""
}

// ReadOn lets the parts up to (not including) number upTo come.
func (c *Core) ReadOn(nowUs int64, id uint64, upTo uint32) {
	c.setNow(nowUs)
	if r := c.reader(id); r != nil && upTo > r.wanted {
		r.wanted, r.progressUs = upTo, c.nowUs
		c.letRead(r)
	}
}

// EndRead: nobody reads on.
func (c *Core) EndRead(nowUs int64, id uint64) {
	c.setNow(nowUs)
	if r := c.reader(id); r != nil {
		c.endReader(r, "")
	}
}

func (c *Core) reader(id uint64) *reader {
	for _, r := range c.readers {
		if r.id == id {
			return r
		}
	}
	return nil
}

// readerFor returns a reader whose snapshot is to begin in n's stream.
func (c *Core) readerFor(n *node) *reader {
	if n.read == 0 {
		return nil
	}
	for _, r := range c.readers {
		if r.donor == n && !r.started {
			return r
		}
	}
	return nil
}

// startReader marks the place in the donor's stream whose state is read.
func (c *Core) startReader(r *reader, b []byte) []byte {
	r.started, r.turn, r.progressUs = true, r.donor.turn, c.nowUs
	r.position = wire.Position{Era: c.view.eraOf(r.donor.sent), Index: r.donor.sent}
	r.timeMs = c.stampMs()
	c.beginPace()
	c.event(0, "snapshot is read", r.donor, "at=%d", r.position.Index)
	return wire.AppendSnapshotItem(b, r.id, r.donor.version != wire.VersionBefore)
}

// readChunk takes a part of a snapshot that is read; it says whether it was one.
func (c *Core) readChunk(donor *node, m wire.Chunk) bool {
	r := c.reader(m.SnapID)
	if r == nil || r.donor != donor {
		return false
	}
	switch {
	case m.Number < uint32(r.chunks):
		return true // it came before
	case m.Number > uint32(r.chunks) && !c.cfg.Fault.ReadGaps:
		c.endReader(r, errReadGap)
		return true
	}
	r.progressUs = c.nowUs
	r.chunks++
	r.bytes += int64(len(m.Records))
	c.pace.sent += int64(len(m.Records))
	if c.pace.limited {
		r.allowance = c.charged(r.allowance, int64(len(m.Records)))
	}
	p := &Part{Reader: r.id, Position: r.position, TimeMs: r.timeMs, Cluster: c.view.ClusterID, KeysDone: int64(m.KeysDone),
		KeysTotal: int64(m.KeysTotal), BytesTotal: max(int64(m.BytesTotal), r.bytes), Records: m.Records, Last: m.Last}
	if m.Last {
		r.last = p
		c.maybeEndReaders()
		return true
	}
	c.Out.Parts = append(c.Out.Parts, *p)
	return true
}

// maybeEndReaders passes last parts on: what a snapshot shows must not be lost any more.
func (c *Core) maybeEndReaders() {
	for i := 0; i < len(c.readers); i++ {
		if r := c.readers[i]; r.last != nil && (c.safe >= r.position.Index || c.cfg.Fault.NoReadHold) {
			c.Out.Parts = append(c.Out.Parts, *r.last)
			c.event(0, "snapshot has been read", r.donor, "keys=%d bytes=%d", r.last.KeysDone, r.bytes)
			c.dropReader(r)
			i--
		}
	}
}

// letRead passes credit to the donor, while joins are paced for one part at a time.
func (c *Core) letRead(r *reader) {
	if !r.started {
		return
	}
	was := r.passed
	if !c.pace.limited {
		r.passed = r.wanted
	} else if r.allowance > 0 && r.passed <= uint32(r.chunks) {
		r.passed = min(uint32(r.chunks)+1, r.wanted)
	}
	if r.passed > was && r.donor.connected() {
		c.send(r.donor.peer, wire.Credit{SnapID: r.id, UpTo: r.passed}.Append(nil, c.header(r.donor)))
	}
}

// goOnReading lets time count.
func (c *Core) goOnReading() {
	c.maybeEndReaders()
	for _, r := range c.readers {
		if r.passed < r.wanted {
			c.letRead(r)
		}
	}
}

// tickReaders ends what does not move: the donor keeps a copy of what changes meanwhile.
func (c *Core) tickReaders() {
	for i := len(c.readers) - 1; i >= 0; i-- {
		if r := c.readers[i]; c.nowUs-r.progressUs > c.cfg.JoinStallMs*1000 {
			c.endReader(r, errReadStalled)
		}
	}
}

// endReader tells both sides; without a refusal it is the reader who ends it.
func (c *Core) endReader(r *reader, refusal string) {
	c.dropReader(r)
	if refusal != "" {
		c.Out.Parts = append(c.Out.Parts, Part{Reader: r.id, Refusal: refusal})
		c.event(1, "snapshot was not read to its end", r.donor, "%s", refusal)
	}
	if r.started && r.last == nil && r.donor.connected() {
		c.send(r.donor.peer, wire.Abort{SnapID: r.id}.Append(nil, c.header(r.donor)))
	}
}

func (c *Core) dropReader(r *reader) {
	r.donor.read--
	for i := range c.readers {
		if c.readers[i] == r {
			c.readers = append(c.readers[:i], c.readers[i+1:]...)
			return
		}
	}
}

// loseReaders ends what is read from a donor, or, if turn is not 0, what its turns from that number on began.
func (c *Core) loseReaders(donor *node, turn uint64) {
	for i := len(c.readers) - 1; i >= 0; i-- {
		if r := c.readers[i]; r.donor == donor && (turn == 0 || r.started && r.turn >= turn && r.chunks == 0) {
			c.endReader(r, errReadLostDonor)
		}
	}
}
