package replica

import (
	"bytes"

	"brainer/internal/wire"
)

// Verdict is what a frame means for whoever runs the replica.
type Verdict uint8

const (
	Continue  Verdict = iota
	Reopen            // the session is over: open a new one at once
	Refused           // the broker does not want this node as it is: see Reason, try again later
	Dismissed         // the goodbye was taken
)

// Receive takes a frame of the broker, which is the caller's again afterwards. A turn is only begun: call Step while Busy.
func (r *Replica) Receive(frame []byte) (v Verdict, reason string) {
	r.begin()
	h, body, err := wire.Decode(frame)
	if err != nil || h.Session != r.session || h.Version != r.version && h.Type != wire.TReject {
		return Continue, ""
	}
	switch h.Type { // these pass between the parts of a long message
	case wire.TBeat:
		r.receiveBeat(h, body)
		return Continue, ""
	case wire.TAhead:
		if h.Epoch == r.promised && r.load == nil {
			r.receiveAhead(h, body)
		}
		return Continue, ""
	}
	part, fragment := h.Fragment()
	h, body, whole, err := r.assembler.Add(h, body)
	if fragment && err == nil && (part+1)%wire.FragmentCredit == 0 {
		reply := r.header()
		reply.Seq = h.Seq
		r.put(wire.Credit{UpTo: uint32(part + 1)}.Append(nil, reply))
	}
	if err != nil || !whole {
		return Continue, ""
	}
	switch {
	case h.Type == wire.TReject:
		return r.receiveReject(body)
	case h.Type == wire.TPrepare:
		if m, err := wire.DecodePrepare(body); err == nil {
			r.promise(h.Epoch, m)
		}
		return Continue, ""
	case h.Epoch != r.promised && !r.cfg.Fault.IgnoreEpoch:
		if h.Epoch < r.promised {
			r.put(wire.Fenced{Promised: r.promised}.Append(nil, r.header()))
		}
		return Continue, ""
	}
	return r.obey(h, body, fragment)
}

func (r *Replica) receiveBeat(h wire.Header, body []byte) {
	m, err := wire.DecodeBeat(body, h.Version)
	if err != nil || h.Epoch != r.promised {
		return
	}
	r.takeTerms(&m)
	r.inSync = m.InSync
	r.safe = max(r.safe, m.Safe)
}

// receiveReject says what is to follow a session that the broker has ended, or did not let begin.
func (r *Replica) receiveReject(body []byte) (Verdict, string) {
	m, err := wire.DecodeReject(body)
	switch {
	case err != nil:
		return Continue, ""
	case m.Retry:
		return Reopen, m.Reason
	case wire.IsOtherVersion(m.Reason) && r.version != wire.VersionBefore:
		r.older = true // for the next session; the one after that asks again
		return Reopen, m.Reason
	}
	return Refused, m.Reason
}

// obey does what the broker whose epoch is promised says.
func (r *Replica) obey(h wire.Header, body []byte, fragment bool) (Verdict, string) {
	switch h.Type {
	case wire.TTurn:
		again := fragment || len(body) >= r.cfg.AgainBytes
		if !fragment { // the ring keeps entries
			if again {
				body = r.assembler.Spares.Clone(body)
			} else {
				body = bytes.Clone(body)
			}
		}
		if why := r.receiveTurn(h, body, again); why != "" {
			return Reopen, why
		}
	case wire.TLoad:
		if m, err := wire.DecodeLoad(body); err == nil {
			r.beginLoad(m)
		}
	case wire.TChunk:
		if m, err := wire.DecodeChunk(body); err == nil {
			r.loadChunk(m)
		}
	case wire.TCredit:
		if m, err := wire.DecodeCredit(body); err == nil && m.SnapID == 0 {
			r.turn.credited = min(m.UpTo, r.turn.parts)
		} else if err == nil {
			r.addCredit(m)
		}
	case wire.TAbort:
		if m, err := wire.DecodeAbort(body); err == nil {
			r.abort(m)
		}
	case wire.TFetch:
		if m, err := wire.DecodeFetch(body); err == nil {
			r.put(r.ring.entries(m.From).Append(nil, r.header()))
		}
	case wire.TGoodbye:
		return Dismissed, ""
	}
	return Continue, ""
}

// promise obeys an epoch that is higher than all before, or the same broker's again.
func (r *Replica) promise(epoch uint64, m wire.Prepare) {
	if epoch < r.promised || epoch == r.promised && m.BrokerRun != r.brokerRun {
		r.put(wire.Fenced{Promised: r.promised}.Append(nil, r.header()))
		return
	}
	r.promised, r.brokerRun, r.number = epoch, m.BrokerRun, m.Number
	r.keepPromise()
	r.turn = turnState{}
	r.aheads.end()
	r.closeLaters()
	r.closeDonations()
	r.report(0)
}
