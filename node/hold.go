package node

import (
	"bytes"
	"time"

	"brainer/internal/link"
	"brainer/node/replica"
)

// heldFrame waits until all is kept that was put before it: with Fsync.Always nothing is told before that.
type heldFrame struct {
	frame replica.Frame
	mark  uint64
}

// keepChanges gives the storage what has come about, and has the log replaced when it has grown too long.
func (n *Node) keepChanges() {
	k := n.keeper
	if k == nil {
		return
	}
	n.putChanges()
	if k.wantsSnapshot() && n.replica.KeepSnapshot() {
		n.log.Info("the log is being replaced by a snapshot", "node", n.cfg.Replica.NodeID)
		n.putChanges()
	}
	n.keepWanted()
}

func (n *Node) putChanges() {
	for {
		n.changes = n.replica.TakeChanges(n.changes)
		if len(n.changes) == 0 {
			return
		}
		n.keeper.enqueue(n.changes)
	}
}

// wantedSnapshot is one that the broker has asked for.
type wantedSnapshot struct {
	number uint64 // wire.Beat.Keep
	begun  uint64 // the keeper's number of it; 0: it has not begun
}

// keepWanted sees to it that the snapshot which the broker wants is on disk, of a state not before it was asked for.
func (n *Node) keepWanted() {
	number := n.replica.WantedSnapshot()
	switch {
	case number == 0 || n.diskGone || n.state.snapshotKept.Load() == number:
		return
	case n.wanted.number != number:
		n.wanted = wantedSnapshot{number: number}
	}
	if n.wanted.begun > 0 {
		over, whole := n.keeper.snapshotOver(n.wanted.begun)
		if !over {
			return
		}
		if whole {
			n.state.snapshotKept.Store(number)
			return
		}
	}
	if n.wanted.begun = 0; n.replica.Empty() {
		n.state.snapshotKept.Store(number)
	} else if n.replica.KeepSnapshot() {
		n.putChanges()
		n.wanted.begun = n.keeper.lastSnapshot()
		n.log.Info("the log is being replaced by a snapshot", "node", n.cfg.Replica.NodeID, "wanted", "by the broker")
	}
}

// sendOut sends what the replica has put out, once it may be told.
func (n *Node) sendOut(dealer link.Dealer) error {
	n.keepChanges()
	if len(n.held) > 0 {
		if _, err := n.release(dealer); err != nil {
			return err
		}
	}
	if n.keeper != nil && len(n.replica.Out) > 0 {
		if mark := n.keeper.mark(); mark > 0 || len(n.held) > 0 {
			n.hold(max(mark, n.heldMark()))
			return nil
		}
	}
	return n.sendFrames(dealer, n.replica.Out)
}

func (n *Node) heldMark() uint64 {
	if len(n.held) == 0 {
		return 0
	}
	return n.held[len(n.held)-1].mark
}

// hold copies what was put out, for later.
func (n *Node) hold(mark uint64) {
	if len(n.held) == 0 {
		n.state.heldSinceNs.Store(time.Now().UnixNano())
	}
	for _, f := range n.replica.Out {
		c := replica.Frame{Bytes: bytes.Clone(f.Bytes)}
		for _, more := range f.More {
			c.More = append(c.More, bytes.Clone(more))
		}
		n.held = append(n.held, heldFrame{c, mark})
	}
}

// release sends what may be told by now, and says whether there was something. If not, the owner is kicked when there is.
func (n *Node) release(dealer link.Dealer) (some bool, err error) {
	if len(n.held) == 0 {
		return false, nil
	}
	upTo := n.keeper.keptUpTo(n.held[0].mark)
	k := 0
	for k < len(n.held) && n.held[k].mark <= upTo {
		if err := n.sendFrames(dealer, []replica.Frame{n.held[k].frame}); err != nil {
			return true, err
		}
		k++
	}
	if k == 0 {
		return false, nil
	}
	clear(n.held[:k])
	n.held = n.held[k:]
	if len(n.held) == 0 {
		n.forgetHeld()
	} else {
		n.state.heldSinceNs.Store(time.Now().UnixNano())
	}
	return true, nil
}

// forgetHeld drops what was held for a session that is over.
func (n *Node) forgetHeld() {
	n.held = nil
	n.state.heldSinceNs.Store(0)
}

// keptRest is how many times as long as a piece of a snapshot has taken nothing is done for it afterwards, while clients ask: writing
// it down costs as much again, on another processor, which the broker may need.
const keptRest = 8

// keptPace is when the next piece of the snapshot that is kept may be taken.
type keptPace struct {
	due      time.Time
	progress uint64      // of the node when the last piece was taken: nobody has asked for anything since if it is the same
	timer    *time.Timer // kicks the owner when it is due
}

// pumpKept adds a piece to the snapshot that is being kept, if there is one, room for it and time.
func (n *Node) pumpKept() bool {
	if n.keeper == nil {
		return false
	}
	n.keepWanted()
	if !n.replica.KeepsSnapshot() || !n.keeper.room() {
		return false
	}
	p := &n.pace
	began := time.Now()
	if progress := n.state.progress.Load(); progress != p.progress {
		if wait := p.due.Sub(began); wait > 0 {
			if p.timer == nil {
				p.timer = time.AfterFunc(wait, n.kick)
			} else {
				p.timer.Reset(wait)
			}
			return false
		}
		p.progress = progress
	}
	n.replica.PumpKept()
	n.keepChanges()
	now := time.Now()
	p.due = now.Add(keptRest * now.Sub(began))
	return true
}

// diskStopped looks whether the storage has failed since, and returns the error that ends the node if it is to end then.
func (n *Node) diskStopped() error {
	if n.keeper == nil || n.diskGone {
		return nil
	}
	err := n.keeper.stopped()
	if err == nil {
		return nil
	}
	n.diskGone = true
	n.replica.StopKeeping()
	if n.cfg.EndWithDisk {
		return err
	}
	return errSession{"the disk has stopped", time.Millisecond} // what was held is not told before the broker knows
}
