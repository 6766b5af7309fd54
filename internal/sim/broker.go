package sim

import (
	"slices"

	"brainer/broker/replication"
	"brainer/internal/command"
	"brainer/internal/op"
	"brainer/internal/wire"
)

const brokerTickUs = 20_000

// brokerHost is what package broker is around the core: it takes in, flushes and performs.
type brokerHost struct {
	w         *world
	alive     bool
	paused    bool
	life      int
	core      *replication.Core
	waking    bool
	tickUs    int64
	inbox     []arrival
	frame     []byte
	ops       []*op.Op
	held      []*op.Op
	storeNo   uint64 // durable, not yet told
	told      bool
	startedUs int64

	disk    replication.View  // what a restart would find
	view    replication.View  // the last one that the core was told is durable
	storing *replication.View // on its way to the disk
	slowUs  int64             // added to each store
	skewUs  int64             // of this process's clock
}

type arrival struct {
	conn  *conn
	frame []byte
}

func newBrokerHost(w *world) *brokerHost { return &brokerHost{w: w} }

func (b *brokerHost) start() {
	w := b.w
	b.alive, b.paused, b.startedUs = true, false, w.nowUs
	b.life++
	cfg := w.plan.Broker
	cfg.BrokerRun, cfg.Rand = w.rng.Uint64()|1, w.rng.Uint64
	cfg.Embedded, cfg.Unlink = w.plan.Embedded, command.Unlink
	cfg.Ack = w.plan.Ack
	cfg.FrameBytesMax, cfg.FragmentBytes = w.plan.FrameBytesMax, min(w.plan.FrameBytesMax, wire.FragmentBytes)
	cfg.Fault = w.opt.Broker
	cfg.Wire = w.drawVersion()
	b.view = b.disk
	if w.chance(0.3) {
		b.skewUs = w.between(-2_000_000, 2_000_000)
	}
	b.storing = nil
	b.inbox, b.ops, b.held = nil, nil, nil
	b.told, b.waking = true, false
	b.core = replication.New(cfg, b.disk, b.clockUs())
	b.tickUs = w.nowUs
	w.tracef("broker starts epoch=%d members=%v", b.disk.Epoch+1, b.disk.Members)
	w.check.newReign()
	b.perform()
	b.tick(b.life)
}

// crash ends the process. A record on its way to the disk may have got there.
func (b *brokerHost) crash() {
	w := b.w
	w.tracef("broker crash")
	b.alive = false
	if b.storing != nil && w.chance(0.5) {
		b.makeDurable(*b.storing)
	}
	b.storing = nil
	b.collect()
	b.core = nil
	w.net.brokerDied()
	for _, c := range w.clients {
		c.brokerDied()
	}
	for _, n := range w.nodes {
		if n.embedded && n.alive {
			n.crash()
		}
	}
}

// clockUs is the process's clock, which a restart may set back.
func (b *brokerHost) clockUs() int64 { return b.w.nowUs + b.skewUs }

func (b *brokerHost) collect() {
	s := b.core.Status(b.clockUs())
	b.w.stats.Resends += int(s.Resends)
	b.w.stats.Rerouted += int(s.ReadsRerouted)
	b.w.stats.Compared += int(s.Verify.TotalRanges)
	b.w.stats.Hedged += int(s.ReadsHedged)
	b.w.stats.HedgesWon += int(s.ReadsHedgedWon)
	b.w.stats.SentAhead += int(s.SentAhead)
	b.w.stats.NearHits += int(s.NearHits)
	b.w.stats.Evicted += int(s.Memory.Evicted)
	b.w.stats.OutOfMemory += int(s.Memory.Refused)
	b.w.stats.Snapshots += int(s.SnapshotsTotal)
	b.w.stats.Resumes += int(s.ResumesTotal)
	if s.DigestMismatches > 0 {
		b.w.failf("2: the broker found %d digests that differ", s.DigestMismatches)
	}
}

func (b *brokerHost) pause() {
	b.w.tracef("broker pause")
	b.paused = true
}

func (b *brokerHost) resume() {
	if !b.paused {
		return
	}
	b.w.tracef("broker resume")
	b.paused = false
	b.wake()
}

func (b *brokerHost) tick(life int) {
	if !b.alive || b.life != life {
		return
	}
	b.wake()
	b.w.after(brokerTickUs, func() { b.tick(life) })
}

func (b *brokerHost) arrive(c *conn, frame []byte) {
	if !b.alive {
		return
	}
	b.inbox = append(b.inbox, arrival{c, frame})
	b.wake()
}

func (b *brokerHost) submit(o *op.Op) {
	b.ops = append(b.ops, o)
	b.wake()
}

func (b *brokerHost) wake() {
	if b.waking || b.paused || !b.alive {
		return
	}
	b.waking = true
	life := b.life
	b.w.after(b.w.between(3, 60), func() {
		if b.life == life && b.alive {
			b.waking = false
			if !b.paused {
				b.loop()
			}
		}
	})
}

// loop is one round of broker.Run.
func (b *brokerHost) loop() {
	w := b.w
	if !b.told {
		b.told = true
		b.view = b.disk
		b.core.ViewStored(b.clockUs(), b.storeNo)
		b.perform()
	}
	ops := b.ops
	b.ops = nil
	for _, o := range ops {
		b.core.Submit(b.clockUs(), o)
		w.history.ordered(o)
		if o.Index == 0 && (o.DenyOOM || o.Ahead) {
			b.held = append(b.held, o) // perhaps it waits for memory, or is sent ahead
		}
	}
	in := b.inbox
	b.inbox = nil
	for _, a := range in {
		w.check.receivedDone(a.frame)
		b.frame = append(b.frame[:0], a.frame...) // used again, as a socket's buffer is
		b.receive(a.conn.id)
		b.orderedLater()
	}
	if w.nowUs-b.tickUs >= brokerTickUs {
		b.tickUs = w.nowUs
		b.core.Tick(b.clockUs())
		b.orderedLater()
	}
	b.core.Flush(b.clockUs())
	b.perform()
	w.check.afterLoop()
	if at := b.core.FlushAt(); at > 0 {
		w.after(max(at-b.clockUs(), 1), b.wake)
	}
}

// orderedLater tells the history of writes that have waited for their order.
func (b *brokerHost) orderedLater() {
	b.held = slices.DeleteFunc(b.held, func(o *op.Op) bool {
		b.w.history.ordered(o)
		return o.Index > 0 || o.Hold.Notified
	})
}

// perform does what the core has put out, as package broker does.
func (b *brokerHost) perform() {
	w := b.w
	out := &b.core.Out
	for len(out.Frames)+len(out.Answered)+len(out.Events)+len(out.Parts) > 0 || out.Store != nil {
		frames := out.Frames
		out.Frames = nil
		for _, f := range frames {
			frame := slices.Concat(f.Bytes, f.Body)
			if len(frame) > 3 && wire.Type(frame[3]) == wire.TTurn {
				w.check.turnSent(f.Peer, frame)
			}
			if frameType(frame) == wire.TAhead {
				w.check.aheadSent(f.Peer, frame)
			}
			if w.tracing() {
				w.tracef("-> %s %s", f.Peer, describe(frame))
			}
			err := wire.Split(frame, nil, w.plan.FrameBytesMax, func(head, body []byte) error {
				if w.chance(0.02) { // as between the parts of a long message
					for _, beat := range b.core.Beats(b.clockUs()) {
						_ = w.net.toNode(beat.Peer, beat.Bytes)
					}
				}
				return w.net.toNode(f.Peer, slices.Concat(head, body))
			})
			if err != nil {
				b.core.Unreachable(b.clockUs(), f.Peer)
			}
		}
		parts := out.Parts
		out.Parts = nil
		for _, p := range parts {
			w.reader.part(p)
		}
		answered := out.Answered
		out.Answered = nil
		for _, o := range answered {
			w.check.answered(o)
		}
		if v := out.Store; v != nil {
			out.Store = nil
			b.store(*v)
		}
		for _, e := range out.Events {
			w.mark('e', uint64(len(e.Text)), e.Index, uint64(len(e.Why)))
			if e.Text == "goes on with what was on disks" {
				w.check.fromDisks(e.Node, e.Index)
			}
			w.tracef("event %s node=%s index=%d %s", e.Text, e.Node, e.Index, e.Why)
		}
		out.Events = out.Events[:0]
		out.Acks = out.Acks[:0]
	}
}

func (b *brokerHost) store(v replication.View) {
	w := b.w
	if b.storing != nil {
		w.failf("4: a view is stored while another one is")
	}
	b.storing = &v
	life := b.life
	w.tracef("store view=%d epoch=%d members=%v left=%v history=%v", v.No, v.Epoch, v.Members, v.Left, v.History)
	w.after(w.between(w.plan.StoreUs/4, w.plan.StoreUs)+b.slowUs, func() {
		if !b.alive || b.life != life {
			return
		}
		b.makeDurable(v)
		b.storing = nil
		b.storeNo, b.told = v.No, false
		b.wake()
	})
}

func (b *brokerHost) makeDurable(v replication.View) {
	b.disk = v
	b.w.stats.Views++
	b.w.mark('v', v.No, v.Epoch, uint64(len(v.Members)))
	b.w.tracef("durable view=%d", v.No)
	b.w.check.durable()
	b.w.history.viewDurable(v)
}

// serving: the broker answers requests.
func (b *brokerHost) serving() bool {
	if !b.alive {
		return false
	}
	return b.core.Status(b.clockUs()).State == "active"
}

// pacesAJoin: clients have a joiner sent what it lacks more slowly.
func (b *brokerHost) pacesAJoin() bool {
	return b.alive && slices.ContainsFunc(b.core.Status(b.clockUs()).Nodes, func(n op.NodeStatus) bool {
		return n.Join != nil && n.Join.PacedTo > 0
	})
}

// recoverEmpty is an operator's word.
func (b *brokerHost) recoverEmpty() {
	b.w.tracef("operator: recover --empty")
	if text := b.core.RecoverEmpty(b.clockUs()); text != "" {
		b.w.failf("9: recover --empty: %s", text)
	}
	b.perform()
	b.wake()
}

// receive has the core take the frame, where it wants it if it does.
func (b *brokerHost) receive(peer string) {
	if head := min(len(b.frame), wire.HeaderBytes); len(b.frame) > head {
		if into := b.core.Place(peer, b.frame[:head], len(b.frame)); into != nil {
			copy(into, b.frame[head:])
			b.core.ReceivePlaced(b.clockUs(), peer, b.frame[:head], into)
			return
		}
	}
	b.core.Receive(b.clockUs(), peer, b.frame)
}
