package server

import (
	"sync/atomic"
	"time"

	"brainer/internal/command"
	"brainer/internal/op"
	"brainer/resp"
)

const (
	turnOpsMax     = 256
	turnOpsFirst   = 16      // of a connection whose replies are not known yet
	turnReadsMax   = 256     // a read's reply may be as large as a value
	turnBytesMax   = 1 << 20 // request bytes of one batch, unless one command is larger
	turnRepliesMax = 4 << 20 // what the replies of one batch should not exceed
	turnLocalMax   = 1 << 20 // reply bytes of the server's own
)

// turn is the pipeline being answered: what goes to the backend, and all replies in order.
type turn struct {
	batch   *op.Batch
	items   []item
	local   resp.Writer // replies of the server's own, one behind the other
	keys    []uint64    // what Op.Keys point into
	claimed int         // how much of local is in items
	scratch []byte      // bodies that are not as they arrived
	opsMax  int         // lowered while replies are large
	reads   int         // among the Ops
	began   time.Time
	last    *command.Command
	keep    bool // an Op of the batch outlives it
}

// item is one reply.
type item struct {
	cmd      *command.Command // nil: unknown
	op       int              // index in the batch, -1: local
	from, to int              // of a local reply
	silent   bool             // not sent
	rejected bool             // never executed
	queued   bool             // executed at EXEC
	subs     *subscriptions   // that an EXEC brings
}

func (t *turn) init(unsent *atomic.Int64) {
	t.batch = op.NewBatch()
	t.batch.Unsent = unsent
	t.opsMax = turnOpsFirst
}

func (t *turn) full() bool {
	return len(t.batch.Ops) >= t.opsMax || t.reads >= turnReadsMax || t.batch.Bytes >= turnBytesMax ||
		len(t.items) >= turnOpsMax || len(t.local.B) >= turnLocalMax
}

// begin is called before each command; the first one's arrival is the turn's.
func (t *turn) begin() {
	if t.began.IsZero() {
		t.began = time.Now()
	}
}

// addLocal makes what was written to local since from the next reply.
func (t *turn) addLocal(cmd *command.Command, from int, silent bool) *item {
	if silent {
		t.local.B = t.local.B[:from]
	}
	t.claimed = len(t.local.B)
	t.items = append(t.items, item{cmd: cmd, op: -1, from: from, to: t.claimed, silent: silent})
	return &t.items[len(t.items)-1]
}

// noReply counts a command that has been answered out of band, or not at all.
func (t *turn) noReply(cmd *command.Command) {
	t.addLocal(cmd, len(t.local.B), true)
}

// addOp makes o's reply the next one.
func (t *turn) addOp(cmd *command.Command, o op.Op, silent bool) *op.Op {
	t.batch.Ops = append(t.batch.Ops, o)
	t.batch.Bytes += len(o.Body)
	if o.Kind == op.Read {
		t.reads++
	}
	t.items = append(t.items, item{cmd: cmd, op: len(t.batch.Ops) - 1, silent: silent})
	return &t.batch.Ops[len(t.batch.Ops)-1]
}

// reply returns an item's reply once the batch is done.
func (t *turn) reply(it *item) []byte {
	if it.op < 0 {
		return t.local.B[it.from:it.to]
	}
	return t.batch.Ops[it.op].Reply
}

// endTurn answers what is pending and sends it.
func (c *client) endTurn() error {
	if err := c.settle(); err != nil {
		return err
	}
	return c.out.flush()
}

// settle answers what is pending: it waits for the backend, and writes every reply in order.
func (c *client) settle() error {
	t := &c.turn
	if len(t.items) == 0 {
		return c.out.err()
	}
	if len(t.batch.Ops) > 0 {
		t.markLast()
		t.batch.Begin()
		c.srv.backend.Submit(t.batch)
		<-t.batch.Done()
	}
	c.conclude()
	return c.out.err()
}

// conclude writes the replies of a turn whose batch is done.
func (c *client) conclude() {
	t := &c.turn
	now := time.Now()
	c.account(now)
	replied, dropped := 0, false
	for i := range t.items {
		it := &t.items[i]
		if it.op >= 0 {
			o := &t.batch.Ops[it.op]
			c.settled(o)
			// Those behind one that was dropped are asked again too: they come after it.
			if dropped = dropped || o.Dropped; dropped && c.out.err() == nil {
				o.Reply = c.askAgain(o)
			}
		}
		if it.subs != nil && (it.op < 0 || execSucceeded(t.reply(it))) {
			c.subscribeAll(it.subs, t.reply(it), it.silent)
			continue
		}
		if !it.silent {
			reply := t.reply(it)
			replied += len(reply)
			c.out.write(reply)
		}
		if dropped && it.op >= 0 {
			t.batch.Ops[it.op].Reply = nil // one at a time
		}
	}
	if n := len(t.batch.Ops); n > 0 {
		t.opsMax = min(turnOpsMax, 2*t.opsMax, max(1, turnRepliesMax/max(1, replied/n)))
	}
	t.reset()
	c.publishSeen(now)
}

// settled takes note of what one Op has come to.
func (c *client) settled(o *op.Op) {
	switch o.Kind {
	case op.Write, op.Txn:
		c.lastIndex = max(c.lastIndex, o.Index)
	}
	refused := len(o.Reply) > 0 && o.Reply[0] == '-'
	switch {
	case o.Kind == op.Watch:
		c.tracked = true
	case refused:
	case o.Kind == op.Unwatch || o.Kind == op.Txn && o.Token != 0:
		c.tracked = false
	}
	if o.Kind == op.Txn && c.restore != nil && !execSucceeded(o.Reply) {
		c.session = *c.restore
	}
}

func (t *turn) reset() {
	if t.keep {
		// The backend still needs an Op of it; nothing of it is used again.
		t.batch.LetGo()
		fresh := op.NewBatch()
		fresh.Unsent = t.batch.Unsent
		t.batch, t.keep = fresh, false
		t.keys, t.scratch = nil, nil
	} else {
		t.batch.Reset()
	}
	t.items, t.reads = t.items[:0], 0
	t.local.B, t.claimed = t.local.B[:0], 0
	if cap(t.local.B) > turnLocalMax/4 {
		t.local.B = nil
	}
	t.keys = t.keys[:0]
	if cap(t.scratch) > turnBytesMax/4 {
		t.scratch = nil
	}
	t.scratch = t.scratch[:0]
	t.began = time.Time{}
}

// account counts the turn's commands, those of one kind that follow each other in one go.
func (c *client) account(now time.Time) {
	t, st := &c.turn, &c.srv.stats
	st.commands.Add(uint64(len(t.items)))
	c.commands.Add(uint64(len(t.items)))
	seconds := now.Sub(t.began).Seconds()
	for i := 0; i < len(t.items); {
		first, failed := &t.items[i], 0
		j := i
		for ; j < len(t.items) && t.items[j].cmd == first.cmd && t.items[j].rejected == first.rejected && t.items[j].queued == first.queued; j++ {
			if reply := t.reply(&t.items[j]); len(reply) > 0 && reply[0] == '-' {
				failed++
				st.countError(reply)
			}
		}
		n := j - i
		i = j
		if first.cmd == nil {
			if first.rejected {
				c.srv.observer.Observe(nil, n, failed, seconds)
			}
			continue
		}
		t.last = first.cmd
		stat := st.command(first.cmd)
		switch {
		case first.queued:
			stat.calls.Add(uint64(n))
			continue
		case first.rejected:
			stat.rejected.Add(uint64(n))
		default:
			stat.calls.Add(uint64(n))
			stat.failed.Add(uint64(failed))
			stat.usec.Add(uint64(seconds * 1e6 * float64(n)))
		}
		c.srv.observer.Observe(first.cmd, n, failed, seconds)
	}
}

// markLast allows the reads behind which nothing is ordered to be asked again, and a write that is the last to be sent ahead of
// its order, and no others: some may have been marked when there was no room for the turn, and it has grown since.
func (t *turn) markLast() {
	last := true
	for i := len(t.batch.Ops) - 1; i >= 0; i-- {
		o := &t.batch.Ops[i]
		o.Ahead = o.Kind == op.Write && i == len(t.batch.Ops)-1
		last = last && o.Kind == op.Read
		o.Again = last
	}
}

// askAgain asks for a read whose reply was dropped.
func (c *client) askAgain(o *op.Op) []byte {
	return c.ask(op.Op{Kind: o.Kind, DB: o.DB, Proto: o.Proto, Keyless: o.Keyless, Keys: o.Keys, Body: o.Body,
		NoTouch: o.NoTouch, Txn: o.Txn})
}

// ask has one operation done at once, beside the turn, and returns its reply.
func (c *client) ask(o op.Op) []byte {
	b := op.NewBatch()
	b.Ops = append(b.Ops, o)
	b.Bytes = len(o.Body)
	b.Begin()
	c.srv.backend.Submit(b)
	<-b.Done()
	return b.Ops[0].Reply
}
