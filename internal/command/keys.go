package command

import (
	"fmt"
	"strconv"
	"strings"
)

// KeySpec says where some of a command's keys are and what happens to them, as COMMAND INFO shows it.
type KeySpec struct {
	Notes string
	Flags []string // "RO", "RW", "OW" or "RM", then "access", "update", "insert", "delete" ...
	Begin int      // index of the first key
	Last  int      // index of the last, relative to Begin; negative: from the end
	Step  int
	Limit int
}

// AppendKeys appends the indexes of the keys in args, which has c's arity.
func (c *Command) AppendKeys(to []int, args [][]byte) []int {
	for _, s := range c.KeySpecs {
		for i := s.Begin; i <= s.last(len(args)); i += s.Step {
			to = append(to, i)
		}
	}
	return to
}

// AppendKeyHashes appends the KeyHash of every key in args, and of the key in another database that
// the command touches.
func (c *Command) AppendKeyHashes(to []uint64, db int, args [][]byte) []uint64 {
	for i := range c.KeySpecs {
		s := &c.KeySpecs[i]
		for i, last := s.Begin, s.last(len(args)); i <= last; i += s.Step {
			to = append(to, KeyHash(db, args[i]))
		}
	}
	if c.OtherKey != nil {
		if otherDB, key, ok := c.OtherKey(args); ok && otherDB != db {
			to = append(to, KeyHash(otherDB, key))
		}
	}
	return to
}

// last returns the index of the last key among n arguments.
func (s *KeySpec) last(n int) int {
	if s.Last < 0 {
		return n + s.Last
	}
	return min(s.Begin+s.Last, n-1)
}

// keyRange sums specs up in one range, as COMMAND's three old fields do.
func keyRange(specs []KeySpec) (first, last, step int) {
	for i, s := range specs {
		end := s.Last
		if end >= 0 {
			end += s.Begin
		}
		if i == 0 {
			first, last, step = s.Begin, end, s.Step
			continue
		}
		last, step = end, 1
	}
	return first, last, step
}

// parseKeySpec reads Row.KeySpec's notation. It panics at a mistake, which is the table's.
func parseKeySpec(text string) KeySpec {
	s := KeySpec{Step: 1}
	text, s.Notes, _ = strings.Cut(text, " -- ")
	for _, word := range strings.Fields(text) {
		position, isPosition := strings.CutPrefix(word, "@")
		if !isPosition {
			s.Flags = append(s.Flags, word)
			continue
		}
		for i, number := range strings.Split(position, ":") {
			n, err := strconv.Atoi(number)
			if err != nil {
				panic(fmt.Sprintf("command: key position %q: %v", text, err))
			}
			*[]*int{&s.Begin, &s.Last, &s.Step, &s.Limit}[i] = n
		}
	}
	return s
}
