package replication

import (
	"slices"

	"brainer/internal/wire"
)

// long is a message that travels in fragments. It is not copied: what it carries lies in the log window,
// which keeps it for as long as the node may need it, or in the message that it is passed on from.
type long struct {
	typ      wire.Type
	seq      uint64
	cut      wire.Cutter
	received int // fragments that the node has
}

// fragmentsMax bounds the fragments of one node that are on their way: a node that is slow to take a
// large value in costs the broker no more than these, and other messages pass between them.
const fragmentsMax = 32

// sendLong sends n a message in fragments, as fast as it receives them. The pieces stay as they are
// until the message is gone.
func (c *Core) sendLong(n *node, h wire.Header, pieces []wire.Piece) {
	n.long = append(n.long, &long{typ: h.Type, seq: h.Seq, cut: wire.Cut(h, c.cfg.FragmentBytes, pieces...)})
	c.sendFragments(n)
}

func (c *Core) sendFragments(n *node) {
	for len(n.long) > 0 {
		l := n.long[0]
		for l.cut.More() {
			if l.cut.Part()-l.received >= fragmentsMax {
				return
			}
			head, body := l.cut.Next(nil)
			c.Out.Frames = append(c.Out.Frames, Frame{Peer: n.peer, Bytes: head, Body: body})
		}
		n.long = slices.Delete(n.long, 0, 1)
	}
}

// fragmentsReceived takes a node's word that it has received so many fragments of a message.
func (c *Core) fragmentsReceived(n *node, seq uint64, fragments int) {
	n.progressUs = c.nowUs
	if len(n.long) > 0 && n.long[0].seq == seq {
		n.long[0].received = max(n.long[0].received, fragments)
		c.sendFragments(n)
	}
}

// dropLong forgets messages of a type that are not sent completely.
func (n *node) dropLong(typ wire.Type) {
	n.long = slices.DeleteFunc(n.long, func(l *long) bool { return l.typ == typ })
}
