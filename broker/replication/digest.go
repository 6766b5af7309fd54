package replication

import (
	"fmt"

	"brainer/internal/wire"
)

// digests compares the rolling digests that nodes report at the same indexes.
type digests struct {
	slots [64]digestSlot
}

type digestSlot struct {
	index uint64
	votes []vote
}

type vote struct {
	node   *node
	digest uint64
}

// compareDigest takes n's digest at index; when all that are required have reported it, they must
// agree. Whoever differs from the majority (of two: from the one longer in the set, a guess) is put
// out and takes a snapshot.
func (c *Core) compareDigest(n *node, index, digest uint64) {
	if index == 0 {
		return
	}
	s := &c.digests.slots[index/wire.DigestEvery%uint64(len(c.digests.slots))]
	if s.index > index {
		return
	}
	if s.index < index {
		s.index, s.votes = index, s.votes[:0]
	}
	for _, v := range s.votes {
		if v.node == n {
			return
		}
	}
	s.votes = append(s.votes, vote{n, digest})
	agree := true
	for _, v := range s.votes {
		agree = agree && v.digest == s.votes[0].digest
	}
	if agree {
		return
	}
	waiting := 0
	for _, x := range c.nodes {
		if x.inSync() && !s.voted(x) {
			waiting++
		}
	}
	if waiting > 0 {
		return
	}
	c.putOutMinority(s.votes, fmt.Sprintf("at index %d", index))
	s.votes = s.votes[:0]
}

// putOutMinority puts out the nodes whose digest is not the majority's, and returns them: each takes a
// snapshot.
func (c *Core) putOutMinority(votes []vote, where string) (ids []string) {
	right, guessed := majority(votes)
	for _, v := range votes {
		if v.digest == right || !v.node.connected() {
			continue
		}
		how := fmt.Sprintf("its digest is %016x, the others' %016x (%d copies)", v.digest, right, len(votes))
		if guessed {
			how += ": a guess, that the copy which has been in sync for longer is right"
		}
		ids = append(ids, v.node.id)
		c.counters.digestMismatches++
		c.event(2, "copy differs", v.node, "%s: %s", where, how)
		if v.node.inSync() && (c.mustKeep(v.node) || c.inSyncCount() <= c.cfg.MinInSync) {
			continue // the set is not made smaller than it may be
		}
		v.node.diverged = true
		c.near.clear() // it may be what it said
		if v.node.member {
			v.node.leave = reasonDiverged
		}
		c.reject(v.node.peer, wire.Header{Session: v.node.session}, true, reasonDiverged)
		c.sessionOver(v.node, reasonDiverged)
	}
	return ids
}

func (s *digestSlot) voted(n *node) bool {
	for _, v := range s.votes {
		if v.node == n {
			return true
		}
	}
	return false
}

// majority: the digest with most votes of in-sync nodes; in a tie, a guess, that of the one that has
// been in the set for longest.
func majority(all []vote) (digest uint64, guessed bool) {
	best, bestVotes, bestSince, bestNumber := all[0].digest, 0, int64(0), uint16(0)
	for _, v := range all {
		votes, since, number := 0, v.node.inSyncSinceUs, v.node.number
		for _, w := range all {
			if w.digest == v.digest && w.node.inSync() {
				votes++
				if w.node.inSyncSinceUs < since || w.node.inSyncSinceUs == since && w.node.number < number {
					since, number = w.node.inSyncSinceUs, w.node.number
				}
			}
		}
		if votes == bestVotes && votes > 0 && v.digest != best {
			guessed = true
		}
		if votes > bestVotes || votes == bestVotes && votes > 0 &&
			(since < bestSince || since == bestSince && number < bestNumber) {
			guessed = guessed && votes == bestVotes
			best, bestVotes, bestSince, bestNumber = v.digest, votes, since, number
		}
	}
	return best, guessed
}
