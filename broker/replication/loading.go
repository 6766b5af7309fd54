package replication

import (
	"fmt"
	"strings"

	"brainer/internal/wire"
)

// loading is how far a node has come with what it finds on its disk. It opens its session when that is done.
type loading struct {
	done, total uint64 // bytes
	atUs        int64  // when it said so
}

const (
	loadingSilentUs = 3_000_000 // what was said longer ago does not count
	loadingNodesMax = nodesMax
)

// receiveLoading: a node says how far it has come.
func (c *Core) receiveLoading(m wire.Hello) {
	if !validID(m.NodeID) || len(c.loading) >= loadingNodesMax && c.loading[m.NodeID].total == 0 {
		return
	}
	if _, known := c.loading[m.NodeID]; !known {
		c.event(0, "node loads its disk", nil, "node=%s bytes=%d", m.NodeID, m.LoadTotal)
	}
	c.loading[m.NodeID] = loading{min(m.LoadDone, m.LoadTotal), m.LoadTotal, c.nowUs}
}

// loadingPercent is how far the nodes that load have come together, and whether there is one.
func (c *Core) loadingPercent() (percent int, any bool) {
	var done, total uint64
	for id, l := range c.loading {
		if c.nowUs-l.atUs > loadingSilentUs {
			delete(c.loading, id)
			continue
		}
		done, total = done+l.done, total+l.total
	}
	if total == 0 {
		return 0, false
	}
	return int(float64(done) / float64(total) * 100), true
}

// loadingDetail says for people what a broker that does not serve yet waits for.
func (c *Core) loadingDetail() string {
	switch percent, any := c.loadingPercent(); {
	case c.state == active:
		return ""
	case any:
		return fmt.Sprintf("loading from disk: %d %%", percent)
	case c.state == forming && len(c.bySession) == 0:
		return "waits for a node"
	}
	if ids := c.absent(); len(ids) > 0 {
		return "waits for " + strings.Join(ids, ", ")
	}
	return ""
}

// absent are the members of the last in-sync set that may still come, before it is recovered from.
func (c *Core) absent() (ids []string) {
	if c.state != recovering || c.base != nil {
		return nil
	}
	for _, m := range c.view.Members {
		if n := c.nodeByID(m.NodeID); m.outlives() && (n == nil || !n.connected() || !n.reported) {
			ids = append(ids, m.NodeID)
		}
	}
	return ids
}
