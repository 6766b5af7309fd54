package replica

import (
	"brainer/internal/keyspace"
	"brainer/internal/wire"
)

// ring is the recent entries with their replies, without a gap up to the position: what is not safe
// yet, what the broker has not confirmed, and some more for a broker that restarts.
type ring struct {
	first uint64 // index of the oldest; meaningless when empty
	buf   []ringEntry
	head  int // of the oldest in buf
	count int
	bytes int64
}

type ringEntry struct {
	era   uint64
	entry []byte // encoded; aliases the frame it came in
	reply []byte // nil once confirmed
	from  *carrier
}

// sparesBytes is kept of the bodies of long turns that nothing needs any more.
const sparesBytes = 4 << 20

// carrier is a long turn's body, or an entry that was sent ahead. When that is done and the ring has dropped its entries, it
// may be used again.
type carrier struct {
	body   []byte
	users  int // the turn, if nothing else can alias it, and entries in the ring
	to     *wire.Spares
	region *keyspace.Region // that it lies in; nil: it goes to the spares
}

func (c *carrier) retain() {
	if c != nil {
		c.users++
	}
}

func (c *carrier) release() {
	if c == nil {
		return
	}
	switch c.users--; {
	case c.users > 0:
	case c.region != nil:
		c.region.Drop()
	default:
		c.to.Give(c.body)
	}
}

func (g *ring) at(i int) *ringEntry { return &g.buf[(g.head+i)&(len(g.buf)-1)] }

func (g *ring) append(era, index uint64, entry, reply []byte, from *carrier) {
	if g.count == len(g.buf) {
		g.grow()
	}
	if g.count == 0 {
		g.first = index
	}
	from.retain()
	*g.at(g.count) = ringEntry{era, entry, reply, from}
	g.count++
	g.bytes += int64(len(entry) + len(reply))
}

func (g *ring) grow() {
	buf := make([]ringEntry, max(64, 2*len(g.buf)))
	for i := 0; i < g.count; i++ {
		buf[i] = *g.at(i)
	}
	g.buf, g.head = buf, 0
}

// trim drops from the oldest on what is safe and confirmed, while there is more than bytesMax.
func (g *ring) trim(upTo uint64, bytesMax int64) {
	for g.count > 0 && g.first <= upTo && (g.bytes > bytesMax || g.count > 1<<17) {
		e := g.at(0)
		g.bytes -= int64(len(e.entry) + len(e.reply))
		e.from.release()
		*e = ringEntry{}
		g.head = (g.head + 1) & (len(g.buf) - 1)
		g.first++
		g.count--
	}
}

// reply returns the kept reply of an entry.
func (g *ring) reply(index uint64) ([]byte, bool) {
	if g.count == 0 || index < g.first || index >= g.first+uint64(g.count) {
		return nil, false
	}
	e := g.at(int(index - g.first))
	return e.reply, e.reply != nil
}

// firstIndex is the oldest index kept, or the one behind the position when none is.
func (g *ring) firstIndex(pos wire.Position) uint64 {
	if g.count == 0 {
		return pos.Index + 1
	}
	return g.first
}

// entries returns what is kept from an index on, by era.
func (g *ring) entries(from uint64) wire.Entries {
	var m wire.Entries
	if g.count == 0 || from >= g.first+uint64(g.count) {
		return m
	}
	for i := int(max(from, g.first) - g.first); i < g.count; i++ {
		e := g.at(i)
		if n := len(m.Runs); n == 0 || m.Runs[n-1].Era != e.era {
			m.Runs = append(m.Runs, wire.Run{Era: e.era, First: g.first + uint64(i)})
		}
		run := &m.Runs[len(m.Runs)-1]
		run.Count++
		run.Entries = append(run.Entries, e.entry...)
	}
	return m
}

// arena keeps replies in few allocations; they go when the ring has let go of all in a block.
type arena struct{ block []byte }

const arenaBlock = 16 << 10

func (a *arena) keep(b []byte) []byte {
	if len(b) > arenaBlock/4 {
		return append(make([]byte, 0, len(b)), b...)
	}
	if len(b) > cap(a.block)-len(a.block) {
		a.block = make([]byte, 0, arenaBlock)
	}
	n := len(a.block)
	a.block = append(a.block, b...)
	return a.block[n:len(a.block):len(a.block)]
}
