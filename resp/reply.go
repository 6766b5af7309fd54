package resp

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Kind is what a Reply is, by its first byte on the wire.
type Kind byte

const (
	SimpleKind   Kind = '+'
	ErrorKind    Kind = '-' // also for '!'
	IntKind      Kind = ':'
	BulkKind     Kind = '$'
	ArrayKind    Kind = '*'
	NullKind     Kind = '_' // also for $-1 and *-1
	BoolKind     Kind = '#'
	DoubleKind   Kind = ','
	BigKind      Kind = '('
	VerbatimKind Kind = '='
	MapKind      Kind = '%' // Elems holds keys and values in turn
	SetKind      Kind = '~'
	PushKind     Kind = '>'
)

// Reply is a decoded reply. Attributes are left out.
type Reply struct {
	Kind   Kind
	Str    []byte // of a simple string, error, bulk, verbatim string (without its format) or big number
	Int    int64  // of an integer; 1 or 0 for a bool
	Double float64
	Elems  []Reply
}

// replyDepthMax bounds how deep ParseReply follows; Redis's own clients stop at 9.
const replyDepthMax = 64

// ParseReply decodes the first reply in b, whose length it returns. Strings alias b.
// It fails with ErrIncomplete or ErrMalformed.
func ParseReply(b []byte) (reply Reply, n int, err error) {
	// Only what is complete is decoded, so that counts are known to be true before memory is taken.
	n, err = Slice(b)
	if err != nil {
		return Reply{}, 0, err
	}
	reply, rest, err := parseReply(b[:n], 0)
	if err != nil {
		return Reply{}, 0, err
	}
	return reply, n - len(rest), nil
}

func parseReply(b []byte, depth int) (reply Reply, rest []byte, err error) {
	if depth > replyDepthMax {
		return Reply{}, nil, ErrMalformed
	}
	size, values, err := slicePart(b)
	if err != nil {
		return Reply{}, nil, err
	}
	part, rest := b[:size], b[size:]
	for part[0] == '|' {
		for range values - 1 {
			if _, rest, err = parseReply(rest, depth+1); err != nil {
				return Reply{}, nil, err
			}
		}
		if size, values, err = slicePart(rest); err != nil {
			return Reply{}, nil, err
		}
		part, rest = rest[:size], rest[size:]
	}
	reply.Kind = Kind(part[0])
	switch part[0] {
	case '*', '~', '>', '%':
		if part[1] == '-' {
			reply.Kind = NullKind
			return reply, rest, nil
		}
		reply.Elems = make([]Reply, values)
		for i := range reply.Elems {
			if reply.Elems[i], rest, err = parseReply(rest, depth+1); err != nil {
				return Reply{}, nil, err
			}
		}
		return reply, rest, nil
	}
	err = reply.parseScalar(part)
	return reply, rest, err
}

func (r *Reply) parseScalar(part []byte) error {
	text := part[1 : len(part)-2]
	switch part[0] {
	case '+', '-':
		r.Str = text
	case '(':
		r.Str = text
		if _, ok := new(big.Int).SetString(string(text), 10); !ok {
			return ErrMalformed
		}
	case ':':
		n, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return ErrMalformed
		}
		r.Int = n
	case '_':
	case '#':
		switch string(text) {
		case "t":
			r.Int = 1
		case "f":
		default:
			return ErrMalformed
		}
	case ',':
		f, err := strconv.ParseFloat(string(text), 64)
		if err != nil && !math.IsInf(f, 0) {
			return ErrMalformed
		}
		r.Double = f
	case '$', '=', '!':
		return r.parseBlob(part)
	}
	return nil
}

func (r *Reply) parseBlob(part []byte) error {
	if part[1] == '-' {
		r.Kind = NullKind
		return nil
	}
	from := 1
	for part[from-1] != '\n' {
		from++
	}
	r.Str = part[from : len(part)-2]
	switch part[0] {
	case '!':
		r.Kind = ErrorKind
	case '=':
		if len(r.Str) < 4 || r.Str[3] != ':' {
			return ErrMalformed
		}
		r.Str = r.Str[4:]
	}
	return nil
}

// IsNull says whether there is no value.
func (r Reply) IsNull() bool { return r.Kind == NullKind }

// Err returns the error that the reply is, or nil.
func (r Reply) Err() error {
	if r.Kind == ErrorKind {
		return ReplyError(r.Str)
	}
	return nil
}

// ReplyError is an error that a server answered with; it begins with its code ("ERR ...").
type ReplyError string

func (e ReplyError) Error() string { return string(e) }

// Code is the error's first word.
func (e ReplyError) Code() string {
	code, _, _ := strings.Cut(string(e), " ")
	return code
}

// Text returns a scalar as a person would write it; "" for a null.
func (r Reply) Text() string {
	switch r.Kind {
	case IntKind:
		return strconv.FormatInt(r.Int, 10)
	case BoolKind:
		return strconv.FormatBool(r.Int == 1)
	case DoubleKind:
		return strconv.FormatFloat(r.Double, 'g', -1, 64)
	}
	return string(r.Str)
}
