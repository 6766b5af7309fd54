package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"time"

	"brainer/internal/link"
	"brainer/internal/wire"
	"brainer/node/replica"
)

// errSession ends a session; a new one follows after wait.
type errSession struct {
	why  string
	wait time.Duration
}

func (e errSession) Error() string { return e.why }

var errDismissed = errors.New("dismissed")

// session is one connection to the broker: from hello until something breaks.
func (n *Node) session(ctx context.Context) error {
	id := rand.Uint64() | 1
	dealer, err := n.cfg.Transport.Dial(n.cfg.Broker, n.routingID("d", id))
	if err != nil {
		return fmt.Errorf("--broker: %w", err)
	}
	defer dealer.Close()
	n.forgetHeld()
	n.replica.Open(id)
	if err := n.sayHello(ctx, dealer); err != nil {
		return err
	}
	n.answered()
	n.state.session.Store(id)
	n.state.version.Store(uint32(n.replica.Version()))
	n.sessions.Add(1)
	defer n.state.session.Store(0)
	n.state.heardNs.Store(time.Now().UnixNano())
	n.publish()
	beatCtx, stopBeat := context.WithCancel(context.WithoutCancel(ctx)) // also while the goodbye waits
	lost := make(chan string, 1)
	beatDone := make(chan struct{})
	go func() {
		defer close(beatDone)
		n.beat(beatCtx, id, dealer, lost)
	}()
	defer func() {
		stopBeat()
		<-beatDone
	}()
	return n.serve(ctx, dealer, lost)
}

func (n *Node) routingID(socket string, session uint64) string {
	id := n.cfg.Replica.NodeID
	if len(id) > 200 {
		id = id[:200]
	}
	return "n-" + id + "-" + socket + strconv.FormatUint(session, 16)
}

// sayHello sends what Open put out, once the connection stands.
func (n *Node) sayHello(ctx context.Context, dealer link.Dealer) error {
	timer := time.NewTimer(helloWithin)
	defer timer.Stop()
	for {
		err := n.sendAll(dealer, n.replica.Out)
		if err == nil {
			return nil
		}
		if !errors.Is(err, link.ErrAgain) {
			return errSession{err.Error(), reopenEvery}
		}
		if r, ok := dealer.(link.Refuser); ok {
			if why := r.Refused(); why != nil {
				return n.notLetIn(why.Error())
			}
		}
		n.serveLocal()
		select { // not its Ready: Serve will wait for it
		case <-n.ownReady():
		case f := <-n.calls:
			f()
		case <-time.After(2 * time.Millisecond):
		case <-timer.C:
			n.unanswered()
			return errSession{"the broker does not answer at " + n.cfg.Broker, reopenEvery}
		case <-ctx.Done():
			return errDismissed
		}
	}
}

// notLetIn tells of a connection that was refused, when it was so twice in a row: a broker that dies
// in the handshake looks like one that refuses.
func (n *Node) notLetIn(why string) error {
	if n.cutOff == why && n.refused != why {
		n.refused = why
		n.log.Error("not let in by the broker", "broker", n.cfg.Broker, "why", why)
	}
	n.cutOff = why
	return errSession{why, reopenEvery}
}

// unanswered tells of a broker that is not there, once and not for one that only starts anew.
func (n *Node) unanswered() {
	if n.missed++; n.missed == missedTold {
		n.log.Warn("no broker answers; the node keeps trying", "broker", n.cfg.Broker)
	}
}

// answered ends what unanswered told.
func (n *Node) answered() {
	if n.missed >= missedTold {
		n.log.Info("the broker answers", "broker", n.cfg.Broker)
	}
	n.missed = 0
}

// serve moves frames until the session ends. The goroutine waits for the session's socket alone;
// whatever else happens kicks it.
func (n *Node) serve(ctx context.Context, dealer link.Dealer, lost <-chan string) error {
	n.serveLocal()
	defer n.forwardLocal(dealer)()
	defer context.AfterFunc(ctx, dealer.Kick)()
	var ending error
	var leaveBy time.Time
	step := func() bool {
		began := n.begin()
		for ending == nil {
			n.answerCalls()
			switch {
			case len(lost) > 0:
				ending = errSession{<-lost, time.Millisecond}
			case ctx.Err() != nil && !n.leaving:
				n.leaving = true
				leaveBy = time.Now().Add(leaveWithin)
				time.AfterFunc(leaveWithin+time.Millisecond, dealer.Kick) // harmless when it is closed by then
				n.replica.Goodbye()
				if n.sendOut(dealer) != nil {
					ending = errDismissed
				}
			case n.leaving && !leaveBy.IsZero() && time.Now().After(leaveBy):
				n.log.Warn("the broker did not answer the goodbye")
				ending = errDismissed
			default:
				if ending = n.diskStopped(); ending != nil {
					break
				}
				if ending = n.receive(dealer, began); ending != nil {
					break
				}
				if n.replica.Busy() || n.hadItsShare(began) {
					dealer.Kick()
					return false
				}
				if n.replica.Pump() {
					ending = n.sendOut(dealer)
					continue
				}
				if n.pumpKept() {
					continue
				}
				var some bool
				if some, ending = n.release(dealer); some {
					continue
				}
				if len(lost)+len(n.calls) == 0 && !n.localCame.Load() {
					return false
				}
			}
		}
		return true
	}
	if err := dealer.Serve(step); err != nil {
		return err
	}
	return ending
}

// answerCalls does what other goroutines and clients of the own endpoint ask for.
func (n *Node) answerCalls() {
	for {
		select {
		case f := <-n.calls:
			f()
			continue
		default:
		}
		break
	}
	if n.localCame.Swap(false) {
		n.serveLocal()
		n.ownReady() // has it signal again
	}
}

// forwardLocal kicks the session's wait when something comes to the node's own endpoint.
func (n *Node) forwardLocal(dealer link.Dealer) (stop func()) {
	n.serving.Store(&dealer)
	if n.own == nil {
		return func() { n.serving.Store(nil) }
	}
	ready, done, ended := n.ownReady(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ready:
				n.localCame.Store(true)
				dealer.Kick()
			case <-done:
				return
			}
		}
	}()
	return func() {
		n.serving.Store(nil)
		close(done)
		<-ended
	}
}

// begin is when a step begins, where that matters.
func (n *Node) begin() (t time.Time) {
	if n.cfg.Share > 0 {
		t = time.Now()
	}
	return t
}

func (n *Node) hadItsShare(began time.Time) bool {
	return n.cfg.Share > 0 && time.Since(began) > n.cfg.Share
}

// receive takes in what the broker has sent and executes it, or as much as its share allows.
func (n *Node) receive(dealer link.Dealer, began time.Time) error {
	for {
		if n.replica.Busy() {
			n.refused = ""
			if err := n.step(dealer, began); err != nil || n.replica.Busy() {
				return err
			}
		}
		frame, err := dealer.RecvView()
		if err == link.ErrAgain {
			return nil
		}
		if err != nil {
			return errSession{err.Error(), reopenEvery}
		}
		n.state.heardNs.Store(time.Now().UnixNano())
		verdict, reason := n.replica.Receive(frame)
		if err := n.sendOut(dealer); err != nil {
			return err
		}
		switch verdict {
		case replica.Reopen:
			return errSession{"the broker ended it: " + reason, time.Millisecond}
		case replica.Refused:
			if n.refused != reason {
				n.refused = reason
				n.log.Error("refused by the broker", "why", reason)
			}
			return errSession{"refused: " + reason, refusedEvery}
		case replica.Dismissed:
			if n.leaving {
				return errDismissed
			}
		}
		n.tellWhetherInSync() // what a turn says too, which the next one may take back
		if !n.replica.Busy() {
			n.publish()
		}
	}
}

// tellWhetherInSync logs what the broker says, when it says something else. (The broker's log has it of an embedded node.)
func (n *Node) tellWhetherInSync() {
	in := n.replica.InSync()
	if in == n.inSync || n.cfg.Replica.Embedded {
		return
	}
	n.inSync = in
	s := n.replica.Status()
	if in {
		n.log.Info("in sync: this copy answers reads, and writes wait for it", "index", s.Position.Index, "keys", s.Keys)
	} else if !n.leaving {
		n.log.Warn("no longer in sync: catching up with the others", "index", s.Position.Index)
	}
}

// step executes the turn at hand.
func (n *Node) step(dealer link.Dealer, began time.Time) error {
	for n.replica.Busy() && !n.hadItsShare(began) {
		n.state.stepBeganNs.Store(time.Now().UnixNano())
		n.replica.Step()
		err := n.sendOut(dealer)
		n.state.stepBeganNs.Store(0)
		if err != nil {
			return err
		}
	}
	n.publish()
	return nil
}

func (n *Node) sendAll(dealer link.Dealer, frames []replica.Frame) error {
	bytes := 0
	for _, f := range frames {
		bytes += f.Len()
	}
	if bytes > 0 {
		n.state.patienceNs.Store(int64(bytes) * int64(time.Second) / takenPerS)
	}
	for _, f := range frames {
		emit := dealer.SendJoined
		if f.Len() > pauseBytes {
			sent := 0
			emit = func(head, body []byte) error {
				if sent += len(body); sent > pauseBytes {
					sent = 0
					runtime.Gosched() // the heartbeats go on
				}
				return dealer.SendJoined(head, body)
			}
		}
		if err := wire.Split(f.Bytes, f.More, wire.FrameBytesMax, emit); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) sendFrames(dealer link.Dealer, frames []replica.Frame) error {
	if err := n.sendAll(dealer, frames); err != nil {
		return errSession{"the connection broke", time.Millisecond}
	}
	return nil
}
