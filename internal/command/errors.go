package command

import (
	"fmt"
	"strings"
)

// Every error text that running a command can show to a client.
const (
	ErrWrongType      = "WRONGTYPE Operation against a key holding the wrong kind of value"
	ErrSyntax         = "ERR syntax error"
	ErrNotInteger     = "ERR value is not an integer or out of range"
	ErrNotFloat       = "ERR value is not a valid float"
	ErrNotPositive    = "ERR value is out of range, must be positive"
	ErrOverflow       = "ERR increment or decrement would overflow"
	ErrDecrOverflow   = "ERR decrement would overflow"
	ErrNaN            = "ERR increment would produce NaN or Infinity"
	ErrNaNHash        = "ERR value is NaN or Infinity"
	ErrTooLong        = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
	ErrOffset         = "ERR offset is out of range"
	ErrOutOfRange     = "ERR value is out of range"
	ErrNoSuchKey      = "ERR no such key"
	ErrSameObject     = "ERR source and destination objects are the same"
	ErrDBIndex        = "ERR DB index is out of range"
	ErrInvalidCursor  = "ERR invalid cursor"
	ErrNotIntegerHash = "ERR hash value is not an integer"
	ErrNotFloatHash   = "ERR hash value is not a float"
	ErrInternal       = "ERR internal error"
)

// ErrArity is for a call with too few or too many arguments; name is the full one ("object|freq").
func ErrArity(name string) string {
	return "ERR wrong number of arguments for '" + name + "' command"
}

// ErrUnknownCommand is for args that Table.Find does not know, in Redis's words.
func (t *Table) ErrUnknownCommand(args [][]byte) string {
	if c := t.Lookup(args[0]); c != nil && len(c.Sub) > 0 && len(args) > 1 {
		return fmt.Sprintf("ERR unknown subcommand '%s'. Try %s HELP.",
			cText(args[1], 128), strings.ToUpper(cText(args[0], len(args[0]))))
	}
	var begin []byte
	for _, arg := range args[1:] {
		if len(begin) >= 128 {
			break
		}
		begin = fmt.Appendf(begin, "'%s' ", cText(arg, 128-len(begin)))
	}
	return fmt.Sprintf("ERR unknown command '%s', with args beginning with: %s", cText(args[0], 128), begin)
}

// cText is what C's printf shows of b: up to the first NUL, at most bytesMax.
func cText(b []byte, bytesMax int) string {
	b = b[:min(len(b), bytesMax)]
	if i := strings.IndexByte(string(b), 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
