package server

import (
	"fmt"
	"strings"

	"brainer/internal/command"
	"brainer/internal/op"
	"brainer/resp"
)

// handler is how the server answers one command itself.
type handler struct {
	// run writes one reply to w, or makes the reply an Op's with addOp.
	run func(c *client, args [][]byte, w *resp.Writer)
	// settled: everything before it in the pipeline is answered first.
	settled bool
	// easy: it answers from the arguments alone.
	easy bool
	// inMulti says what MULTI does with the command.
	inMulti multiRule
}

type multiRule uint8

const (
	queued    multiRule = iota // answered when EXEC is, by what it would have replied
	immediate                  // not queued: EXEC, DISCARD, MULTI, WATCH, QUIT, RESET
	inBody                     // run by the nodes, as a part of the transaction
	atExec                     // SUBSCRIBE and its like: once the transaction has taken place
	ordered                    // PUBLISH: by the nodes, with the receivers counted at EXEC
)

// newHandlers finds the table's row for every handler. A name that the table lacks, or a command of
// the server's without a handler, is a mistake of the program.
func newHandlers(table *command.Table) map[*command.Command]handler {
	all := map[*command.Command]handler{}
	for _, group := range []map[string]handler{
		connectionHandlers(), clientHandlers(), serverHandlers(), commandHandlers(), configHandlers(),
		transactionHandlers(), pubsubHandlers(), saveHandlers(), brainerHandlers(),
	} {
		for name, h := range group {
			row := table.FindName([]byte(name))
			if row == nil {
				panic(fmt.Sprintf("server: the command table has no %q", name))
			}
			all[row] = h
		}
	}
	var missing []string
	var check func(rows []*command.Command)
	check = func(rows []*command.Command) {
		for _, row := range rows {
			if _, ok := all[row]; !ok && row.Flags&command.Server != 0 && len(row.Sub) == 0 {
				missing = append(missing, row.Name)
			}
			check(row.Sub)
		}
	}
	check(table.All())
	if len(missing) > 0 {
		panic("server: nothing answers " + strings.Join(missing, ", "))
	}
	return all
}

// dispatch takes one command into the turn, in Redis's order of checks (processCommand).
func (c *client) dispatch(cmd resp.Command) {
	c.begin(cmd)
	c.command(cmd.Args, cmd.Raw)
}

// begin is called before each command of the client's.
func (c *client) begin(cmd resp.Command) {
	c.turn.begin()
	c.replySkip, c.replySkipNext = c.replySkipNext, false
	c.withAck, c.lasting = op.AckDefault, cmd.Lasting
	c.withClient, c.withNumber = nil, 0
}

// command is dispatch for a command that may have come inside BRAINER WITH.
func (c *client) command(args [][]byte, raw []byte) {
	c.execute(c.srv.table.Find(args), args, raw)
}

func (c *client) execute(row *command.Command, args [][]byte, raw []byte) {
	if row == nil || row.Flags&command.Internal != 0 {
		if isHTTP(args[0]) {
			// A browser that was led here; what follows are headers, and a body of another's choosing.
			c.srv.log.Warn("an HTTP request, closing", "client", c.id, "addr", c.addr())
			c.closeAfter = true
			return
		}
		c.reject(nil, c.srv.table.ErrUnknownCommand(args))
		return
	}
	switch {
	case !row.ArityOK(len(args)):
		c.reject(row, command.ErrArity(row.Name))
	case c.mustAuth() && row.Flags&command.NoAuth == 0:
		c.reject(row, errNoAuth)
	case c.tx.open && row.Flags&command.NoMulti != 0 && !isWithExec(args):
		c.reject(row, errNoMulti)
	case c.subscribed() && c.proto == 2 && row.Flags&command.Subscriber == 0:
		c.reject(row, errSubscriberMode(row.Name))
	case c.refused(row):
	case row.Flags&command.Server == 0:
		if c.tx.open {
			c.queue(row, args, raw)
			return
		}
		c.forward(row, args, raw)
	default:
		c.loop.easyTurns = 0
		h := c.srv.handlers[row]
		if c.tx.open && h.inMulti != immediate {
			c.queue(row, args, raw)
			return
		}
		c.answer(row, h, args)
	}
}

// refused says whether a command of the server's own, or one to queue, was, as Redis refuses it while it loads: PING then tells a
// probe the truth. (The backend refuses the others.)
func (c *client) refused(row *command.Command) bool {
	if row.Flags&command.Loading != 0 || len(row.Sub) > 0 || row.Flags&command.Server == 0 && !c.tx.open {
		return false
	}
	text := c.srv.backend.NotServing()
	if text != "" {
		c.reject(row, text)
	}
	return text != ""
}

// answer runs a command of the server's own.
func (c *client) answer(row *command.Command, h handler, args [][]byte) {
	if h.settled || row.Name == "exec" && c.execNeedsSettled() {
		if c.settle() != nil {
			c.closeAfter = true
			return
		}
		c.turn.begin()
	}
	c.row = row
	from, items := len(c.turn.local.B), len(c.turn.items)
	h.run(c, args, &c.turn.local)
	if len(c.turn.items) == items || len(c.turn.local.B) > c.turn.claimed {
		c.turn.addLocal(row, from, c.silent())
	}
	if c.restore != nil {
		// What comes next depends on whether the transaction took place.
		if c.settle() != nil {
			c.closeAfter = true
		}
		c.restore = nil
		c.turn.local.Proto = c.proto
	}
}

// forward makes a command of the keyspace's an Op.
func (c *client) forward(row *command.Command, args [][]byte, raw []byte) {
	o := c.newOp(op.Read, raw)
	if row.Flags&command.Write != 0 {
		o.Kind, o.Ack, o.Lasting = op.Write, c.ackRule(), c.lasting
		o.Client, o.Number = c.withClient, c.withNumber
		o.DenyOOM = row.Flags&command.DenyOOM != 0
	}
	o.Keyless = row.Flags&command.Keyless != 0
	o.Keys = c.hashKeys(row, c.db, args)
	if row.First > 0 && row.First < len(args) {
		o.Key = args[row.First]
	}
	o.Near = row.Flags&command.Steady != 0 && len(o.Keys) == 1
	c.turn.addOp(row, o, c.silent())
}

func (c *client) newOp(kind op.Kind, body []byte) op.Op {
	return op.Op{Kind: kind, DB: uint8(c.db), Proto: uint8(c.proto), NoTouch: c.noTouch, Body: body}
}

// hashKeys returns the hashes of args' keys; they last as long as the turn.
func (c *client) hashKeys(row *command.Command, db int, args [][]byte) []uint64 {
	from := len(c.turn.keys)
	c.turn.keys = row.AppendKeyHashes(c.turn.keys, db, args)
	return c.turn.keys[from:len(c.turn.keys):len(c.turn.keys)]
}

// ackRule is the rule for the command at hand.
func (c *client) ackRule() op.Ack {
	if c.withAck != op.AckDefault {
		return c.withAck
	}
	return c.ack
}

func (c *client) silent() bool { return c.replyOff || c.replySkip }

// reject answers with an error instead of executing or queueing; an open transaction is spoilt.
// A refused EXEC ends it.
func (c *client) reject(row *command.Command, text string) {
	c.tx.spoilt = c.tx.spoilt || c.tx.open
	if row != nil && row.Name == "exec" {
		text = errExecRejected + strings.TrimPrefix(text, "ERR ")
		c.tx.reset()
		c.forgetWatches()
	}
	from := len(c.turn.local.B)
	c.turn.local.Error(text)
	c.turn.addLocal(row, from, c.silent()).rejected = true
}

func isHTTP(name []byte) bool {
	return strings.EqualFold(string(name), "post") || strings.EqualFold(string(name), "host:")
}

// equalFold says whether an argument is the given word in any case.
func equalFold(arg []byte, word string) bool {
	return len(arg) == len(word) && strings.EqualFold(string(arg), word)
}
