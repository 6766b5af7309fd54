package replication

import (
	"bytes"

	"brainer/internal/wire"
)

// Receive takes a frame from a peer, which is the caller's again afterwards. Frames of sessions that are over change nothing.
func (c *Core) Receive(nowUs int64, peer string, frame []byte) {
	head := frame[:min(len(frame), wire.HeaderBytes)]
	c.receive(nowUs, peer, head, frame[len(head):], false)
}

// ReceivePlaced is Receive for a frame whose body was put where Place said.
func (c *Core) ReceivePlaced(nowUs int64, peer string, head, body []byte) {
	c.receive(nowUs, peer, head, body, true)
}

func (c *Core) receive(nowUs int64, peer string, head, body []byte, placed bool) {
	c.setNow(nowUs)
	h, body, err := wire.DecodeApart(head, body)
	if err == nil && !c.speaks(h.Version) {
		err = wire.OtherVersion(h.Version)
	}
	if err != nil {
		c.receiveBad(peer, h, err)
		return
	}
	switch h.Type {
	case wire.TBeat:
		c.receiveBeat(peer, h, body)
	case wire.THello:
		c.receiveGreeting(peer, h, body)
	default:
		c.receiveInSession(peer, h, body, placed)
	}
}

// receiveGreeting takes the first message of a node: it loads its disk, or opens a session.
func (c *Core) receiveGreeting(peer string, h wire.Header, body []byte) {
	m, err := wire.DecodeHello(body, h.Version)
	switch {
	case err != nil:
	case m.LoadTotal > 0:
		c.receiveLoading(m)
	default:
		c.receiveHello(peer, h, m)
	}
}

// receiveInSession takes what a node says in its session, whole or a fragment of it.
func (c *Core) receiveInSession(peer string, h wire.Header, body []byte, placed bool) {
	n := c.byPeer[peer]
	if n == nil || n.session != h.Session && !c.cfg.Fault.OldSessions {
		c.reject(peer, h, true, "session is over")
		return
	}
	n.heardUs = c.nowUs
	_, fragment := h.Fragment()
	h, body, whole, err := n.assembler.Add(h, body)
	if err != nil {
		c.reject(peer, h, true, err.Error())
		c.sessionOver(n, reasonTooLarge)
		return
	}
	if !whole {
		n.progressUs = c.nowUs // a long answer is on its way
		return
	}
	if !fragment && !placed && keeps(h.Type) {
		body = bytes.Clone(body)
	}
	c.dispatch(n, h, body)
}

// dispatch takes a whole message of n's session. One that cannot be decoded changes nothing, and what belongs to the order
// counts in this epoch only.
func (c *Core) dispatch(n *node, h wire.Header, body []byte) {
	switch h.Type {
	case wire.TPosition:
		if m, err := wire.DecodePositionReport(body); err == nil && h.Epoch == c.epoch {
			c.receivePosition(n, m)
		}
	case wire.TFenced:
		if m, err := wire.DecodeFenced(body); err == nil {
			c.receiveFenced(n, m)
		}
	case wire.TDone:
		if d, err := wire.DecodeDone(body); err == nil && h.Epoch == c.epoch {
			c.receiveDone(n, h.Seq, &d)
		}
	case wire.TNack:
		if m, err := wire.DecodeNack(body); err == nil && h.Epoch == c.epoch {
			c.receiveNack(n, h.Seq, m)
		}
	case wire.TChunk:
		if m, err := wire.DecodeChunk(body); err == nil {
			c.relayChunk(n, m)
		}
	case wire.TCredit:
		if m, err := wire.DecodeCredit(body); err == nil && m.SnapID == 0 {
			c.fragmentsReceived(n, h.Seq, int(m.UpTo))
		} else if err == nil {
			c.relayCredit(n, m)
		}
	case wire.TAheadGot:
		if m, err := wire.DecodeAheadGot(body); err == nil && h.Epoch == c.epoch {
			c.aheadGot(n, h.Seq, m)
		}
	case wire.TAbort:
		if m, err := wire.DecodeAbort(body); err == nil {
			c.receiveAbort(n, m)
		}
	case wire.TEntries:
		if m, err := wire.DecodeEntries(body); err == nil && h.Epoch == c.epoch {
			c.receiveEntries(n, m)
		}
	case wire.TGoodbye:
		c.receiveGoodbye(n)
	}
}

func (c *Core) receiveBad(peer string, h wire.Header, err error) {
	if h.Type == wire.THello {
		c.event(1, "node refused", nil, "%v", err)
		c.reject(peer, h, false, err.Error()+": run_node and run_broker may be at most one protocol version apart")
	}
}

func (c *Core) speaks(version uint8) bool {
	return wire.Speaks(version) && (c.cfg.Wire == 0 || version <= c.cfg.Wire)
}

func (c *Core) reject(peer string, h wire.Header, retry bool, reason string) {
	m := wire.Reject{Retry: retry, Reason: reason}
	version := h.Version
	if n := c.bySession[h.Session]; n != nil {
		version = n.version
	} else if !c.speaks(version) {
		version = c.cfg.Wire
	}
	c.send(peer, m.Append(nil, wire.Header{Epoch: c.epoch, Session: h.Session, Version: version}))
}

func (c *Core) header(n *node) wire.Header {
	version := n.version
	if c.cfg.Fault.OwnVersion {
		version = 0
	}
	return wire.Header{Epoch: c.epoch, Session: n.session, TimeMs: c.nowUs / 1000, Version: version}
}

// Unreachable says that a frame for peer could not be sent: nobody is connected there.
func (c *Core) Unreachable(nowUs int64, peer string) {
	c.setNow(nowUs)
	if n := c.byPeer[peer]; n != nil {
		c.sessionOver(n, reasonUnreachable)
		return
	}
	for _, n := range c.nodes {
		if n.connected() && n.beatPeer == peer {
			c.sessionOver(n, reasonUnreachable) // both sockets are of one process
			return
		}
	}
}
