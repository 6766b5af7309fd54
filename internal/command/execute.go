package command

import (
	"fmt"
	"runtime/debug"
)

// Execute runs the command in c.Args and writes exactly one reply. It returns the command's row, nil
// when there is none of that name.
func Execute(c *Ctx, t *Table) *Command {
	c.rnd = 0
	return execute(c, t)
}

// RunTxn executes the commands of a transaction, which stand one after the other in body as
// canonical RESP, and writes the array of their replies. An error in one does not stop the others.
func RunTxn(c *Ctx, t *Table, body []byte) error {
	c.rnd = 0
	start := len(c.W.B)
	n := 0
	for rest := body; len(rest) > 0; n++ {
		var err error
		if c.Args, rest, err = SplitCommand(rest, c.Args[:0]); err != nil {
			return fmt.Errorf("split command %d of a transaction: %w", n, err)
		}
	}
	c.W.Array(n)
	tooLarge := false
	for rest := body; len(rest) > 0; {
		c.Args, rest, _ = SplitCommand(rest, c.Args[:0])
		execute(c, t)
		tooLarge = c.replyTooLarge(start) || tooLarge
	}
	if tooLarge {
		c.W.B = c.W.B[:start]
		c.W.Error(ErrTxnReplyTooLarge)
	}
	return nil
}

func execute(c *Ctx, t *Table) *Command {
	cmd := t.Find(c.Args)
	switch {
	case cmd == nil:
		c.W.Error(t.ErrUnknownCommand(c.Args))
	case !cmd.ArityOK(len(c.Args) - cmd.EntryArgs):
		c.W.Error(ErrArity(cmd.Name))
	case cmd.Run == nil:
		c.W.Error(ErrNotHere)
	default:
		run(c, cmd)
	}
	return cmd
}

// run turns a panic into a reply. It is the same on every copy, as the state before it was.
func run(c *Ctx, cmd *Command) {
	start := len(c.W.B)
	defer func() {
		if fault := recover(); fault != nil {
			c.Faults = append(c.Faults, Fault{cmd.Name, fault, debug.Stack()})
			c.W.B = c.W.B[:start]
			c.W.Error(ErrInternal)
		}
	}()
	c.cmd = cmd
	cmd.Run(c)
}
