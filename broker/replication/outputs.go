package replication

import (
	"fmt"

	"brainer/internal/op"
)

// Outputs is what the core wants done since it was last emptied. The caller performs it in this
// order: frames, answers, store, events.
type Outputs struct {
	Frames   []Frame
	Answered []*op.Op // Reply is set; call Answer
	Store    *View    // make this durable, then call ViewStored(No)
	Events   []Event
	Acks     []NodeAck
	Parts    []Part // for those that read a snapshot
}

// Frame is a message for a peer; its bytes are valid until the core is called again.
type Frame struct {
	Peer  string
	Bytes []byte
	Body  []byte // what follows Bytes in the same message of the link
}

// Event is one transition, for the log.
type Event struct {
	Level int // -1 debug, 0 info, 1 warning, 2 error
	Text  string
	Node  string
	Index uint64
	Why   string
}

// NodeAck says how long a node took over a turn that carried entries.
type NodeAck struct {
	Node string
	Us   int64
}

// answer settles o with its reply.
func (c *Core) answer(o *op.Op, reply []byte) {
	if o.Kind != op.Barrier && !o.Keyless {
		c.pace.took(c.nowUs - o.Hold.OrderedUs)
	}
	c.finish(o, reply)
}

func (c *Core) finish(o *op.Op, reply []byte) {
	if o.Hold.Notified {
		return
	}
	o.Hold.Notified = true
	o.Reply = reply
	if o.Hold.Ahead > 0 && o.Index == 0 {
		c.forgetAhead(o.Hold.Ahead)
	}
	c.Out.Answered = append(c.Out.Answered, o)
}

func (c *Core) answerError(o *op.Op, text string) {
	c.finish(o, []byte("-"+text+"\r\n"))
}

func (c *Core) send(peer string, frame []byte) {
	c.Out.Frames = append(c.Out.Frames, Frame{Peer: peer, Bytes: frame})
}

func (c *Core) event(level int, text string, n *node, why string, args ...any) {
	e := Event{Level: level, Text: text, Index: c.tail, Why: fmt.Sprintf(why, args...)}
	if n != nil {
		e.Node = n.id
	}
	c.Out.Events = append(c.Out.Events, e)
}
