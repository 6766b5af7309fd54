package server

import (
	"fmt"

	"brainer/internal/command"
	"brainer/internal/op"
	"brainer/resp"
)

// transaction is what MULTI has queued: the commands as they arrived, one behind the other.
type transaction struct {
	open    bool
	spoilt  bool // a command was refused: EXEC aborts
	queue   []queuedCommand
	body    []byte
	keys    []uint64
	keyless bool
	denyOOM bool
	db      int // where SELECT in the queue has led
	own     int // commands that the server answers itself
	data    int // commands of the keyspace
}

type queuedCommand struct {
	row *command.Command
	own bool
	end int // in body, where the next one begins
}

func transactionHandlers() map[string]handler {
	return map[string]handler{
		"multi":   {run: multi, inMulti: immediate},
		"exec":    {run: exec, inMulti: immediate},
		"discard": {run: discard, inMulti: immediate},
		"watch":   {run: watch, inMulti: immediate},
		"unwatch": {run: unwatch},
	}
}

func (tx *transaction) reset() {
	body, queue, keys := tx.body[:0], tx.queue[:0], tx.keys[:0]
	if cap(body) > turnBytesMax/4 {
		body, queue, keys = nil, nil, nil
	}
	*tx = transaction{body: body, queue: queue, keys: keys}
}

func multi(c *client, _ [][]byte, w *resp.Writer) {
	if c.tx.open {
		w.Error(errNestedMulti)
		return
	}
	c.tx.reset()
	c.tx.open, c.tx.db = true, c.db
	w.OK()
}

// queue takes a command into the open transaction.
func (c *client) queue(row *command.Command, args [][]byte, raw []byte) {
	tx := &c.tx
	if int64(len(tx.body)+len(raw)) > c.srv.settings.queryBufferMax.Load() {
		c.reject(row, errTransactionTooLarge)
		return
	}
	if c.srv.backend.OutOfMemory() {
		c.reject(row, errOOM) // a queue takes memory, too
		return
	}
	own := row.Flags&command.Server != 0
	switch rule := c.srv.handlers[row].inMulti; {
	case !own:
		tx.data++
		tx.keys = row.AppendKeyHashes(tx.keys, tx.db, args)
		tx.keyless = tx.keyless || row.Flags&command.Keyless != 0
		tx.denyOOM = tx.denyOOM || row.Flags&command.DenyOOM != 0
	case rule == ordered:
		tx.data++
		tx.own++
		tx.keys = append(tx.keys, command.KeyHash(tx.db, args[1]))
	case rule == inBody:
		if db, text := parseDB(args[1]); text == "" {
			tx.db = db
		}
	default:
		tx.own++
	}
	tx.body = append(tx.body, raw...)
	tx.queue = append(tx.queue, queuedCommand{row: row, own: own, end: len(tx.body)})
	from := len(c.turn.local.B)
	c.turn.local.Simple("QUEUED")
	c.turn.addLocal(row, from, c.silent()).queued = true
}

func discard(c *client, _ [][]byte, w *resp.Writer) {
	if !c.tx.open {
		w.Error(errDiscardNoMult)
		return
	}
	c.tx.reset()
	c.forgetWatches()
	w.OK()
}

func watch(c *client, args [][]byte, w *resp.Writer) {
	if c.tx.open {
		w.Error(errWatchInMulti)
		return
	}
	if c.tracked && !c.watching {
		// An EXEC that was refused has left keys behind, which this transaction does not watch.
		c.addUnwatch()
	}
	c.watching, c.tracked = true, true
	from := len(c.turn.scratch)
	c.turn.scratch = resp.AppendCommand(c.turn.scratch, args...)
	o := c.newOp(op.Watch, c.turn.scratch[from:len(c.turn.scratch):len(c.turn.scratch)])
	o.Token = c.id
	o.Keys = c.hashKeys(c.row, c.db, args)
	c.turn.addOp(c.row, o, c.silent())
}

func unwatch(c *client, _ [][]byte, w *resp.Writer) {
	if !c.inExec { // EXEC ends them itself
		c.forgetWatches()
	}
	w.OK()
}

// forgetWatches has the nodes forget our keys; nobody waits for a reply.
func (c *client) forgetWatches() {
	if c.tracked {
		c.addUnwatch()
	}
	c.watching = false
}

func (c *client) addUnwatch() {
	c.turn.addOp(nil, c.unwatchOp(), true)
}

func (c *client) unwatchOp() op.Op {
	o := c.newOp(op.Unwatch, unwatchBody)
	o.Token = c.id
	return o
}

// unwatchBody is read only.
var unwatchBody = resp.AppendCommand(nil, []byte("UNWATCH"))

func exec(c *client, _ [][]byte, w *resp.Writer) {
	tx := &c.tx
	switch {
	case !tx.open:
		w.Error(errExecNoMulti)
		return
	case tx.spoilt:
		tx.reset()
		c.forgetWatches()
		w.Error(errExecAbort)
		return
	case len(tx.queue) == 0 && !c.watching:
		tx.reset()
		c.forgetWatches()
		w.Array(0)
		return
	}
	if text := c.idRefused(); text != "" {
		c.reject(c.row, text)
		return
	}
	before := c.session
	row := c.row
	c.inExec = true
	defer func() { c.inExec = false }()
	e := execution{client: c, w: resp.Writer{Proto: c.proto}}
	if tx.data == 0 && !c.watching {
		from := len(w.B)
		w.Array(len(tx.queue))
		e.answerAll(w)
		tx.reset()
		if e.subs != nil {
			c.turn.addLocal(row, from, c.silent()).subs = e.subs
			c.restore = &before // what comes next depends on them
		}
		return
	}

	o := c.newOp(op.Txn, tx.body)
	o.Ack = c.ackRule()
	o.Client, o.Number = c.withClient, c.withNumber
	o.Keys, o.Keyless, o.DenyOOM = tx.keys, tx.keyless, tx.denyOOM
	if c.watching {
		o.Token = c.id
	}
	if tx.own > 0 {
		o.Body = e.rewrite()
	}
	if len(e.messages) > 0 {
		messages, hub := e.messages, c.srv.hub
		o.OnSafe = func(o *op.Op) {
			if execSucceeded(o.Reply) {
				for _, m := range messages {
					hub.deliver(m)
				}
			}
		}
		c.turn.keep = true
	}
	c.watching = false
	c.db = tx.db
	c.turn.addOp(row, o, c.silent())
	c.turn.items[len(c.turn.items)-1].subs = e.subs
	// The body and the keys are the Op's until it is answered.
	*tx = transaction{}
	if c.session != before || e.subs != nil {
		c.restore = &before
	}
}

// execNeedsSettled says whether a queued command can only be answered when all before EXEC is.
func (c *client) execNeedsSettled() bool {
	for _, q := range c.tx.queue {
		if q.own && c.srv.handlers[q.row].settled {
			return true
		}
	}
	return false
}

// idRefused says why the transaction at hand cannot have the id that EXEC came with, "" when it can.
func (c *client) idRefused() string {
	if len(c.withClient) == 0 {
		return ""
	}
	for _, q := range c.tx.queue {
		if rule := c.srv.handlers[q.row].inMulti; q.own && (rule == ordered || rule == atExec) {
			return errWithIDOrder
		}
	}
	if c.tx.data == 0 && !c.watching {
		return errWithIDWrite
	}
	return ""
}

// execSucceeded says whether EXEC's reply is that of a transaction that took place.
func execSucceeded(reply []byte) bool {
	return len(reply) > 1 && reply[0] == '*' && reply[1] != '-'
}

// execution answers, at EXEC, what was queued of the server's own commands.
type execution struct {
	client   *client
	w        resp.Writer
	args     [][]byte
	messages []message // to deliver if the transaction takes place
	subs     *subscriptions
}

// answerAll runs a transaction that has nothing for the nodes.
func (e *execution) answerAll(w *resp.Writer) {
	defer e.provisional()()
	from := 0
	for _, q := range e.client.tx.queue {
		e.answer(q.row, e.client.tx.body[from:q.end], w)
		from = q.end
	}
}

// answer runs one queued command of the server's own.
func (e *execution) answer(row *command.Command, raw []byte, w *resp.Writer) {
	e.split(raw)
	e.client.row = row
	if e.client.srv.handlers[row].inMulti == atExec {
		e.subscription(row.Name, e.args[1:], w)
		return
	}
	e.client.srv.handlers[row].run(e.client, e.args, w)
}

// split takes a queued command apart, which was canonical when it was queued.
func (e *execution) split(raw []byte) {
	var err error
	if e.args, _, err = command.SplitCommand(raw, e.args[:0]); err != nil {
		panic(fmt.Sprintf("server: a queued command: %v", err))
	}
}

// rewrite returns the body as the nodes run it: replies in the place of the server's own commands.
func (e *execution) rewrite() []byte {
	c := e.client
	defer e.provisional()()
	var body []byte
	from := 0
	for _, q := range c.tx.queue {
		raw := c.tx.body[from:q.end]
		from = q.end
		switch rule := c.srv.handlers[q.row].inMulti; {
		case !q.own || rule == inBody:
			body = append(body, raw...)
		case rule == ordered:
			e.split(raw)
			m := newMessage(e.args[1], e.args[2])
			e.messages = append(e.messages, m)
			body = appendPublish(body, m, c.srv.hub.receivers([]byte(m.channel))+e.toItself(m))
		default:
			e.w.B = e.w.B[:0]
			e.answer(q.row, raw, &e.w)
			body = resp.AppendCommand(body, []byte("_reply"), e.w.B)
		}
	}
	return body
}
