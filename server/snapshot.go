package server

import (
	"context"
	"errors"
	"time"

	"brainer/internal/command"
	"brainer/internal/op"
	"brainer/resp"
)

// Snapshots is what a Backend may offer: the data as it was at one index, in parts. The texts of errors are for clients.
type Snapshots interface {
	ReadSnapshot() (op.SnapshotReader, error)
}

// snapshotPatience is how long a part is waited for before the client is told to ask again.
const snapshotPatience = 5 * time.Second

// brainerSnapshot gives the data as it was at one index, a part for each call: the client asks for the next one when it
// has put the last away, so that a slow one slows only itself.
func brainerSnapshot(c *client, args [][]byte, w *resp.Writer) {
	switch {
	case len(args) == 3 && equalFold(args[2], "begin"):
		c.closeSnapshot()
		s, ok := c.srv.backend.(Snapshots)
		if !ok {
			w.Error(errNoOperator)
			return
		}
		var err error
		if c.snapshot, err = s.ReadSnapshot(); err != nil {
			c.snapshot = nil
			w.Error(err.Error())
			return
		}
	case len(args) == 3 && equalFold(args[2], "next"):
		if c.snapshot == nil {
			w.Error(errNoSnapshot)
			return
		}
	case len(args) == 3 && equalFold(args[2], "end"):
		c.closeSnapshot()
		w.OK()
		return
	default:
		w.Error(command.ErrSyntax)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), snapshotPatience)
	defer cancel()
	p, err := c.snapshot.Next(ctx)
	if err != nil {
		if !errors.Is(err, op.ErrSnapshotLate) {
			c.closeSnapshot()
		}
		w.Error(err.Error())
		return
	}
	if p.Last {
		c.closeSnapshot()
	}
	writeSnapshotPart(w, &p)
}

func writeSnapshotPart(w *resp.Writer, p *op.SnapshotPart) {
	w.Map(11)
	number := func(name string, value int64) { w.BulkString(name); w.Int(value) }
	number("epoch", int64(p.Epoch))
	number("index", int64(p.Index))
	number("time_ms", p.TimeMs)
	number("cluster", int64(p.Cluster))
	number("keys_done", p.KeysDone)
	number("keys_total", p.KeysTotal)
	number("bytes_done", p.BytesDone)
	number("bytes_total", p.BytesTotal)
	number("last", oneIf(p.Last))
	number("count", int64(p.Count))
	w.BulkString("commands")
	w.Bulk(p.Commands)
}

func (c *client) closeSnapshot() {
	if c.snapshot != nil {
		c.snapshot.Close()
		c.snapshot = nil
	}
}
