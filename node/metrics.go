package node

import (
	"errors"

	"brainer/metrics"
)

// Metrics describes the node for its /metrics.
func (n *Node) Metrics() metrics.NodeStatus {
	s, ok := n.Status()
	if !ok {
		return metrics.NodeStatus{ID: n.cfg.Replica.NodeID, Session: "down"}
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
	return m
}

// Ready says why this copy is not in sync, or nil.
func (n *Node) Ready() error {
	s, ok := n.Status()
	switch {
	case !ok:
		return errors.New("busy")
	case s.Loading:
		return errors.New("loading a snapshot")
	case !s.InSync:
		return errors.New("not in sync")
	}
	return nil
}
