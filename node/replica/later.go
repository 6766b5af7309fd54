package replica

import (
	"slices"

	"brainer/internal/command"
	"brainer/internal/wire"
)

// later is a read of very many elements that is being executed in slices: the turn that it came with
// goes on without it, and its reply follows in a Done of its own, whose number is 0. It shows the
// state at the place in the order where it came.
type later struct {
	id     uint64
	read   *command.Later
	slices int
}

const (
	sliceBytes    = 256 << 10 // of reply, that one slice may add
	sayStillEvery = 8         // slices until the broker is told that it goes on
)

// maybeBeginLater takes the read that has just been executed, if it only began.
func (r *Replica) maybeBeginLater(id uint64) bool {
	if r.ctx.Later == nil {
		return false
	}
	r.endLater(id) // the answer that said so was lost, and it came again
	r.laters = append(r.laters, &later{id: id, read: r.ctx.Later})
	r.ctx.Later = nil
	r.putReply(wire.ReplyLater, id, nil)
	return true
}

// maybeSlice executes a slice of the read whose turn it is, and says whether there was one.
func (r *Replica) maybeSlice() bool {
	if len(r.laters) == 0 {
		return false
	}
	r.cfg.progressed()
	l := r.laters[0]
	done := l.read.Step(r.cfg.SliceElements, sliceBytes)
	l.slices++
	switch {
	case done:
		r.countFaults(l.read.Faults)
		r.putLater(wire.ReplyRead, l.id, l.read.Reply())
		r.endLater(l.id)
	default:
		r.laters = append(r.laters[1:], l)
		if l.slices%sayStillEvery == 0 {
			r.putLater(wire.ReplyLater, l.id, nil)
		}
	}
	return true
}

func (r *Replica) putLater(kind wire.ReplyKind, id uint64, reply []byte) {
	b := make([]byte, 0, len(reply)+256)
	b = wire.BeginReply(wire.BeginDone(b), kind, id)
	start := len(b)
	b = append(b, reply...)
	wire.EndReply(b, start)
	r.put(wire.FinishDone(b, wire.DoneHead{Applied: r.pos, DigestIndex: r.checkAt, Digest: r.check, Part: true}, r.header()))
}

func (r *Replica) endLater(id uint64) {
	r.laters = slices.DeleteFunc(r.laters, func(l *later) bool {
		if l.id == id {
			l.read.Close()
		}
		return l.id == id
	})
}

// closeLaters: nobody waits for them any more.
func (r *Replica) closeLaters() {
	for _, l := range r.laters {
		l.read.Close()
	}
	r.laters = nil
}
