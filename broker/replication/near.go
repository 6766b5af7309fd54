package replication

import (
	"bytes"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"brainer/internal/op"
	"brainer/internal/wire"
)

// The near cache answers reads in the broker. All writes pass here, so that it can be coherent:
//
//   - A reply is kept only if nothing was written to its key since the read was asked, and if all is safe that
//     was ordered before; ordering a write to the key drops it. So it is the latest state, and can not be lost.
//   - The key's deadline comes with the reply, and what has expired at a read's time is no answer.
//   - What is written without naming keys empties it, and so does whatever may change the data beside the order:
//     a new reign, a copy that differs.
//
// It has one reply for each key, of the last read; when it is full, of the last that was asked for twice: keys that
// are read once do not push out those that are read often (this is what W-TinyLFU is after; on zipf 1.1, with and
// without scans between, the hit ratio is the same as otter's).
const (
	nearBytesLeast = 192        // what a reply takes besides its bytes
	nearReplyMax   = 16 << 10   // a larger one is not kept
	nearAsksAgain  = 20_000_000 // microseconds: the node is asked again after so long, so that the key is not idle there
	nearQuestions  = 1 << 16    // whose answers may be kept, at most
	nearHitsTold   = 16         // hits of which a node hears although the reply is dropped
	nearAgainMax   = 4096       // asked again with a tick
)

// near is the cache. The zero value keeps nothing.
type near struct {
	bytesMax, bytes int64
	replies         *simplelru.LRU[uint64, *nearReply]
	once, before    map[uint64]struct{} // keys that were asked for: since, and in the time before
	onceMax         int
	asked           map[uint64]uint64 // key -> the question since which nothing was written to it
	again           []*op.Op          // to be asked again with the next tick, for nobody
	hits, misses    uint64
}

// nearReply is a reply to the read body of a database, in a RESP version.
type nearReply struct {
	body, reply []byte
	db, proto   uint8
	dueMs       int64 // of the key; 0: none
	askedUs     int64
	hits        uint32 // since the node was asked
	id          uint64 // of the question
}

func (r *nearReply) weight() int64 { return int64(len(r.body)+len(r.reply)) + nearBytesLeast }

func (r *nearReply) answers(o *op.Op) bool {
	return r.db == o.DB && r.proto == o.Proto && bytes.Equal(r.body, o.Body)
}

func newNear(bytesMax int64) *near {
	if bytesMax < nearBytesLeast {
		return &near{}
	}
	n := &near{bytesMax: bytesMax, once: map[uint64]struct{}{}, asked: map[uint64]uint64{}, onceMax: int(bytesMax/nearBytesLeast) + 1}
	n.replies, _ = simplelru.NewLRU(n.onceMax, func(_ uint64, r *nearReply) { n.bytes -= r.weight() })
	return n
}

func (n *near) on() bool { return n.replies != nil }

// drop forgets what is known of a key.
func (n *near) drop(key uint64) {
	n.replies.Remove(key)
	delete(n.asked, key)
}

// clear forgets all.
func (n *near) clear() {
	if n.on() && (n.replies.Len() > 0 || len(n.asked) > 0) {
		n.replies.Purge()
		clear(n.asked)
	}
}

// admits notes that a key is asked for, and reports whether the reply is worth its room.
func (n *near) admits(key uint64) bool {
	if n.bytes < n.bytesMax-nearReplyMax {
		return true // it pushes nothing out
	}
	if _, ok := n.once[key]; ok {
		return true
	}
	_, again := n.before[key]
	if len(n.once) >= n.onceMax {
		n.before, n.once = n.once, map[uint64]struct{}{}
	}
	n.once[key] = struct{}{}
	return again
}

// answerNear answers o with what is kept, and reports whether it did.
func (c *Core) answerNear(o *op.Op) bool {
	if !c.near.on() || !o.Near {
		return false
	}
	r, ok := c.near.replies.Get(o.Keys[0])
	if !ok || !r.answers(o) || r.dueMs != 0 && r.dueMs <= c.stampMs() && !c.cfg.Fault.NearNoDeadline {
		c.near.misses++
		return false
	}
	c.near.hits++
	if r.dueMs == wire.DueMissing {
		c.counters.nearAbsent++
	}
	if !o.NoTouch {
		r.hits++
	}
	if c.nowUs-r.askedUs > nearAsksAgain {
		c.askNearAgain(o.Keys[0], r)
	}
	o.Hold.Asked = r.id
	c.finish(o, keepReply(o, r.reply))
	return true
}

// askNearAgain has the node asked again for what is kept of a key, and told how often that was asked for meanwhile.
func (c *Core) askNearAgain(key uint64, r *nearReply) {
	if len(c.near.again) >= nearAgainMax {
		return
	}
	c.near.again = append(c.near.again, &op.Op{Kind: op.Read, DB: r.db, Proto: r.proto, Keys: []uint64{key}, Body: r.body,
		Near: true, NoTouch: r.hits == 0, Hold: op.Hold{Notified: true, Accesses: max(r.hits, 1) - 1}})
	r.askedUs, r.hits = c.nowUs, 0
}

// tickNear asks the nodes for what the cache has answered for long: all at once, since what a turn costs is the turn.
func (c *Core) tickNear() {
	again := c.near.again
	c.near.again = nil
	if c.state != active {
		return
	}
	for _, o := range again {
		o.Hold.OrderedUs = c.nowUs
		c.pendingReads++
		c.ask(o)
	}
}

// asksNear reports whether the answer to a question that is asked now may be kept.
func (c *Core) asksNear(o *op.Op, id uint64) bool {
	if !c.near.on() || !o.Near || !c.near.admits(o.Keys[0]) {
		return false
	}
	if len(c.near.asked) >= nearQuestions {
		clear(c.near.asked) // most of them will not be answered any more
	}
	c.near.asked[o.Keys[0]] = id
	return true
}

// maybeKeepNear keeps the answer to a question, if it may.
func (c *Core) maybeKeepNear(it *readItem, reply []byte, dueMs int64) {
	o := it.op
	if !it.near || c.near.asked[o.Keys[0]] != it.id && !c.cfg.Fault.NearStale {
		return
	}
	key := o.Keys[0]
	delete(c.near.asked, key)
	if it.hold > c.safe && !c.cfg.Fault.NearUnsafe || len(reply) > nearReplyMax {
		return
	}
	c.near.replies.Remove(key)
	r := &nearReply{body: bytes.Clone(o.Body), reply: bytes.Clone(reply), db: o.DB, proto: o.Proto, dueMs: dueMs, askedUs: it.askedUs, id: it.id}
	c.near.bytes += r.weight()
	c.near.replies.Add(key, r)
	for c.near.bytes > c.near.bytesMax {
		c.near.replies.RemoveOldest()
	}
}

// dropNear is told of every write that is ordered.
func (c *Core) dropNear(o *op.Op) {
	switch {
	case !c.near.on() || c.cfg.Fault.NearKeeps || c.cfg.Fault.EvictKeepsNear && o.Hold.Notified:
	case o.Keyless:
		c.near.clear()
	default:
		for _, k := range o.Keys {
			if r, ok := c.near.replies.Peek(k); ok && r.hits >= nearHitsTold {
				c.askNearAgain(k, r)
			}
			c.near.drop(k)
		}
	}
}
