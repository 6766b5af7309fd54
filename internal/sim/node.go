package sim

import (
	"fmt"
	"slices"

	"brainer/internal/wire"
	"brainer/node/replica"
)

const (
	beatEveryUs    = 100_000
	brokerSilentUs = 3_000_000
	helloWithinUs  = 400_000
	reopenUs       = 100_000
	refusedUs      = 2_000_000
	goodbyeUs      = 2_000_000
)

// nodeHost is what package node is around a replica: sessions, heartbeats, the order of work.
type nodeHost struct {
	w        *world
	index    int
	id       string
	embedded bool

	alive, paused bool
	life          int // of the process
	incarnation   uint64
	replica       *replica.Replica
	deferred      []func() // what could not happen while it was paused

	try        int // counts sessions that were begun
	session    uint64
	connected  bool
	data, beat *conn
	inbox      [][]byte
	frame      []byte
	running    bool
	heardUs    int64
	busyFromUs int64
	turn       uint64 // that it executes
	leaving    bool
	diedUs     int64
	pub        published

	disk   *nodeDisk // nil: it has none
	slowUs int64     // added to each piece of work
	// What a partition holds back: by direction, for all connections or for one kind.
	cutUp, cutDown, cutData, cutBeat bool
}

// published is what the heartbeats say.
type published struct {
	applied, turn, epoch uint64
	keys, used, memory   int64
	deadlineMs           int64
	behind               bool
}

func newNodeHost(w *world, i int) *nodeHost {
	n := &nodeHost{w: w, index: i, id: fmt.Sprintf("n%d", i+1), embedded: w.plan.Embedded && i == 0}
	if w.plan.Disks > 0 && (i < w.plan.Disks) {
		n.disk = newNodeDisk(n, w.plan.Always)
	}
	return n
}

// cut says whether a partition holds a message back.
func (n *nodeHost) cut(beat, up bool) bool {
	if n.embedded {
		return false
	}
	return up && n.cutUp || !up && n.cutDown || beat && n.cutBeat || !beat && n.cutData
}

// start begins a process with an empty memory.
func (n *nodeHost) start() {
	w := n.w
	n.alive, n.paused, n.leaving = true, false, false
	n.life++
	n.deferred = nil
	n.incarnation = w.rng.Uint64() | 1
	cfg := w.plan.Node
	cfg.NodeID, cfg.Incarnation, cfg.Embedded = n.id, n.incarnation, n.embedded
	cfg.Rand, cfg.Table = w.rng.Uint64, w.opt.Table
	cfg.Fault = w.opt.Node
	cfg.Wire = w.drawVersion()
	if cfg.Fault.OwnSeed != 0 {
		cfg.Fault.OwnSeed *= uint64(n.index + 1)
	}
	cfg.Fault.FlipBit = cfg.Fault.FlipBit && n.index == 1
	cfg.Fault.MapOrder = cfg.Fault.MapOrder && n.index%2 == 1
	cfg.Fault.IDSkewMs *= int64(n.index)
	if cfg.Fault.WallClock {
		cfg.Fault.ClockMs = startUs/1000 + int64(n.index)*40
	}
	cfg.OnRead = func(id uint64, p wire.Position) { w.check.executed(n, id, p) }
	cfg.OnApply = func(p wire.Position, digest uint64) { w.check.applied(n, p, digest) }
	cfg.Keep = n.disk != nil
	n.replica = replica.New(cfg)
	w.tracef("%s starts incarnation=%x", n.id, n.incarnation)
	if n.disk != nil {
		n.disk.load()
	}
	w.check.nodeStarted(n)
	n.open()
}

// end lets the process end by itself.
func (n *nodeHost) end() {
	if n.alive && n.disk != nil && !n.paused {
		n.disk.end()
	}
	n.crash()
}

// crash ends the process; its memory is gone.
func (n *nodeHost) crash() {
	if !n.alive {
		return
	}
	if n.disk != nil {
		n.disk.crash(n.w.chance(0.5))
	}
	n.diedUs = n.w.nowUs
	n.w.tracef("%s dies", n.id)
	n.alive, n.paused = false, false
	n.life++
	n.closeSession()
	n.replica = nil
}

func (n *nodeHost) pause() {
	n.w.tracef("%s pause", n.id)
	n.paused = true
}

func (n *nodeHost) resume() {
	if !n.paused {
		return
	}
	n.w.tracef("%s resume", n.id)
	n.paused = false
	todo := n.deferred
	n.deferred = nil
	for _, f := range todo {
		if n.paused {
			n.deferred = append(n.deferred, f)
			continue
		}
		f()
	}
}

// do runs f in the process's present life, later if it is paused.
func (n *nodeHost) do(life int, f func()) {
	if n.life != life || !n.alive {
		return
	}
	if n.paused {
		n.deferred = append(n.deferred, func() { n.do(life, f) })
		return
	}
	f()
}

func (n *nodeHost) later(us int64, f func()) {
	life := n.life
	n.w.after(us, func() { n.do(life, f) })
}

// inSession runs f later if the session is still the same.
func (n *nodeHost) inSession(us int64, f func()) {
	try := n.try
	n.later(us, func() {
		if n.try == try && n.data != nil {
			f()
		}
	})
}

// open is the beginning of node.session.
func (n *nodeHost) open() {
	n.try++
	n.session = n.w.rng.Uint64() | 1
	n.connected = false
	n.inbox = nil
	n.replica.Open(n.session)
	hello := copyFrames(n.replica.Out)
	life, try := n.life, n.try
	n.data = n.w.net.dial(n, false, n.session, func() {
		n.do(life, func() {
			if n.try != try || n.data == nil {
				return
			}
			n.connected = true
			n.heardUs = n.w.nowUs
			n.publish()
			if !n.transmit(hello) {
				return
			}
			n.openBeat()
			if n.leaving {
				n.goodbye()
			}
		})
	})
	n.inSession(helloWithinUs, func() {
		if !n.connected {
			n.endSession("the broker does not answer", reopenUs)
		}
	})
}

func (n *nodeHost) openBeat() {
	stood := false
	life, try := n.life, n.try
	n.beat = n.w.net.dial(n, true, n.session, func() {
		n.do(life, func() {
			if n.try == try && n.beat != nil {
				stood = true
				n.sendBeat()
			}
		})
	})
	n.inSession(helloWithinUs, func() {
		if !stood {
			n.endSession("no connection for heartbeats", 1000)
		}
	})
}

func (n *nodeHost) closeSession() {
	for _, c := range []*conn{n.data, n.beat} {
		if c != nil {
			c.close()
		}
	}
	n.data, n.beat, n.inbox = nil, nil, nil
	if n.disk != nil {
		n.disk.held = nil
	}
	n.connected = false
}

func (n *nodeHost) endSession(why string, waitUs int64) {
	n.w.tracef("%s session over: %s", n.id, why)
	n.closeSession()
	n.try++
	if n.leaving {
		n.end()
		return
	}
	n.later(waitUs+n.w.between(0, waitUs/5+1), func() {
		if n.data == nil {
			n.open()
		}
	})
}

func copyFrames(frames []replica.Frame) []replica.Frame {
	out := make([]replica.Frame, len(frames))
	for i, f := range frames {
		out[i] = replica.Frame{Bytes: slices.Clone(f.Joined())}
	}
	return out
}

// send sends messages, once they may be told; it says whether the session goes on.
func (n *nodeHost) send(frames []replica.Frame) bool {
	if d := n.disk; d != nil {
		d.keep()
		if len(frames) > 0 && !d.mayTell() {
			d.hold(frames)
			return true
		}
	}
	return n.transmit(frames)
}

func (n *nodeHost) transmit(frames []replica.Frame) bool {
	if n.disk != nil && len(frames) > 0 && n.connected {
		n.disk.told()
	}
	for _, f := range frames {
		if n.w.tracing() {
			n.w.tracef("%s -> %s", n.id, describe(f.Joined()))
		}
		err := wire.Split(f.Bytes, f.More, n.w.plan.FrameBytesMax, func(head, body []byte) error {
			return n.data.toBroker(slices.Concat(head, body))
		})
		if err != nil {
			n.endSession("the connection broke", 1000)
			return false
		}
	}
	return true
}

// drawVersion is the highest protocol version that a process which starts now speaks.
func (w *world) drawVersion() uint8 {
	if w.plan.Versions && w.chance(0.5) {
		return wire.VersionBefore
	}
	return wire.Version
}

// sendBeat is the heartbeat goroutine.
func (n *nodeHost) sendBeat() {
	now := n.w.nowUs
	m := wire.Beat{Applied: n.pub.applied, Turn: n.pub.turn, Keys: n.pub.keys, UsedBytes: n.pub.used, MemoryBytes: n.pub.memory, LimitBytes: n.w.plan.Node.LimitBytes}
	if n.busyFromUs > 0 {
		m.BusyMs = uint32((now-n.busyFromUs)/1000) + 1
	}
	d := n.pub.deadlineMs
	m.Behind = n.pub.behind
	m.Reclaimable = m.Behind || d > 0 && d <= now/1000
	frame := m.Append(nil, wire.Header{Epoch: n.pub.epoch, Session: n.session, TimeMs: now / 1000, Version: n.replica.Version()})
	if n.beat.toBroker(frame) != nil {
		n.endSession("the broker is gone", 1000)
		return
	}
	if now-n.heardUs > brokerSilentUs {
		n.endSession("the broker is silent", 1000)
		return
	}
	n.inSession(beatEveryUs, n.sendBeat)
}

// arrive is a message at one of the sockets.
func (n *nodeHost) arrive(c *conn, frame []byte) {
	life := n.life
	n.do(life, func() {
		switch {
		case c.nodeGone:
		case c.beat:
			n.heardUs = n.w.nowUs
			if h, _, err := wire.Decode(frame); err == nil && h.Type == wire.TReject && h.Session == n.session {
				n.endSession("the broker ended it", 1000)
			}
		case c == n.data:
			n.inbox = append(n.inbox, frame)
			n.wake()
		}
	})
}

// wake lets the node work when it has something to do.
func (n *nodeHost) wake() {
	if n.running {
		return
	}
	n.running = true
	n.busyFromUs = n.w.nowUs
	us := n.w.between(5, 60)
	if n.slowUs > 0 {
		us += n.w.between(0, n.slowUs)
	}
	life := n.life
	n.w.after(us, func() {
		n.running = false
		if n.life != life {
			n.busyFromUs = 0
			if n.alive && len(n.inbox) > 0 {
				n.wake()
			}
			return
		}
		n.do(life, func() {
			n.busyFromUs = 0
			n.work()
		})
	})
}

// work takes one message, or gives one chunk of a snapshot.
func (n *nodeHost) work() {
	if n.data == nil || !n.connected {
		return
	}
	if n.replica.KeepsSnapshot() && n.w.chance(0.5) {
		n.replica.PumpKept()
		n.disk.keep()
		n.wake()
	}
	if len(n.inbox) == 0 {
		if n.replica.KeepsSnapshot() {
			n.wake()
		}
		if n.replica.Pump() {
			if n.send(n.replica.Out) {
				n.wake()
			}
		}
		return
	}
	frame := n.inbox[0]
	n.turn = turnNumber(frame)
	n.inbox = n.inbox[1:]
	n.heardUs = n.w.nowUs
	n.w.check.receives(n)
	n.frame = append(n.frame[:0], frame...) // used again, as a socket's buffer is
	verdict, reason := n.replica.Receive(n.frame)
	if !n.send(n.replica.Out) {
		return
	}
	switch verdict {
	case replica.Reopen:
		n.endSession("ended by the broker: "+reason, 1000)
		return
	case replica.Refused:
		n.endSession("refused: "+reason, refusedUs)
		if !n.alive {
			return
		}
		if _, cluster, _, _ := n.replica.Copy(); cluster != 0 && cluster != n.w.broker.disk.ClusterID {
			n.w.tracef("operator: restarts %s, which holds data of another history", n.id)
			n.crash()
			if n.disk != nil {
				n.disk.wipe()
			}
			n.start()
		}
		return
	case replica.Dismissed:
		if n.leaving {
			n.w.tracef("%s dismissed", n.id)
			n.end()
			return
		}
	}
	for n.replica.Busy() {
		n.replica.Step()
		if !n.send(n.replica.Out) {
			return
		}
	}
	n.w.check.received(n, frame)
	n.publish()
	n.wake()
}

func (n *nodeHost) publish() {
	b := n.replica.Beat(0)
	_, epoch := n.replica.Session()
	n.pub = published{applied: b.Applied, turn: b.Turn, epoch: epoch, deadlineMs: n.replica.NextDeadlineMs(), behind: n.replica.Behind(), memory: b.MemoryBytes}
}

func turnNumber(frame []byte) uint64 {
	h, _, err := wire.Decode(frame)
	if err != nil {
		return 0
	}
	return h.Seq
}

// leave asks to be let go.
func (n *nodeHost) leave() {
	if n.leaving {
		return
	}
	n.leaving = true
	n.w.tracef("%s leaves", n.id)
	n.later(goodbyeUs, n.end)
	if n.connected {
		n.goodbye()
	}
}

func (n *nodeHost) goodbye() {
	n.replica.Goodbye()
	n.send(n.replica.Out)
}
