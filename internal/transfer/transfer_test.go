package transfer

import (
	"bytes"
	"strings"
	"testing"
)

func TestCommandsOfPieces(t *testing.T) {
	long := bytes.Repeat([]byte("x"), PieceBytes+1)
	for _, c := range []struct {
		p    Piece
		want string // names and first arguments
	}{
		{Piece{Type: "string", First: true, Last: true}, "SET"},
		{Piece{Type: "string", First: true, Last: true, DeadlineMs: 7}, "SET PEXPIREAT"},
		{Piece{Type: "string", First: true, Last: true, Value: long}, "SET APPEND"},
		{Piece{Type: "string", First: true, Value: long, DeadlineMs: 7}, "SET APPEND"},
		{Piece{Type: "string", Last: true, Value: []byte("y"), DeadlineMs: 7}, "APPEND PEXPIREAT"},
		{Piece{Type: "hash", First: true, Fields: [][]byte{nil, nil}}, "DEL HSET"},
		{Piece{Type: "hash", Last: true, DeadlineMs: 7, Fields: [][]byte{nil, long, nil, nil}}, "HSET HSET PEXPIREAT"},
		{Piece{Type: "hash", First: true, Last: true, DeadlineMs: 7, Fields: [][]byte{nil, nil, nil, nil}}, "DEL HSET PEXPIREAT"},
	} {
		b, n := AppendCommands(nil, &c.p)
		var names []string
		for _, part := range strings.Split(string(b), "\r\n*") {
			names = append(names, strings.Split(part, "\r\n")[2])
		}
		if got := strings.Join(names, " "); got != c.want || n != len(names) {
			t.Errorf("%s %d %d: %s (%d), want %s", c.p.Type, len(c.p.Value), len(c.p.Fields), got, n, c.want)
		}
	}
}
