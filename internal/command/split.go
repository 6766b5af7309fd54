package command

import "errors"

// ErrNotCanonical: the bytes are not a command as resp.AppendCommand writes it.
var ErrNotCanonical = errors.New("command: not canonical RESP")

// SplitCommand takes the first command off body, canonical RESP, and appends its arguments to args.
// They alias body. It never reads an inline command: what a client sent became canonical before.
func SplitCommand(body []byte, args [][]byte) (_ [][]byte, rest []byte, err error) {
	n, rest, ok := splitHead(body, '*')
	if !ok || n < 1 {
		return args, body, ErrNotCanonical
	}
	for range n {
		size, after, ok := splitHead(rest, '$')
		if !ok || size > len(after)-2 || after[size] != '\r' || after[size+1] != '\n' {
			return args, body, ErrNotCanonical
		}
		args = append(args, after[:size:size])
		rest = after[size+2:]
	}
	return args, rest, nil
}

// splitHead reads mark, a number without sign and CR LF.
func splitHead(b []byte, mark byte) (n int, rest []byte, ok bool) {
	if len(b) < 4 || b[0] != mark {
		return 0, b, false
	}
	const digitsMax = 10
	for i := 1; i < len(b) && i <= digitsMax+1; i++ {
		switch c := b[i]; {
		case isDecimal(c):
			n = n*10 + int(c-'0')
		case c == '\r' && i > 1 && i+1 < len(b) && b[i+1] == '\n':
			return n, b[i+2:], true
		default:
			return 0, b, false
		}
	}
	return 0, b, false
}
