package replica

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"brainer/internal/command"
	"brainer/internal/eviction"
	"brainer/internal/wire"
)

// apply executes the entry that follows the present position.
func (r *Replica) apply(era, index uint64, e *wire.Entry, encoded []byte, from *carrier) []byte {
	r.entries++
	r.ks.ResetChangeHash()
	r.reply.Reset(int(e.Proto))
	ids := r.ids.sum
	r.ctx.OfThisCopy = false
	if from != nil {
		r.ks.Offer(from.region)
	}
	if r.maybeAnswer(e) {
		r.watches.release(e.Token) // as if it had run
	} else {
		r.ctx.Hits, r.ctx.Misses = 0, 0
		r.applyNew(e)
		r.tally.EntryHits += uint64(r.ctx.Hits)
		r.tally.EntryMisses += uint64(r.ctx.Misses)
		if len(e.ID.Client) > 0 {
			r.keepOutcome(e)
		}
	}
	r.ks.Offer(nil)
	r.lastMs, r.entryMs = max(r.lastMs, e.TimeMs), e.TimeMs
	limit := r.cfg.ReclaimPerEntry
	if e.Kind == wire.EntryTick {
		limit = r.cfg.ReclaimPerTick
	}
	r.ks.Reclaim(e.TimeMs, limit)
	r.ids.reclaim(e.TimeMs+r.cfg.Fault.IDSkewMs, limit)
	r.pos = wire.Position{Era: era, Index: index}
	r.digest = chain(r.digest, index, r.replyHash(), r.ks.ChangeHash()^(r.ids.sum-ids))
	if index%wire.DigestEvery == 0 {
		r.checkAt, r.check = index, r.digest
	}
	if limit := r.memory.limitBytes; r.cfg.Fault.OwnEviction && limit > 0 && r.MemoryBytes() > limit*9/10 {
		for _, n := range r.ks.Nominate(eviction.AllKeysLRU, 1, 5, e.TimeMs, func(int, []byte) bool { return true }) {
			r.ks.Delete(n.DB, n.Key, e.TimeMs)
		}
	}
	if r.cfg.Fault.FlipBit && index == 50 {
		r.ks.Damage(index*0x9e3779b97f4a7c15, e.TimeMs)
	}
	reply := r.replies.keep(r.reply.B)
	r.ring.append(era, index, encoded, reply, from)
	r.keepEntry(encoded)
	if r.lateSnap != 0 {
		r.beginDonation(r.lateSnap, r.lateParts)
		r.lateSnap = 0
	}
	if r.cfg.OnApply != nil && r.restore == nil {
		r.cfg.OnApply(r.pos, r.digest)
	}
	return reply
}

// applyNew executes an entry that is not a repetition.
func (r *Replica) applyNew(e *wire.Entry) {
	switch e.Kind {
	case wire.EntryCommand:
		r.execute(e.DB, e.Proto, e.NoTouch, e.TimeMs, e.Seed, e.Body, false)
	case wire.EntryTxn:
		if r.watches.take(r.ks, e.Token, e.TimeMs) {
			r.execute(e.DB, e.Proto, e.NoTouch, e.TimeMs, e.Seed, e.Body, true)
		} else {
			r.reply.NullArray()
		}
	case wire.EntryWatch:
		args, _, err := command.SplitCommand(e.Body, r.args[:0])
		r.args = args
		if err == nil {
			r.watches.add(r.ks, e.Token, int(e.DB), args[1:], e.TimeMs)
		}
		r.reply.OK()
	case wire.EntryUnwatch:
		r.watches.release(e.Token)
		r.reply.OK()
	case wire.EntryNoop:
		r.watches.releaseAll() // the connections of the broker before are gone
	}
}

// execute runs one command, or the commands of a transaction, and leaves the reply in r.reply.
func (r *Replica) execute(db, proto uint8, noTouch bool, timeMs int64, seed uint64, body []byte, txn bool) {
	r.lastMs = max(r.lastMs, timeMs)
	if r.cfg.Fault.WallClock {
		timeMs = r.cfg.Fault.ClockMs
	}
	r.reply.Reset(int(proto))
	c := &r.ctx
	*c = command.Ctx{KS: r.ks, DB: int(db), NowMs: timeMs, Seed: seed + r.cfg.Fault.OwnSeed, W: &r.reply, NoTouch: noTouch,
		LaterFrom: r.laterFrom, FarFrom: r.farFrom, LFU: r.memory.counts.LFU}
	if txn {
		if err := command.RunTxn(c, r.cfg.Table, body); err != nil {
			c.Faults = append(c.Faults, command.Fault{Command: "EXEC", Value: err})
			r.reply.Reset(int(proto))
			r.reply.Error(command.ErrInternal)
		}
	} else {
		clear(r.args) // or what a long one left behind would keep the turns that it came in
		args, rest, err := command.SplitCommand(body, r.args[:0])
		r.args = args
		if err != nil || len(rest) > 0 {
			r.countFaults([]command.Fault{{Command: "?", Value: fmt.Errorf("a command that cannot be read: %.60q (%v)", body, err)}})
			r.reply.Error(command.ErrInternal)
			return
		}
		if n := len(args); r.cfg.Fault.MapOrder && n > 4 && string(args[0]) == "HSET" {
			args[n-4], args[n-3], args[n-2], args[n-1] = args[n-2], args[n-1], args[n-4], args[n-3]
		}
		if r.cfg.Fault.EvictIdle && string(args[0]) == "UNLINK" {
			args = slices.DeleteFunc(args, func(key []byte) bool {
				idle, ok := r.ks.IdleSeconds(int(db), key, timeMs)
				return ok && idle == 0
			})
		}
		c.Args = args
		command.Execute(c, r.cfg.Table)
	}
	r.countFaults(c.Faults)
}

func (r *Replica) countFaults(faults []command.Fault) {
	r.faults += uint64(len(faults))
	if r.cfg.OnFault != nil {
		for _, f := range faults {
			r.cfg.OnFault(f)
		}
	}
}

// replyHash is what the rolling digest has of the reply: nothing, if another copy may answer something else.
func (r *Replica) replyHash() uint64 {
	if r.ctx.OfThisCopy {
		return 0
	}
	return xxhash.Sum64(r.reply.B)
}

// chain folds one entry into the rolling digest.
func chain(digest, index, reply, change uint64) uint64 {
	var b [32]byte
	le := binary.LittleEndian
	le.PutUint64(b[0:], digest)
	le.PutUint64(b[8:], index)
	le.PutUint64(b[16:], reply)
	le.PutUint64(b[24:], change)
	return xxhash.Sum64(b[:])
}
