package resp

import (
	"bytes"
	"errors"
)

var (
	// ErrIncomplete: the reply has not arrived completely.
	ErrIncomplete = errors.New("resp: incomplete reply")
	// ErrMalformed: what arrived is no RESP.
	ErrMalformed = errors.New("resp: malformed reply")
)

// Slice returns the length of the first complete reply in b, RESP2 or RESP3: with its attributes
// and everything nested in it, decoding nothing. A push is a reply of its own.
func Slice(b []byte) (n int, err error) {
	var s Slicer
	return s.Next(b)
}

// Slicer is Slice for a reply that arrives in pieces: given the same bytes and more, it goes on
// where it stopped. It begins anew after a complete reply.
type Slicer struct {
	pos  int
	left int64 // values that the reply still lacks; 0: not begun
}

// Next returns the length of the reply at the start of b, or ErrIncomplete.
func (s *Slicer) Next(b []byte) (n int, err error) {
	if s.left == 0 {
		s.left = 1
	}
	// A counter is enough where a stack seems needed: an aggregate of n values replaces the one
	// value that it is by n others.
	for s.left > 0 {
		size, values, err := slicePart(b[s.pos:])
		if err != nil {
			return 0, err
		}
		s.pos += size
		s.left += values - 1
	}
	n = s.pos
	*s = Slicer{}
	return n, nil
}

// slicePart returns the length of one scalar, or of an aggregate's head, and how many values follow it.
func slicePart(b []byte) (size int, values int64, err error) {
	if len(b) == 0 {
		return 0, 0, ErrIncomplete
	}
	kind := b[0]
	switch kind {
	case '+', '-', ':', '_', '#', ',', '(', '$', '=', '!', '*', '~', '>', '%', '|':
	default:
		return 0, 0, ErrMalformed
	}
	nl := bytes.IndexByte(b, '\n')
	if nl < 0 {
		return 0, 0, ErrIncomplete
	}
	if nl < 2 || b[nl-1] != '\r' {
		return 0, 0, ErrMalformed
	}
	size = nl + 1
	switch kind {
	case '+', '-', ':', '_', '#', ',', '(':
		return size, 0, nil
	}
	n, ok := parseLength(b[1 : nl-1])
	if !ok || n > maxReplyLen || n < -1 || n < 0 && kind != '$' && kind != '*' {
		return 0, 0, ErrMalformed
	}
	switch kind {
	case '$', '=', '!':
		if n < 0 {
			return size, 0, nil
		}
		if int64(len(b)-size) < n+2 {
			return 0, 0, ErrIncomplete
		}
		size += int(n) + 2
		if b[size-2] != '\r' || b[size-1] != '\n' {
			return 0, 0, ErrMalformed
		}
		return size, 0, nil
	case '%':
		return size, 2 * n, nil
	case '|':
		return size, 2*n + 1, nil // and the value that it describes
	}
	return size, max(n, 0), nil
}

// maxReplyLen keeps the sums of lengths and counts far from overflow.
const maxReplyLen = 1 << 40
