package replication

import (
	"fmt"

	"maps"
	"slices"
	"sort"

	"brainer/internal/op"
	"brainer/internal/wire"
)

// Status describes the core as it is now.
func (c *Core) Status(nowUs int64) op.Status {
	c.setNow(nowUs)
	s := op.Status{
		State: c.stateName(), Detail: c.detail, Leader: true, Epoch: c.epoch, ViewNo: c.view.No,
		Index: c.tail, Safe: c.safe, MinInSync: c.cfg.MinInSync, Ack: c.cfg.Ack,
		StartedAtMs: c.startUs / 1000, NowMs: c.nowUs / 1000,
		WindowEntries: int64(c.window.last + 1 - c.window.first), WindowBytes: c.window.bytes,
		PendingWrites: len(c.pending.recs), PendingReads: c.pendingReads,
		Resends: c.counters.resends, ReadsRerouted: c.counters.rerouted,
		ReadsHedged: c.counters.hedged, ReadsHedgedWon: c.counters.hedgesWon, HedgeAfter: float64(c.hedge.afterUs) / 1e6,
		SentAhead: c.ahead.total, NearHits: c.near.hits, NearMisses: c.near.misses, NearBytes: c.near.bytes, NearBytesMax: c.near.bytesMax,
		DigestMismatches: c.counters.digestMismatches, NodesEvicted: maps.Clone(c.counters.evicted),
		ResumesTotal: c.counters.resumes, SnapshotsTotal: c.counters.snapshots,
	}
	s.Memory = c.memoryStatus()
	t, absent := &c.counters.tally, c.counters.nearAbsent
	s.KeyHits, s.KeyMisses, s.Expired = t.Hits+t.EntryHits+c.near.hits-absent, t.Misses+t.EntryMisses+absent, t.Expired
	if s.Detail == "" {
		s.Detail = c.loadingDetail()
	}
	s.Verify = c.verifyStatus()
	s.Hot, s.HotSpread = slices.Clone(c.hot.last), len(c.hot.spread)
	if ms := c.window.oldestMs(); ms > 0 {
		s.WindowSeconds = float64(max(c.nowUs/1000-ms, 0)) / 1000
	}
	for _, n := range c.nodes {
		s.Nodes = append(s.Nodes, c.nodeStatus(n))
	}
	return s
}

// tallied takes what a node has counted in its session: its reads are its own, and what entries have done has been done
// on every copy, so that one node's word is taken.
func (c *Core) tallied(n *node, t wire.Tally) {
	sum := &c.counters.tally
	sum.Hits += t.Hits - n.tally.Hits
	sum.Misses += t.Misses - n.tally.Misses
	if len(c.usable) > 0 && c.usable[0] == n {
		sum.EntryHits += t.EntryHits - n.tally.EntryHits
		sum.EntryMisses += t.EntryMisses - n.tally.EntryMisses
		sum.Expired += t.Expired - n.tally.Expired
	}
	n.tally = t
}

// Indexes is the part of Status that costs nothing.
func (c *Core) Indexes() (epoch, tail, safe uint64, serving bool) {
	return c.epoch, c.tail, c.safe, c.state == active
}

func (c *Core) stateName() string {
	switch {
	case c.state == active && (len(c.usable) > 0 || c.anyInSync()):
		return "active"
	case c.state == active || c.state == recovering && c.recoveryStuck() || c.state == activating && !c.anyInSync():
		return "down"
	}
	return "loading"
}

func (c *Core) nodeStatus(n *node) op.NodeStatus {
	s := op.NodeStatus{
		ID: n.id, Endpoint: n.endpoint, Incarnation: n.incarnation, DataID: n.dataID,
		State: stateNames[n.state], Up: n.connected(), InSync: n.inSync(), Reason: n.lastReason,
		Embedded: n.embedded, Applied: n.match, Keys: n.keys, UsedMemory: n.usedBytes,
		IDs: n.ids, IDsAnswered: n.idsUsed, Software: n.software, Protocol: int(n.version),
		Memory: n.memory.bytes, MemoryLimit: n.memory.limit,
	}
	if n.suspect && n.connected() {
		s.State = "suspect"
	}
	if n.leave != "" {
		s.Reason = n.leave
	}
	if n.state == stateReplay && c.heldOff(n) {
		s.Reason = fmt.Sprintf("%s; held off for %.1f s more", s.Reason, float64(n.heldUntilUs-c.nowUs)/1e6)
	}
	if !n.streaming() {
		s.Applied = n.pos.Index
	}
	if n.beatUs > 0 {
		s.HeartbeatAge = float64(c.nowUs-n.beatUs) / 1e6
	}
	if n.connected() && s.Applied < c.tail {
		s.LagEntries = c.tail - s.Applied
		if first := c.window.find(s.Applied + 1); first != nil && len(n.flight) > 0 {
			s.LagSeconds = float64(c.nowUs-n.flight[0].sentUs) / 1e6
		}
		if n.state == stateReplay || n.state == stateLoading {
			if first := c.window.find(s.Applied + 1); first != nil {
				s.LagSeconds = max(s.LagSeconds, float64(max(c.nowUs/1000-first.lastMs, 0))/1000)
			}
		}
	}
	if n.streaming() && n.sent > n.match {
		s.InflightBytes = c.window.bytesBetween(n.match, n.sent)
	}
	s.Join = c.joinStatus(n)
	return s
}

// joinStatus is how far n's join has come, nil when it does not join.
func (c *Core) joinStatus(n *node) *op.JoinStatus {
	if n.state < stateWaiting || n.state == stateLive || n.member {
		return nil
	}
	s := &op.JoinStatus{Phase: "waiting", EtaSeconds: -1, WritesPaced: n.leash.length > 0}
	if k := c.joiners(); c.joins(n) {
		s.BytesPerSecond = c.pace.perSecond / k
		if c.pace.limited {
			s.PacedTo = c.pace.rate / k
		}
	}
	j := n.join
	if j != nil {
		s.Donor, s.SnapshotIndex = j.donor.id, j.position.Index
		s.KeysDone, s.KeysTotal, s.BytesDone, s.BytesTotal = j.keysDone, j.keysTotal, j.bytesDone, j.bytesTotal
	}
	switch n.state {
	case stateLoading:
		s.Phase = "snapshot"
		s.EntriesBehind = int64(c.tail - j.position.Index)
		if j.keysDone > 0 {
			s.EtaSeconds = eta(c.nowUs-j.beganUs, j.keysDone, j.keysTotal-j.keysDone)
		}
	case stateReplay, stateAdding:
		s.Phase = stateNames[n.state]
		s.EntriesBehind = int64(c.tail - n.match)
		if j != nil && j.loaded {
			s.EtaSeconds = eta(c.nowUs-j.loadedUs, int64(n.match-j.position.Index), s.EntriesBehind)
		}
	}
	return s
}

func eta(elapsedUs, done, left int64) float64 {
	if done <= 0 || left < 0 {
		return -1
	}
	return float64(elapsedUs) / 1e6 * float64(left) / float64(done)
}

// bytesBetween is the size of the entries behind index from up to index to, of those in the window.
func (w *window) bytesBetween(from, to uint64) (sum int64) {
	first, last := max(from+1, w.first), min(to, w.last)
	if first > last {
		return 0
	}
	begin, end := w.chunkOf(first), w.chunkOf(last)
	for i := begin; i <= end; i++ {
		sum += int64(w.chunks[i].bytes())
	}
	c := &w.chunks[begin]
	sum -= int64(c.offs[first-c.first])
	if c = &w.chunks[end]; c.tail.Bytes == nil {
		sum -= int64(len(c.buf)) - int64(c.end(int(last-c.first)))
	}
	return sum
}

// chunkOf is the number of the chunk that holds index, which must be there.
func (w *window) chunkOf(index uint64) int {
	return sort.Search(len(w.chunks), func(i int) bool { return w.chunks[i].first > index }) - 1
}
