package replica

import "brainer/internal/wire"

// Status returns it.
func (r *Replica) Status() Status {
	s := Status{NodeID: r.cfg.NodeID, DataID: r.dataID, ClusterID: r.clusterID, Position: r.pos, Digest: r.digest,
		Safe: r.safe, Epoch: r.promised, InSync: r.inSync, Loading: r.load != nil || r.restore != nil,
		Keys: int64(r.ks.TotalKeys()), UsedBytes: r.usedBytes(), Faults: r.faults,
		EntriesApplied: r.entries, Reads: r.reads, IDs: int64(len(r.ids.byClient)), IDsAnswered: r.idsAnswered}
	if r.load != nil {
		s.KeysDone, s.KeysTotal, s.BytesDone = r.load.keys, r.load.keysTotal, r.load.bytes
	}
	return s
}

// InSync is Status().InSync.
func (r *Replica) InSync() bool { return r.inSync }

// Copy names the data that is held and the history it belongs to.
func (r *Replica) Copy() (dataID, clusterID uint64, p wire.Position, digest uint64) {
	return r.dataID, r.clusterID, r.pos, r.digest
}

// StateDigest is the digest of all that exists at nowMs, for comparing copies.
func (r *Replica) StateDigest(nowMs int64) uint64 { return r.ks.StateDigest(nowMs) + r.ids.sum }

// Beat says where the copy stands, for a heartbeat.
func (r *Replica) Beat(nowMs int64) wire.Beat {
	next := r.NextDeadlineMs()
	behind := r.Behind()
	return wire.Beat{Applied: r.pos.Index, Turn: r.turn.finished, Reclaimable: behind || next > 0 && next <= nowMs, Behind: behind,
		Keys: int64(r.ks.TotalKeys()), UsedBytes: r.usedBytes(),
		IDs: int64(len(r.ids.byClient)), IDsAnswered: r.idsAnswered,
		MemoryBytes: r.MemoryBytes(), LimitBytes: r.cfg.LimitBytes}
}

func (r *Replica) usedBytes() int64 { return r.ks.UsedBytes() + r.ids.bytes }

// NextDeadlineMs is when the next key or outcome can be reclaimed, 0 when there is none.
func (r *Replica) NextDeadlineMs() int64 {
	key, id := r.ks.NextDeadlineMs(), r.ids.nextDeadlineMs()
	if key == 0 || id != 0 && id < key {
		return id
	}
	return key
}

// Behind says whether more could be reclaimed by the time of the last entry than an entry reclaims.
func (r *Replica) Behind() bool {
	next := r.NextDeadlineMs()
	return r.ks.Dropped() || next > 0 && next <= r.entryMs
}
