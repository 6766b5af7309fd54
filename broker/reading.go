package broker

import (
	"context"
	"errors"
	"time"

	"brainer/broker/replication"
	"brainer/internal/op"
	"brainer/internal/wire"
)

// readAhead is how many parts of a snapshot (256 KB each, a long string of an older node more) wait for who reads it.
const readAhead = 8

// Snapshot is the data as it was at one index, read from a node in parts. One goroutine reads it.
type Snapshot struct {
	b     *Broker
	id    uint64
	parts chan replication.Part // has room for all that was asked for
	taken uint32
	db    int // of the last command
	bytes int64
	over  bool
}

var errSnapshotOver = errors.New("ERR the snapshot has been read to its end")

// ReadSnapshot begins to read a snapshot; Close is to be called in the end. The errors of both are for clients.
func (b *Broker) ReadSnapshot() (op.SnapshotReader, error) {
	s := &Snapshot{b: b, parts: make(chan replication.Part, readAhead+2), db: -1}
	text := b.text(func(c *replication.Core) string {
		id, refusal := c.BeginRead(b.cfg.NowUs())
		if refusal == "" {
			s.id = id
			b.readers[id] = s
			c.ReadOn(b.cfg.NowUs(), id, readAhead)
		}
		return refusal
	})
	if text != "" {
		return nil, errors.New(text)
	}
	return s, nil
}

// Next waits for the next part.
func (s *Snapshot) Next(ctx context.Context) (op.SnapshotPart, error) {
	if s.over {
		return op.SnapshotPart{}, errSnapshotOver
	}
	var p replication.Part
	select {
	case p = <-s.parts:
	case <-ctx.Done():
		return op.SnapshotPart{}, op.ErrSnapshotLate
	case <-s.b.ended:
		s.over = true
		return op.SnapshotPart{}, errors.New(string(errStopping[1 : len(errStopping)-2]))
	}
	if p.Refusal != "" {
		s.over = true
		return op.SnapshotPart{}, errors.New(p.Refusal)
	}
	s.taken++
	s.over = p.Last
	if !p.Last && s.taken%(readAhead/2) == 0 {
		upTo := s.taken + readAhead
		s.b.tell(func(c *replication.Core) { c.ReadOn(s.b.cfg.NowUs(), s.id, upTo) })
	}
	s.bytes += int64(len(p.Records))
	out := op.SnapshotPart{Epoch: p.Position.Era, Index: p.Position.Index, TimeMs: p.TimeMs, Cluster: p.Cluster, KeysDone: p.KeysDone,
		KeysTotal: p.KeysTotal, BytesDone: s.bytes, BytesTotal: p.BytesTotal, Last: p.Last}
	var err error
	out.Commands, s.db, out.Count, err = wire.AppendCommands(make([]byte, 0, len(p.Records)), p.Records, s.db)
	if err != nil {
		s.over = true
		return op.SnapshotPart{}, errors.New("ERR the node sent a damaged snapshot")
	}
	return out, nil
}

// Close lets go of the snapshot.
func (s *Snapshot) Close() {
	s.b.tell(func(c *replication.Core) {
		delete(s.b.readers, s.id)
		c.EndRead(s.b.cfg.NowUs(), s.id)
	})
}

// tell is ask for who does not wait for the answer, unless the owner has a lot to do.
func (b *Broker) tell(f func(*replication.Core)) {
	select {
	case b.calls <- call{run: f, done: make(chan struct{})}:
		b.Kick()
	case <-b.ended:
	case <-time.After(askMax):
	}
}

// passParts hands over what has come of the snapshots that are read.
func (b *Broker) passParts(parts []replication.Part) {
	for _, p := range parts {
		s := b.readers[p.Reader]
		if s == nil {
			continue
		}
		select {
		case s.parts <- p:
		default:
			panic("broker: more parts of a snapshot than were asked for")
		}
		if p.Last || p.Refusal != "" {
			delete(b.readers, p.Reader)
		}
	}
}
