package command

import (
	"fmt"
	"strings"
)

// Every error text that running a command can show to a client.
const (
	ErrWrongType          = "WRONGTYPE Operation against a key holding the wrong kind of value"
	ErrSyntax             = "ERR syntax error"
	ErrNotInteger         = "ERR value is not an integer or out of range"
	ErrNotFloat           = "ERR value is not a valid float"
	ErrOutOfRange         = "ERR value is out of range"
	ErrOverflow           = "ERR increment or decrement would overflow"
	ErrDecrementOverflow  = "ERR decrement would overflow"
	ErrNotFinite          = "ERR increment would produce NaN or Infinity"
	ErrIncrementNotFinite = "ERR value is NaN or Infinity"
	ErrHashNotInteger     = "ERR hash value is not an integer"
	ErrHashNotFloat       = "ERR hash value is not a float"
	ErrStringTooLong      = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
	ErrOffset             = "ERR offset is out of range"
	ErrNoSuchKey          = "ERR no such key"
	ErrSameObject         = "ERR source and destination objects are the same"
	ErrDBIndex            = "ERR DB index is out of range"
	ErrFirstDBIndex       = "ERR invalid first DB index"
	ErrSecondDBIndex      = "ERR invalid second DB index"
	ErrCursor             = "ERR invalid cursor"
	ErrLFU                = "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
	ErrNoLFU              = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."

	ErrExpireNXAndOthers = "ERR NX and XX, GT or LT options at the same time are not compatible"
	ErrExpireGTAndLT     = "ERR GT and LT options at the same time are not compatible"

	ErrLCSTypes     = "ERR The specified keys must contain string values"
	ErrLCSLenAndIdx = "ERR If you want both the length and indexes, please just use IDX."
	ErrLCSMemory    = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"

	// About the call that COMMAND GETKEYS is asked about.
	ErrInvalidCommand = "ERR Invalid command specified"
	ErrNoKeys         = "ERR The command has no key arguments"
	ErrInvalidArity   = "ERR Invalid number of arguments specified for command"

	// Those that Redis does not have.
	ErrInternal         = "ERR internal error"
	ErrNotHere          = "ERR this command does not run on a node"
	ErrReplyTooLarge    = "ERR the reply would exceed 1 GiB"
	ErrTxnReplyTooLarge = "ERR the transaction was executed, but its reply would exceed 1 GiB"
)

// ErrArity is for a call with too few or too many arguments; name is the full one ("object|freq").
func ErrArity(name string) string {
	return "ERR wrong number of arguments for '" + name + "' command"
}

// ErrRange is for a number that is not between the two.
func ErrRange(low, high int64) string {
	return fmt.Sprintf("ERR value is out of range, value must between %d and %d", low, high)
}

// ErrExpireTime is for a deadline that is not positive, or past what 64 bits hold.
func ErrExpireTime(name string) string {
	return "ERR invalid expire time in '" + name + "' command"
}

// ErrExpireOption is for an option that EXPIRE does not have.
func ErrExpireOption(option []byte) string {
	return "ERR Unsupported option " + strings.TrimRight(cText(option, len(option)), "\r\n")
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
