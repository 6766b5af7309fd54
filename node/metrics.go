package node

import (
	"errors"
	"fmt"

	"brainer/metrics"
)

// Metrics describes the node for its /metrics.
func (n *Node) Metrics() metrics.NodeStatus {
	s, ok := n.Status()
	if !ok {
		return metrics.NodeStatus{ID: n.cfg.Replica.NodeID, Session: "down", Disk: n.Disk()}
	}
	m := metrics.NodeStatus{ID: s.NodeID, Session: "replay", Sessions: n.sessions.Load(), Epoch: s.Epoch,
		Applied: s.Position.Index, EntriesApplied: s.EntriesApplied, Reads: s.Reads, CommandPanics: s.Faults,
		Keys: s.Keys, UsedMemory: s.UsedBytes, IDs: s.IDs, IDsAnswered: s.IDsAnswered, LoadKeysDone: int64(s.KeysDone), LoadKeysTotal: int64(s.KeysTotal),
		LoadBytesDone: int64(s.BytesDone)}
	switch {
	case s.Loading:
		m.Session = "loading"
	case s.InSync:
		m.Session = "live"
	case n.state.session.Load() == 0:
		m.Session = "down"
	}
	m.BusySeconds = n.state.busySeconds()
	m.Disk = n.Disk()
	return m
}

// Disk describes what the node keeps, nil when it keeps nothing.
func (n *Node) Disk() *metrics.Disk {
	if n.cfg.Storage == nil {
		return nil
	}
	d := &metrics.Disk{}
	d.LoadDone, d.LoadTotal = n.Loading()
	if d.LoadTotal == 0 {
		d.LoadDone = 0
	}
	if k := n.keeping.Load(); k != nil {
		k.describe(d)
	}
	return d
}

// Ready says why this copy is not in sync, or nil.
func (n *Node) Ready() error {
	s, ok := n.Status()
	switch {
	case !ok:
		return errors.New("busy")
	case s.Loading:
		if done, total := n.Loading(); total > 0 {
			return fmt.Errorf("loading from disk: %d %%", done*100/total)
		}
		return errors.New("loading a snapshot")
	case !s.InSync:
		return errors.New("not in sync")
	}
	return nil
}
