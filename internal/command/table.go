package command

import "fmt"

// Databases is how many databases a keyspace has.
const Databases = 16

// nameBytesMax bounds the names that Lookup finds; it folds case in a buffer of that size.
const nameBytesMax = 32

// Table holds every command. It never changes, so that any number of goroutines may use one.
type Table struct {
	all    []*Command
	byName map[string]*Command // internal commands too
}

// NewTable builds the table from the families' rows.
func NewTable() *Table {
	t := &Table{byName: make(map[string]*Command)}
	for _, family := range [][]Row{
		stringRows(), lcsRows(), counterRows(), genericRows(), expireRows(), scanRows(), objectRows(), memoryRows(),
		databaseRows(), hashRows(), hashCounterRows(), hashRandomRows(), connectionRows(), serverRows(),
		transactionRows(), pubsubRows(), brainerRows(),
	} {
		for _, row := range family {
			c := newCommand(row)
			if len(c.Name) > nameBytesMax || t.byName[c.Name] != nil {
				panic(fmt.Sprintf("command: the name %q is too long or used twice", c.Name))
			}
			t.byName[c.Name] = c
			if c.Flags&Internal == 0 {
				t.all = append(t.all, c)
			}
		}
	}
	return t
}

// All returns the commands that a client may send, in the table's order, without subcommands.
func (t *Table) All() []*Command { return t.all }

// Lookup returns the command of that name in any case, internal ones too, or nil.
// It knows no subcommands.
func (t *Table) Lookup(name []byte) *Command {
	if len(name) > nameBytesMax {
		return nil
	}
	var lower [nameBytesMax]byte
	for i, b := range name {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		lower[i] = b
	}
	return t.byName[string(lower[:len(name)])]
}

// Find returns the command that args call, a subcommand where the command has some and the second
// argument is there; nil when it is unknown. UnknownCommand makes the error of that.
func (t *Table) Find(args [][]byte) *Command {
	c := t.Lookup(args[0])
	if c == nil || len(c.Sub) == 0 || len(args) == 1 {
		return c
	}
	return c.FindSub(args[1])
}

// FindName returns the command called "get" or "config|get" in any case, or nil.
func (t *Table) FindName(name []byte) *Command {
	for i, b := range name {
		if b == '|' {
			if c := t.Lookup(name[:i]); c != nil {
				return c.FindSub(name[i+1:])
			}
			return nil
		}
	}
	return t.Lookup(name)
}

// FindSub returns the subcommand of that name in any case, or nil.
func (c *Command) FindSub(name []byte) *Command {
	for _, sub := range c.Sub {
		if equalFold(name, sub.Name[len(c.Name)+1:]) {
			return sub
		}
	}
	return nil
}

// ArityOK says whether a client may call c with n arguments, the name among them.
func (c *Command) ArityOK(n int) bool {
	return n == c.Arity || c.Arity < 0 && n >= -c.Arity
}

func newCommand(row Row) *Command {
	c := &Command{Row: row, Args: parseArgs(row.ArgSpec)}
	for _, spec := range row.KeySpec {
		c.KeySpecs = append(c.KeySpecs, parseKeySpec(spec))
	}
	c.First, c.Last, c.Step = keyRange(c.KeySpecs)
	for _, sub := range row.Sub {
		c.Sub = append(c.Sub, newCommand(sub))
	}
	return c
}

// equalFold says whether b is the lower-case s in any case.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, x := range b {
		if 'A' <= x && x <= 'Z' {
			x += 'a' - 'A'
		}
		if x != s[i] {
			return false
		}
	}
	return true
}
