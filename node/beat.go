package node

import (
	"context"
	"sync/atomic"
	"time"

	"brainer/internal/link"
	"brainer/internal/process"
	"brainer/internal/wire"
)

// beat sends heartbeats until ctx ends, and says when the broker is gone or silent. While nothing goes on, what heartbeats
// cost is that both processes wake up: so one is sent when the broker's has come, and otherwise when it is due.
func (n *Node) beat(ctx context.Context, id uint64, session link.Waiter, lost chan<- string) {
	fail := func(why string) {
		select {
		case lost <- why:
			session.Kick()
		default:
		}
	}
	dealer, err := n.cfg.Transport.Dial(n.cfg.Broker, n.routingID("h", id))
	if err != nil {
		fail(err.Error())
		return
	}
	defer dealer.Close()
	began := time.Now()
	connected := false
	ticker := time.NewTicker(beatEvery)
	defer ticker.Stop()
	var progress uint64
	movedNs := began.UnixNano()
	send := func() bool {
		n.measureOutside()
		if p := n.state.progress.Load(); p != progress {
			progress, movedNs = p, time.Now().UnixNano()
		}
		err := dealer.Send(n.beatFrame(id, movedNs))
		if err == nil {
			connected = true
			return true
		}
		if connected || time.Since(began) > helloWithin {
			fail("the broker is gone")
			return false
		}
		return true
	}
	for {
		if !send() {
			return
		}
		sentAt := time.Now()
		ticker.Reset(beatEvery)
		for wait := true; wait; {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				wait = false
			case <-dealer.Ready():
			}
			heard, rejected := n.hearBroker(dealer, id)
			if rejected {
				fail("the broker ended the session")
				return
			}
			if heard && time.Since(sentAt) > beatEvery/2 {
				wait = false
			}
			if !connected {
				break
			}
		}
		if !connected {
			select {
			case <-ctx.Done():
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
		if time.Since(time.Unix(0, n.state.heardNs.Load())) > brokerSilent+time.Duration(n.state.patienceNs.Load()) {
			fail("the broker is silent")
			return
		}
	}
}

// hearBroker takes in what the broker has sent on the heartbeats' socket, and says whether there was something, and whether
// that ends the session.
func (n *Node) hearBroker(dealer link.Dealer, session uint64) (heard, rejected bool) {
	for {
		frame, err := dealer.Recv()
		if err != nil {
			return heard, false
		}
		heard = true
		n.state.heardNs.Store(time.Now().UnixNano())
		if h, _, err := wire.Decode(frame); err == nil && h.Type == wire.TReject && h.Session == session {
			return true, true
		}
	}
}

// filesShare of the limit is what programs and libraries may take of memory beyond it: the limit of a small node would
// be passed by a sixth for them alone, and that of a large one need not count what other processes share.
const filesShare = 32

func outsideOf(own, files, data, limit int64) int64 {
	return max(own+max(files-limit/filesShare, 0)-data, 0)
}

// measureOutside finds what the process takes besides the data: quickly when that grows, slowly when it shrinks, so that
// limits are kept and do not swing with Go's collector. An embedded node's process is the broker's.
func (n *Node) measureOutside() {
	if n.cfg.Replica.Embedded {
		return
	}
	s := &n.state
	own, files := process.Resident()
	now, before := outsideOf(own, files, s.data.Load(), s.limit.Load()), s.outside.Load()
	if now < before {
		now = before - (before-now)/outsideShrinks
	}
	s.outside.CompareAndSwap(before, now)
}

// noticeOutside is the owner's part: it sees soon that what is besides the data has grown. At a limit megabytes are written until the
// next heartbeat, which may be late.
func (n *Node) noticeOutside() {
	limit := n.replica.MemoryLimit()
	if limit == 0 || n.cfg.Replica.Embedded || time.Since(n.outsideAt) < outsideEvery {
		return
	}
	n.outsideAt = time.Now()
	own, files := process.Resident()
	if now := outsideOf(own, files, n.replica.DataBytes(), limit); now > n.state.outside.Load() {
		n.state.outside.Store(now)
	}
}

// beatFrame is a node's heartbeat. movedNs is when the last entry or read was seen to end: a long turn of short commands is no long one.
func (n *Node) beatFrame(session uint64, movedNs int64) []byte {
	s := &n.state
	now := time.Now()
	m := wire.Beat{Applied: s.applied.Load(), Turn: s.turn.Load(), Keys: s.keys.Load(), UsedBytes: s.used.Load(),
		IDs: s.ids.Load(), IDsAnswered: s.idsAnswered.Load(), MemoryBytes: s.memory.Load(), LimitBytes: n.cfg.Replica.LimitBytes, Kept: s.snapshotKept.Load()}
	if began := s.stepBeganNs.Load(); began > 0 {
		m.BusyMs = uint32((now.UnixNano()-max(began, movedNs))/1e6) + 1
	} else if since := s.heldSinceNs.Load(); since > 0 {
		m.BusyMs = uint32((now.UnixNano()-since)/1e6) + 1 // the disk is
	}
	d := s.deadlineMs.Load()
	m.Behind = s.behind.Load()
	m.Reclaimable = m.Behind || d > 0 && d <= n.cfg.NowMs()
	return m.Append(nil, wire.Header{Epoch: s.epoch.Load(), Session: session, TimeMs: now.UnixMilli(), Version: uint8(s.version.Load())})
}

// shared is what the heartbeat goroutine reads.
type shared struct {
	session, epoch atomic.Uint64
	version        atomic.Uint32 // of the protocol
	applied, turn  atomic.Uint64
	keys, used     atomic.Int64
	ids            atomic.Int64
	memory         atomic.Int64 // compared with a limit
	data           atomic.Int64 // of the process, for the data
	outside        atomic.Int64 // and besides
	limit          atomic.Int64 // the smallest of all nodes
	idsAnswered    atomic.Uint64
	deadlineMs     atomic.Int64
	behind         atomic.Bool
	stepBeganNs    atomic.Int64  // 0: idle
	heldSinceNs    atomic.Int64  // 0: nothing waits to be kept before it is told
	snapshotKept   atomic.Uint64 // the last one that the broker wanted, and that is on disk
	loadDone       atomic.Int64  // bytes of what was kept, that are loaded
	loadTotal      atomic.Int64  // 0: nothing is being loaded
	progress       atomic.Uint64 // entries and reads executed
	heardNs        atomic.Int64  // the broker's last word on either socket
	patienceNs     atomic.Int64  // what it may be silent beyond the usual: it takes in what was sent last
}

// busySeconds is how long the present step has been running, 0 when none is.
func (s *shared) busySeconds() float64 {
	began := s.stepBeganNs.Load()
	if began == 0 {
		return 0
	}
	return time.Since(time.Unix(0, began)).Seconds()
}

// publish tells the heartbeats where the copy stands.
func (n *Node) publish() {
	n.noticeOutside()
	n.replica.SetOutside(n.state.outside.Load())
	if limit := n.replica.MemoryLimit(); limit != n.limitBytes {
		n.state.limit.Store(limit)
		if n.limitBytes = limit; n.cfg.OnLimit != nil {
			n.cfg.OnLimit(limit)
		}
	}
	b := n.replica.Beat(0)
	s := &n.state
	s.applied.Store(b.Applied)
	s.turn.Store(b.Turn)
	s.keys.Store(b.Keys)
	s.used.Store(b.UsedBytes)
	s.ids.Store(b.IDs)
	s.memory.Store(b.MemoryBytes)
	s.data.Store(n.replica.DataBytes())
	s.idsAnswered.Store(b.IDsAnswered)
	s.deadlineMs.Store(n.replica.NextDeadlineMs())
	s.behind.Store(n.replica.Behind())
	_, epoch := n.replica.Session()
	s.epoch.Store(epoch)
}
