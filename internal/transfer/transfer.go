package transfer

import (
	"strconv"

	"brainer/resp"
)

// PieceBytes is about how much of a value one piece has: a broker takes commands of a client in bounded bytes.
const PieceBytes = 128 << 10

// Piece is a key, or one of several that come one behind the other and make it.
type Piece struct {
	DB          int
	Key         []byte
	Type        string // as TYPE says it
	DeadlineMs  int64  // Unix time; 0: none
	First, Last bool

	Value  []byte   // of a string
	Fields [][]byte // of a hash: field, value, field, value ...
}

// row is what there is to know of a type.
type row struct {
	name   string
	append func(b []byte, p *Piece) ([]byte, int) // the commands of a piece without its deadline
}

var types = []row{
	{"string", appendString},
	{"hash", appendHash},
}

// Knows says whether keys of a type can be made.
func Knows(name string) bool { return find(name) != nil }

func find(name string) *row {
	for i := range types {
		if types[i].name == name {
			return &types[i]
		}
	}
	return nil
}

// AppendCommands appends the n commands that make p, whatever was at its key before; the database is selected.
func AppendCommands(b []byte, p *Piece) (_ []byte, n int) {
	b, n = find(p.Type).append(b, p)
	if p.Last && p.DeadlineMs != 0 {
		b = resp.AppendCommand(b, []byte("PEXPIREAT"), p.Key, strconv.AppendInt(nil, p.DeadlineMs, 10))
		n++
	}
	return b, n
}

func appendString(b []byte, p *Piece) ([]byte, int) {
	name, n := []byte("SET"), 0
	if !p.First {
		name = []byte("APPEND")
	}
	for rest := p.Value; n == 0 || len(rest) > 0; n++ {
		part := rest[:min(len(rest), PieceBytes)]
		b = resp.AppendCommand(b, name, p.Key, part)
		name, rest = []byte("APPEND"), rest[len(part):]
	}
	return b, n
}

func appendHash(b []byte, p *Piece) ([]byte, int) {
	n := 0
	if p.First {
		b = resp.AppendCommand(b, []byte("DEL"), p.Key)
		n++
	}
	for rest := p.Fields; len(rest) > 0; n++ {
		args := [][]byte{[]byte("HSET"), p.Key}
		for bytes := 0; len(rest) > 0 && bytes < PieceBytes; rest = rest[2:] {
			args = append(args, rest[0], rest[1])
			bytes += len(rest[0]) + len(rest[1])
		}
		b = resp.AppendCommand(b, args...)
	}
	return b, n
}

// AppendSelect appends SELECT.
func AppendSelect(b []byte, db int) []byte {
	return resp.AppendCommand(b, []byte("SELECT"), strconv.AppendInt(nil, int64(db), 10))
}
