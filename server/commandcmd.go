package server

import (
	"strings"

	"brainer/internal/command"
	"brainer/resp"
)

// commandHandlers are COMMAND and its subcommands: the table shown to clients.
func commandHandlers() map[string]handler {
	return map[string]handler{
		"command":                 {run: commandAll},
		"command|count":           {run: commandCount},
		"command|info":            {run: commandInfo},
		"command|docs":            {run: commandDocs},
		"command|list":            {run: commandList},
		"command|getkeys":         {run: commandGetKeys},
		"command|getkeysandflags": {run: commandGetKeysAndFlags},
		"command|help":            {run: help(commandHelp)},
	}
}

func commandAll(c *client, _ [][]byte, w *resp.Writer) {
	all := c.srv.table.All()
	w.Array(len(all))
	for _, row := range all {
		row.WriteInfo(w)
	}
}

func commandCount(c *client, _ [][]byte, w *resp.Writer) { w.Int(int64(len(c.srv.table.All()))) }

// named returns the command of that name, which clients may know of.
func (c *client) named(name []byte) *command.Command {
	row := c.srv.table.FindName(name)
	if row == nil || row.Flags&command.Internal != 0 {
		return nil
	}
	return row
}

func commandInfo(c *client, args [][]byte, w *resp.Writer) {
	if len(args) == 2 {
		commandAll(c, args, w)
		return
	}
	w.Array(len(args) - 2)
	for _, name := range args[2:] {
		if row := c.named(name); row != nil {
			row.WriteInfo(w)
		} else {
			w.Null()
		}
	}
}

func commandDocs(c *client, args [][]byte, w *resp.Writer) {
	rows := c.srv.table.All()
	if len(args) > 2 {
		rows = nil
		for _, name := range args[2:] {
			if row := c.named(name); row != nil {
				rows = append(rows, row)
			}
		}
	}
	w.Map(len(rows))
	for _, row := range rows {
		row.WriteDocs(w)
	}
}

func commandList(c *client, args [][]byte, w *resp.Writer) {
	keep := func(*command.Command) bool { return true }
	switch {
	case len(args) == 2:
	case len(args) != 5 || !equalFold(args[2], "filterby"):
		w.Error(command.ErrSyntax)
		return
	case equalFold(args[3], "module"):
		keep = func(*command.Command) bool { return false }
	case equalFold(args[3], "aclcat"):
		keep = func(row *command.Command) bool { return row.HasCategory(strings.ToLower(string(args[4]))) }
	case equalFold(args[3], "pattern"):
		keep = func(row *command.Command) bool { return command.Match(args[4], []byte(row.Name)) }
	default:
		w.Error(command.ErrSyntax)
		return
	}
	var names []string
	var collect func(rows []*command.Command)
	collect = func(rows []*command.Command) {
		for _, row := range rows {
			if keep(row) {
				names = append(names, row.Name)
			}
			if len(args) > 2 { // only a filter looks into containers
				collect(row.Sub)
			}
		}
	}
	collect(c.srv.table.All())
	w.Array(len(names))
	for _, name := range names {
		w.BulkString(name)
	}
}

// keysOf returns where the keys of a command line are; text is of the error if there is one.
func (c *client) keysOf(args [][]byte) (row *command.Command, keys []int, text string) {
	row = c.srv.table.Find(args)
	switch {
	case row == nil || row.Flags&command.Internal != 0:
		return nil, nil, errGetKeysCommand
	case len(row.KeySpecs) == 0:
		return nil, nil, errGetKeysNone
	case !row.ArityOK(len(args)):
		return nil, nil, errGetKeysArity
	}
	return row, row.AppendKeys(nil, args), ""
}

func commandGetKeys(c *client, args [][]byte, w *resp.Writer) {
	_, keys, text := c.keysOf(args[2:])
	if text != "" {
		w.Error(text)
		return
	}
	w.Array(len(keys))
	for _, i := range keys {
		w.Bulk(args[2+i])
	}
}

func commandGetKeysAndFlags(c *client, args [][]byte, w *resp.Writer) {
	row, _, text := c.keysOf(args[2:])
	if text != "" {
		w.Error(text)
		return
	}
	type key struct {
		name  []byte
		flags []string
	}
	var keys []key
	for i := range row.KeySpecs {
		one := command.Command{KeySpecs: row.KeySpecs[i : i+1]}
		for _, at := range one.AppendKeys(nil, args[2:]) {
			keys = append(keys, key{args[2+at], row.KeySpecs[i].Flags})
		}
	}
	w.Array(len(keys))
	for _, k := range keys {
		w.Array(2)
		w.Bulk(k.name)
		w.Set(len(k.flags))
		for _, flag := range k.flags {
			w.Simple(flag)
		}
	}
}
