package broker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"

	"brainer/broker/replication"
	"brainer/internal/link"
	"brainer/internal/op"
	"brainer/internal/wire"
)

// perform does what the core has put out.
func (b *Broker) perform() {
	out := &b.core.Out
	for len(out.Frames)+len(out.Answered)+len(out.Events)+len(out.Acks)+len(out.Parts) > 0 || out.Store != nil {
		frames := out.Frames
		out.Frames = nil
		for _, f := range frames {
			b.send(f)
		}
		if out.Frames == nil {
			clear(frames)
			out.Frames = frames[:0]
		}
		b.crowd.answered(b.answer())
		if v := out.Store; v != nil {
			out.Store = nil
			b.storing <- *v
		}
		for _, e := range out.Events {
			b.logEvent(e)
		}
		out.Events = out.Events[:0]
		if o := b.cfg.Observer; o != nil {
			for _, a := range out.Acks {
				o.NodeAcked(a.Node, float64(a.Us)/1e6)
			}
		}
		out.Acks = out.Acks[:0]
		b.passParts(out.Parts)
		clear(out.Parts)
		out.Parts = out.Parts[:0]
	}
}

// answer passes on what the core has answered, and returns how many batches are done with that.
func (b *Broker) answer() (batches int) {
	out := &b.core.Out
	if len(out.Answered) == 0 {
		return 0
	}
	now := b.cfg.NowUs()
	for _, o := range out.Answered {
		if b.cfg.Observer != nil && (o.Kind == op.Write || o.Kind == op.Txn) && o.Index > 0 && !uncertain(o.Reply) {
			b.cfg.Observer.WriteAcked(o.Ack, float64(now-o.Hold.SinceUs)/1e6)
		}
		if bytes, complete := o.Finish(); complete {
			batches++
			b.inflight.release(int64(bytes))
		}
	}
	clear(out.Answered)
	out.Answered = out.Answered[:0]
	return batches
}

// uncertain: the write was ordered but not acknowledged.
func uncertain(reply []byte) bool { return bytes.HasPrefix(reply, []byte("-UNCERTAIN ")) }

func (b *Broker) send(f replication.Frame) {
	b.sent = true
	since := 0
	if len(f.Body) > 0 { // a fragment
		b.sendFailed(f.Peer, b.router.SendLasting(f.Peer, f.Bytes, f.Body))
		return
	}
	b.sendFailed(f.Peer, wire.Split(f.Bytes, nil, wire.FrameBytesMax, func(head, body []byte) error {
		if since += len(body); since > sliceBytes {
			since = 0
			for _, beat := range b.core.Beats(b.cfg.NowUs()) {
				_ = b.router.Send(beat.Peer, beat.Bytes) // who is not there is found out by the next tick
			}
		}
		return b.router.SendJoined(f.Peer, head, body)
	}))
}

// sendFailed tells the core that nobody is there. A full queue is a message that is lost: a node that
// lets thousands wait is judged by its silence.
func (b *Broker) sendFailed(peer string, err error) {
	if err != nil && !errors.Is(err, link.ErrAgain) {
		b.core.Unreachable(b.cfg.NowUs(), peer)
	}
}

func (b *Broker) logEvent(e replication.Event) {
	level := slog.LevelInfo
	switch {
	case e.Level < 0:
		level = slog.LevelDebug
	case e.Level == 1:
		level = slog.LevelWarn
	case e.Level > 1:
		level = slog.LevelError
	}
	attrs := make([]slog.Attr, 0, 3)
	if e.Node != "" {
		attrs = append(attrs, slog.String("node", e.Node))
	}
	attrs = append(attrs, slog.Uint64("index", e.Index))
	if e.Why != "" {
		attrs = append(attrs, slog.String("why", e.Why))
	}
	b.log.LogAttrs(context.Background(), level, e.Text, attrs...)
}
