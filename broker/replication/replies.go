package replication

import "fmt"

// entryReplied takes the reply of entry index.
func (c *Core) entryReplied(n *node, index uint64, reply []byte) {
	n.reads.answered(index)
	r := c.pending.at(index)
	if r == nil || r.replied || r.primary == nil {
		return
	}
	r.replied = true
	if r.op != nil {
		r.op.Reply = reply
	}
	c.settle(index, r)
	c.pending.confirm()
	c.popSettled()
}

func (c *Core) entryReplyGone(n *node, index uint64) {
	n.reads.answered(index)
	r := c.pending.at(index)
	if r == nil || r.replied || r.primary != n {
		return
	}
	n.lostReplies = max(n.lostReplies, index)
	c.askAnother(index, r)
}

// askAnother asks another node for the kept reply of an ordered write.
func (c *Core) askAnother(index uint64, r *record) {
	if len(r.keys) == 0 {
		r.primary = nil
	}
	var best *node
	for _, n := range c.nodes {
		if n == r.primary || !n.inSync() || n.suspect || n.lostReplies >= index {
			continue
		}
		if best == nil || len(r.keys) > 0 && n.weight(r.keys[0]) > best.weight(r.keys[0]) {
			best = n
		}
	}
	if best == nil && r.primary != nil && r.primary.inSync() && r.primary.lostReplies < index {
		return // it is the only one; it may come back
	}
	if best != nil {
		r.primary = best
		best.reads.push(readItem{query: true, id: index, after: index})
		return
	}
	for _, n := range c.nodes {
		if n.required() && n.lostReplies < index {
			r.primary = n
			return // asked again when it is back
		}
	}
	r.replied = true
	if r.op != nil {
		c.abandon(r, fmt.Sprintf(errReplyGone, c.epoch, index))
	}
	c.pending.confirm()
	c.popSettled()
}

// askKept asks n for the replies up to an index that it owes: the answers that carried them may be lost.
func (c *Core) askKept(n *node, upTo uint64) {
	asked := n.reads.queried()
	for index := c.pending.first; index <= min(upTo, c.tail); index++ {
		if r := c.pending.at(index); r.primary == n && !r.replied && !asked[index] {
			n.reads.push(readItem{query: true, id: index, after: index})
		}
	}
}

// repliesFrom asks others for the replies that n owes.
func (c *Core) repliesFrom(n *node) {
	for index := c.pending.first; index <= c.tail; index++ {
		// Asking may settle records, from the first one on.
		if r := c.pending.at(index); r != nil && r.primary == n && !r.replied {
			c.askAnother(index, r)
		}
	}
}
