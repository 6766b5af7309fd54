package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"brainer/broker/client"
	"brainer/internal/command"
	"brainer/internal/transfer"
	"brainer/resp"
)

// intake puts keys into the target as they come from a source.
type intake struct {
	conn  *client.Client
	pipe  *client.Pipe
	dbs   []int  // only these; empty: all
	match []byte // only keys that match; empty: all
	db    int    // that is selected
	b     []byte

	keys, bytes int64
	before      int64            // of the keys, those that an earlier run has imported
	left        map[string]int64 // keys of types that are left out, by type
}

func newIntake(ctx context.Context, conn *client.Client, dbs []int, match string) (*intake, error) {
	in := &intake{conn: conn, dbs: dbs, match: []byte(match), db: -1, left: map[string]int64{}}
	var err error
	in.pipe, err = conn.Pipe(ctx, func(_ int64, reply resp.Reply) error { return reply.Err() })
	return in, err
}

// goOn takes up what an earlier run has counted.
func (in *intake) goOn(s *importState) {
	in.keys, in.before = s.Keys, s.Keys
	maps.Copy(in.left, s.Left)
}

func (in *intake) wants(db int, key []byte) bool {
	return (len(in.dbs) == 0 || slices.Contains(in.dbs, db)) && (len(in.match) == 0 || command.Match(in.match, key))
}

// take takes a piece of a key.
func (in *intake) take(ctx context.Context, p *transfer.Piece) error {
	if !in.wants(p.DB, p.Key) {
		return nil
	}
	if p.DB >= command.Databases {
		return failure{fmt.Errorf("the source has keys in database %d; there are %d here: --dbs chooses some", p.DB, command.Databases)}
	}
	if p.First {
		in.keys++
	}
	in.b = in.b[:0]
	n := 0
	if p.DB != in.db {
		in.b, in.db = transfer.AppendSelect(in.b, p.DB), p.DB
		n++
	}
	b, k := transfer.AppendCommands(in.b, p)
	in.b = b
	in.bytes += int64(len(in.b))
	return in.pipe.Send(ctx, in.b, n+k)
}

// leaveOut counts a key whose type there is none of here.
func (in *intake) leaveOut(db int, key []byte, typeName string) {
	if in.wants(db, key) {
		in.left[typeName]++
	}
}

// flush waits until everything is acknowledged.
func (in *intake) flush(ctx context.Context) error { return in.pipe.Flush(ctx) }

func (in *intake) close() { in.pipe.Close() }

// leftOut says what was left out, "" when nothing was.
func (in *intake) leftOut() string {
	var n int64
	var names []string
	for _, name := range slices.Sorted(maps.Keys(in.left)) {
		n += in.left[name]
		names = append(names, fmt.Sprintf("%s %d", name, in.left[name]))
	}
	if n == 0 {
		return ""
	}
	if n == 1 {
		return fmt.Sprintf("1 key of a type that Brainer does not have was left out (%s)", strings.Join(names, ", "))
	}
	return fmt.Sprintf("%d keys of types that Brainer does not have were left out (%s)", n, strings.Join(names, ", "))
}

func appendCommand(b []byte, args ...string) []byte {
	raw := make([][]byte, len(args))
	for i, a := range args {
		raw[i] = []byte(a)
	}
	return resp.AppendCommand(b, raw...)
}
