package sim

import (
	"bytes"
	"fmt"

	"brainer/broker/replication"
	"brainer/internal/command"
	"brainer/internal/wire"
)

// reader reads snapshots in the broker, as who saves one does: it begins at random times, takes parts as fast as it likes, and
// now and then wants no more.
type reader struct {
	w     *world
	id    uint64 // of the snapshot that is read, 0: none
	life  int    // of the broker
	parts [][]byte
	upTo  uint32
	whole []readSnapshot
}

// readSnapshot is one that was read to its end.
type readSnapshot struct {
	cluster uint64
	at      wire.Position
	timeMs  int64
	parts   [][]byte
	read    uint64 // place in what all clients saw
}

// firstParts come unasked.
const firstParts = 2

func (r *reader) begin(w *world) {
	r.w = w
	r.later()
}

func (r *reader) later() {
	r.w.after(r.w.between(20_000, 1_500_000), func() {
		b := r.w.broker
		if r.w.check.calm {
			return
		}
		if b.alive && !b.paused {
			if id, refusal := b.core.BeginRead(b.clockUs()); refusal == "" {
				r.id, r.life, r.parts, r.upTo = id, b.life, nil, 0
				r.readOn()
				return
			}
		}
		r.later()
	})
}

// readOn takes one or more parts further, or gives up.
func (r *reader) readOn() {
	b := r.w.broker
	if !b.alive || b.life != r.life { // it went with the broker
		r.id = 0
		r.later()
		return
	}
	if b.paused {
		r.after()
		return
	}
	if r.w.chance(0.02) {
		b.core.EndRead(b.clockUs(), r.id)
		r.id = 0
		r.later()
	} else {
		if uint32(len(r.parts)) >= r.upTo {
			r.upTo = uint32(len(r.parts) + 1 + r.w.rng.IntN(4))
			b.core.ReadOn(b.clockUs(), r.id, r.upTo)
		}
		r.after()
	}
	b.perform()
	b.wake()
}

func (r *reader) after() {
	id := r.id
	r.w.after(r.w.between(100, 20_000), func() {
		if r.id == id {
			r.readOn()
		}
	})
}

// part takes what has come.
func (r *reader) part(p replication.Part) {
	w := r.w
	if r.id == 0 || p.Reader != r.id {
		return
	}
	if p.Refusal == "" {
		if uint32(len(r.parts)) >= max(r.upTo, firstParts) {
			w.failf("snapshot: part %d comes, and only %d were asked for", len(r.parts)+1, r.upTo)
		}
		r.parts = append(r.parts, bytes.Clone(p.Records))
	}
	if p.Last {
		w.history.seen++
		w.stats.Read++
		w.tracef("snapshot read: at=%v parts=%d", p.Position, len(r.parts))
		r.whole = append(r.whole, readSnapshot{p.Cluster, p.Position, p.TimeMs, r.parts, w.history.seen})
	}
	if p.Last || p.Refusal != "" {
		r.id = 0
		r.later()
	}
}

// of are the snapshots that were read of a history, by the indexes whose state they are; what a later reign, or the loss of all memory, has
// made undone is none.
func (r *reader) of(l *lineage, end uint64, eraOf func(uint64) uint64) map[uint64][]readSnapshot {
	at := map[uint64][]readSnapshot{}
	for _, s := range r.whole {
		lost := false
		for _, c := range l.cuts {
			lost = lost || s.read < c.seen && s.at.Index > c.index
		}
		switch {
		case s.cluster != l.id || lost:
		case s.at.Index > end || eraOf(s.at.Index) != s.at.Era:
			r.w.failf("snapshot: one was read of %v, and that was lost (the order ends at %d)", s.at, end)
		default:
			at[s.at.Index] = append(at[s.at.Index], s)
		}
	}
	return at
}

// verify compares a snapshot with the state at its place.
func (s *readSnapshot) verify(o *oracle, l *lineage) {
	var commands []byte
	db := -1
	for _, p := range s.parts {
		var err error
		if commands, db, _, err = wire.AppendCommands(commands, p, db); err != nil {
			o.w.failf("snapshot: the one of %v is damaged: %v", s.at, err)
			return
		}
	}
	loaded := newOracle(o.w)
	loaded.begin(l.id)
	into := 0
	index := uint64(0)
	for len(commands) > 0 {
		args, rest, err := command.SplitCommand(commands, nil)
		if err != nil {
			o.w.failf("snapshot: the one of %v has no commands: %v", s.at, err)
			return
		}
		body := commands[:len(commands)-len(rest)]
		commands = rest
		if string(args[0]) == "SELECT" {
			into = int(args[1][0] - '0')
			continue
		}
		index++
		loaded.apply(wire.Position{Era: 1, Index: index}, wire.AppendEntry(nil, &wire.Entry{Kind: wire.EntryCommand, DB: uint8(into), Proto: 2, TimeMs: s.timeMs, Body: body}))
	}
	ms := max(o.timeMs, s.timeMs)
	if got, want := loaded.content(ms), o.content(ms); got != want {
		o.w.failf("snapshot: the one that was read of %v is not the state there:\n%s\nbut\n%s", s.at, got, want)
	}
}

// content is all that there is at ms.
func (o *oracle) content(ms int64) string {
	var b bytes.Buffer
	for db := range uint8(2) {
		o.db = db
		fmt.Fprintf(&b, "%q", o.read(ms, 2, false, encode([]string{"DBSIZE"})))
		for _, key := range o.allKeys() {
			get := "GET"
			if key[0] == 'h' {
				get = "HGETALL"
			}
			fmt.Fprintf(&b, " %s=%q,%q", key, o.read(ms, 2, false, encode([]string{get, key})), o.read(ms, 2, false, encode([]string{"PEXPIRETIME", key})))
		}
	}
	o.db = 0
	return b.String()
}
