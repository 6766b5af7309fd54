package replication

import (
	"slices"

	"brainer/internal/wire"
)

// View is the durable record of the in-sync set. Exactly the data nodes that it names hold every
// acknowledged write.
type View struct {
	No        uint64   `json:"view"`
	Epoch     uint64   `json:"epoch"`
	ClusterID uint64   `json:"cluster"` // drawn when the keyspace begins empty
	Members   []Member `json:"members"`
	Left      []Member `json:"left,omitempty"` // left otherwise than by goodbye, and not back yet
	History   []Era    `json:"history"`
}

// Member is one copy: a node that comes back empty has another DataID and is not this member.
type Member struct {
	NodeID   string `json:"node"`
	DataID   uint64 `json:"data"`
	Embedded bool   `json:"embedded,omitempty"` // lives in the broker's process
	Disk     bool   `json:"disk,omitempty"`     // is kept on a disk, too
}

// outlives says whether the copy may be there after the broker's process has ended.
func (m Member) outlives() bool { return !m.Embedded || m.Disk }

// Era says from which index on an epoch ordered the entries.
type Era struct {
	Era   uint64 `json:"era"`
	Start uint64 `json:"start"`
}

func (v *View) clone() View {
	w := *v
	w.Members = slices.Clone(v.Members)
	w.Left = slices.Clone(v.Left)
	w.History = slices.Clone(v.History)
	return w
}

func (v *View) has(nodeID string, dataID uint64) bool {
	return slices.ContainsFunc(v.Members, func(m Member) bool { return m.NodeID == nodeID && m.DataID == dataID })
}

// names reports whether the record knows of a node of that id.
func (v *View) names(nodeID string) bool {
	named := func(m Member) bool { return m.NodeID == nodeID }
	return slices.ContainsFunc(v.Members, named) || slices.ContainsFunc(v.Left, named)
}

// onlyEmbedded reports whether a broker that restarts may begin empty: nothing that could come back
// holds data.
func (v *View) onlyEmbedded() bool {
	return len(v.Left) == 0 && !slices.ContainsFunc(v.Members, Member.outlives)
}

// eraOf returns the era that ordered index.
func (v *View) eraOf(index uint64) uint64 {
	for i := len(v.History) - 1; i >= 0; i-- {
		if v.History[i].Start <= index {
			return v.History[i].Era
		}
	}
	return 0
}

// contains reports whether the state at p is one that this history went through, tail being its end.
func (v *View) contains(p wire.Position, tail uint64) bool {
	if p.Index == 0 {
		return true
	}
	return p.Index <= tail && v.eraOf(p.Index) == p.Era
}

// eraEnd is the last index of the era that ordered index; tail for the current one.
func (v *View) eraEnd(index, tail uint64) uint64 {
	for _, e := range v.History {
		if e.Start > index {
			return e.Start - 1
		}
	}
	return tail
}
