package sim

import "brainer/internal/wire"

// fault is one kind of what can go wrong.
type fault uint8

const (
	breakConnection fault = iota // what is in flight is lost from some point on
	crashNode                    // with its memory; it comes back empty
	pauseNode
	slowNode
	partitionNode // one way or both
	partitionLink // only data, or only heartbeats
	pauseBroker
	crashBroker // it comes back with its record
	slowStore
	leaveNode // goodbye
	joinNode
	repeatFrame // a late repetition
	// with disks only:
	crashAll // everything at once
	leaveAll // every node says goodbye
	fullDisk
	faultKinds
)

const faultKindsMemory = crashAll

var faultNames = [faultKinds]string{"break", "crash", "pause", "slow", "partition", "partition-link", "broker-pause",
	"broker-crash", "slow-store", "leave", "join", "repeat", "crash-all", "leave-all", "full-disk"}

// injector breaks things at random times.
type injector struct {
	w        *world
	healed   bool
	starting int // nodes that will start although everything is healed
}

func (f *injector) begin(w *world) {
	f.w = w
	if w.plan.schedule != nil {
		w.plan.schedule(w)
		return
	}
	f.next()
}

func (f *injector) next() {
	w := f.w
	w.after(w.between(w.plan.FaultEveryUs/10, 2*w.plan.FaultEveryUs), func() {
		if f.healed {
			return
		}
		f.inject()
		if w.chance(0.2) { // misfortunes seldom come singly
			f.inject()
		}
		f.next()
	})
}

func (f *injector) inject() {
	w := f.w
	kinds := faultKindsMemory
	if w.plan.Disks > 0 {
		kinds = faultKinds
	}
	kind := fault(w.rng.IntN(int(kinds)))
	if w.plan.Only != nil {
		kind = pick(w.rng, w.plan.Only...)
	}
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	if f.do(kind, n) {
		w.stats.Faults[kind]++
		w.mark('f', uint64(kind), uint64(n.index), 0)
	}
}

// do injects one fault and says whether it could. n is the node, where it concerns one.
func (f *injector) do(kind fault, n *nodeHost) bool {
	switch kind {
	case crashBroker, pauseBroker, slowStore, crashAll, leaveAll:
		return f.doToBroker(kind)
	case repeatFrame:
		f.w.net.repeatStale()
		return true
	case fullDisk:
		if n.disk == nil || !n.alive || f.w.chance(0.5) {
			return false
		}
		n.disk.sim.FullAt = 1
		return true
	}
	if n.embedded {
		return false // it lives and dies with the broker
	}
	switch kind {
	case breakConnection, partitionNode, partitionLink:
		return f.doToLink(kind, n)
	}
	return f.doToNode(kind, n)
}

// doToBroker injects a fault of the broker, or of all processes at once.
func (f *injector) doToBroker(kind fault) bool {
	w := f.w
	b := w.broker
	switch kind {
	case crashBroker:
		if !b.alive || w.chance(0.5) {
			return false
		}
		b.crash()
		w.after(w.between(10_000, 600_000), f.restartBroker)
		return true
	case pauseBroker:
		if !b.alive || b.paused {
			return false
		}
		life := b.life
		b.pause()
		for _, n := range w.nodes {
			if n.embedded && n.alive {
				n.pause()
			}
		}
		w.after(w.between(20_000, 2_000_000), func() {
			if b.life == life {
				f.resumeBroker()
			}
		})
		return true
	case slowStore:
		b.slowUs = w.between(50_000, 1_200_000)
		w.after(w.between(500_000, 3_000_000), func() { b.slowUs = 0 })
		return true
	case crashAll:
		if !b.alive || w.chance(0.5) {
			return false
		}
		f.crashAll()
		return true
	case leaveAll:
		if !b.alive || b.paused || w.chance(0.5) {
			return false
		}
		for _, n := range w.nodes {
			if n.alive && !n.paused && !n.embedded {
				n.leave()
				f.restart(n, w.between(2_500_000, 3_500_000))
			}
		}
		return true
	}
	return false
}

func (f *injector) doToNode(kind fault, n *nodeHost) bool {
	w := f.w
	switch kind {
	case joinNode:
		if n.alive {
			return false
		}
		n.start()
		return true
	case crashNode:
		if !n.alive || n.disk == nil && f.lastCopy(n) && !w.chance(0.1) {
			return false
		}
		n.crash()
		if w.chance(0.8) {
			f.restart(n, w.between(1_000, 2_500_000))
		}
		return true
	case pauseNode:
		if !n.alive || n.paused {
			return false
		}
		life := n.life
		n.pause()
		w.after(w.between(10_000, 3_000_000), func() {
			if n.life == life {
				n.resume()
			}
		})
		return true
	case slowNode:
		n.slowUs = w.between(1_000, 60_000)
		w.after(w.between(200_000, 2_000_000), func() { n.slowUs = 0 })
		return true
	case leaveNode:
		if !n.alive || n.paused || f.lastCopy(n) {
			return false
		}
		n.leave()
		f.restart(n, w.between(2_500_000, 4_000_000))
		return true
	}
	return false
}

func (f *injector) doToLink(kind fault, n *nodeHost) bool {
	w := f.w
	switch kind {
	case breakConnection:
		which := w.rng.IntN(3)
		if n.data != nil && which != 1 {
			n.data.breakOff()
		}
		if n.beat != nil && which != 0 {
			n.beat.breakOff()
		}
		return n.data != nil
	case partitionNode:
		both := w.chance(0.5)
		up := w.chance(0.5)
		n.cutUp, n.cutDown = both || up, both || !up
		w.tracef("partition %s up=%v down=%v", n.id, n.cutUp, n.cutDown)
		w.after(w.between(50_000, 3_000_000), func() { f.mend(n) })
		return true
	case partitionLink:
		n.cutData = w.chance(0.5)
		n.cutBeat = !n.cutData
		w.tracef("partition %s data=%v beats=%v", n.id, n.cutData, n.cutBeat)
		w.after(w.between(50_000, 2_000_000), func() { f.mend(n) })
		return true
	}
	return false
}

// lastCopy: no other member of the record is alive.
func (f *injector) lastCopy(n *nodeHost) bool {
	others := 0
	f.w.check.eachMember(&f.w.broker.disk, func(m *nodeHost, _ wire.Position) {
		if m != n && !m.embedded && !m.leaving {
			others++
		}
	})
	return others == 0
}

// crashAll ends every process, and brings them back one after the other.
func (f *injector) crashAll() {
	w := f.w
	w.tracef("everything dies")
	if w.broker.alive {
		w.broker.crash()
	}
	w.after(w.between(10_000, 600_000), f.restartBroker)
	for _, n := range w.nodes {
		if n.alive {
			n.crash()
		}
		if !n.embedded {
			f.restart(n, w.between(10_000, 1_500_000))
		}
	}
}

func (f *injector) restart(n *nodeHost, us int64) {
	f.w.after(us, func() {
		if !n.alive && !f.healed {
			n.start()
		}
	})
}

func (f *injector) restartBroker() {
	w := f.w
	if w.broker.alive {
		return
	}
	w.broker.start()
	for _, n := range w.nodes {
		if n.embedded && !n.alive {
			n.start()
		}
	}
}

func (f *injector) resumeBroker() {
	f.w.broker.resume()
	for _, n := range f.w.nodes {
		if n.embedded {
			n.resume()
		}
	}
}

func (f *injector) mend(n *nodeHost) {
	w := f.w
	n.cutUp, n.cutDown, n.cutData, n.cutBeat = false, false, false, false
	w.tracef("partition of %s ends", n.id)
	for _, c := range append([]*conn(nil), w.net.all...) {
		if c.node == n {
			c.unblock()
		}
	}
}

// heal ends all faults and brings every process back.
func (f *injector) heal() {
	w := f.w
	f.healed = true
	w.tracef("everything is healed")
	w.broker.slowUs = 0
	for _, n := range w.nodes {
		if n.disk != nil {
			n.disk.sim.FullAt = 0 // one that was not written to since it was full has not failed yet
		}
	}
	f.restartBroker()
	f.resumeBroker()
	for _, n := range w.nodes {
		n.slowUs = 0
		f.mend(n)
		if n.alive && n.leaving && n.disk != nil { // all may be
			f.starting++
			w.after(goodbyeUs+500_000, func() {
				f.starting--
				if !n.alive {
					n.start()
				}
			})
		}
		n.resume()
		if !n.alive && (n.disk != nil || w.chance(0.7)) {
			n.start()
		}
	}
	if n := w.nodes[0]; !n.alive {
		n.start() // one at least
	}
}
