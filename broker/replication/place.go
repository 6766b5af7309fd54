package replication

import "brainer/internal/wire"

// Place says where the body of a node's frame of n bytes is to lie as it arrives, nil: anywhere. Long answers are kept, and
// are read into their place. head is the frame's header, in which anything may stand: what has arrived before stays as it is.
func (c *Core) Place(peer string, head []byte, n int) []byte {
	x := c.byPeer[peer]
	h, ok := wire.Announced(head, n)
	if x == nil || !ok || h.Session != x.session || !keeps(h.Type) {
		return nil
	}
	if _, fragment := h.Fragment(); fragment {
		return x.assembler.Room(h, n-wire.HeaderBytes)
	}
	n -= wire.HeaderBytes
	return wire.Uncleared(n)[:n:n]
}

// keeps reports whether what a message brings is kept: replies, entries, records.
func keeps(t wire.Type) bool {
	return t == wire.TDone || t == wire.TEntries || t == wire.TChunk
}
