package broker

import (
	"errors"

	"brainer/internal/curve"
	"brainer/internal/wire"
)

// Admit says whether the holder of a key may send this message to the broker's endpoint: a node speaks
// the wire protocol, under the id that its key is bound to, a client speaks RESP.
func Admit(from curve.Caller, body []byte) bool {
	if !wire.IsFrame(body) {
		return from.Client
	}
	if !from.Node || from.NodeID == "" {
		return from.Node
	}
	h, rest, err := wire.Decode(body)
	if err != nil {
		return errors.Is(err, wire.ErrVersion) // the core tells it so
	}
	if h.Type != wire.THello {
		return true // of a session, whose number nobody else knows
	}
	hello, err := wire.DecodeHello(rest, h.Version)
	return err == nil && hello.NodeID == from.NodeID
}
