package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"brainer/broker/client"
	"brainer/internal/command"
	"brainer/internal/transfer"
	"brainer/resp"
)

const (
	batchCommands = 1000
	batchBytes    = 256 << 10
)

// batches apply a source's stream of commands. Each is one transaction, which notes in the target how far the stream is
// applied with it, and which takes place only if nobody else has changed that note: whatever breaks, no command is lost, and
// none is applied twice.
type batches struct {
	conn    *client.Client
	pipe    *client.Pipe
	replies []resp.Reply
	owner   string // of the state: this connection
	table   *command.Table

	db      int      // that the stream has selected, -1: none yet
	inMulti bool     // between the source's MULTI and EXEC, which are not to be torn apart
	queue   [][]byte // commands in RESP, SELECTs among them
	bytes   int

	done streamed // the queue included
}

func newBatches(conn *client.Client) *batches {
	return &batches{conn: conn, table: command.NewTable()}
}

// begin prepares for a stream that goes on where the state says.
func (b *batches) begin(state *importState) {
	b.db, b.inMulti, b.queue, b.bytes = state.DB, false, nil, 0
	failed, first := b.done.Failed, b.done.FirstErr // of the last batch, whose answers came when its state had been written
	if b.done = state.Stream; failed > b.done.Failed {
		b.done.Failed, b.done.FirstErr = failed, first
	}
	if b.done.Unknown = maps.Clone(b.done.Unknown); b.done.Unknown == nil {
		b.done.Unknown = map[string]int64{}
	}
	b.put(transfer.AppendSelect(nil, state.DB))
}

func (b *batches) put(raw []byte) {
	b.queue = append(b.queue, raw)
	b.bytes += len(raw)
}

// add takes the next command of the stream.
func (b *batches) add(cmd resp.Command) error {
	name := strings.ToLower(string(cmd.Args[0]))
	switch name {
	case "multi":
		b.inMulti = true
		return nil
	case "exec":
		b.inMulti = false
		return nil
	case "select":
		if _, err := fmt.Sscan(string(cmd.Args[1]), &b.db); err != nil || b.db >= command.Databases {
			return failure{fmt.Errorf("the source writes to database %s; there are %d here", cmd.Args[1], command.Databases)}
		}
		b.put(slices.Clone(cmd.Raw))
		return nil
	}
	switch row := b.table.Find(cmd.Args); {
	case row == nil && !ignored[name]:
		b.done.Unknown[name]++
	case row != nil && row.Flags&command.Write != 0:
		b.split(name, cmd)
		b.done.Applied++
	}
	return nil // others change no data: PING, REPLCONF, PUBLISH
}

// ignored are commands of a stream that are not data and have no row.
var ignored = map[string]bool{"replconf": true, "ping": true, "publish": true, "spublish": true, "script": true, "function": true}

// split takes a long SET in parts, as the target takes commands in bounded bytes.
func (b *batches) split(name string, cmd resp.Command) {
	if name != "set" || len(cmd.Args[2]) <= batchBytes {
		b.put(slices.Clone(cmd.Raw))
		return
	}
	key, value := cmd.Args[1], cmd.Args[2]
	args := slices.Clone(cmd.Args)
	args[2] = value[:batchBytes]
	b.put(resp.AppendCommand(nil, args...))
	for value = value[batchBytes:]; len(value) > 0; value = value[min(len(value), batchBytes):] {
		b.put(resp.AppendCommand(nil, []byte("APPEND"), key, value[:min(len(value), batchBytes)]))
	}
}

// whole says that the stream may be cut here.
func (b *batches) whole() bool { return !b.inMulti }

func (b *batches) full() bool {
	return b.whole() && (len(b.queue) >= batchCommands || b.bytes >= batchBytes)
}

// takeOver makes this import the one that goes on, on a connection of its own, and returns how far it is. Whoever was at it before,
// an earlier connection of ours or a process that was killed, may have a transaction on its way still: each takes place only
// while the state is the one that its writer has left, and the state has another owner now.
func (b *batches) takeOver(ctx context.Context) (*importState, error) {
	b.close()
	var err error
	b.pipe, err = b.conn.Pipe(ctx, func(_ int64, reply resp.Reply) error {
		b.replies = append(b.replies, reply)
		return nil
	})
	if err != nil {
		return nil, err
	}
	state := &importState{}
	look := func(n int) func() error { return func() error { return b.watched(n, state) } }
	if err := b.exchange(ctx, appendWatch(transfer.AppendSelect(nil, 0)), 3, look(1)); err != nil {
		return nil, err
	}
	b.owner = rand.Text()
	for state.Owner != b.owner { // again when somebody's transaction came between
		ours := *state
		ours.Owner = b.owner
		set := appendCommand(appendCommand(nil, "MULTI"), "SET", importKey, ours.encode())
		if err := b.exchange(ctx, appendWatch(appendCommand(set, "EXEC")), 5, look(3)); err != nil {
			return nil, err
		}
	}
	return state, nil
}

func (b *batches) close() {
	if b.pipe != nil {
		b.pipe.Close()
		b.pipe = nil
	}
}

// appendWatch appends what makes the next transaction depend on the state being the one that the answer shows.
func appendWatch(b []byte) []byte {
	return appendCommand(appendCommand(b, "WATCH", importKey), "GET", importKey)
}

// exchange sends the last commands and looks at all replies.
func (b *batches) exchange(ctx context.Context, commands []byte, n int, look func() error) error {
	err := b.pipe.Send(ctx, commands, n)
	if err == nil {
		err = b.pipe.Flush(ctx)
	}
	if err == nil {
		err = look()
	}
	b.replies = b.replies[:0]
	return err
}

var errTakenOver = failure{errors.New("another import has taken over")}

// watched: reply number n says that the state is watched, the next one what it is.
func (b *batches) watched(n int, state *importState) error {
	for _, r := range b.replies {
		if err := r.Err(); err != nil {
			return err
		}
	}
	if *state = (importState{}); json.Unmarshal(b.replies[n+1].Str, state) != nil {
		return failure{fmt.Errorf("key %s of the target is gone: begin anew with --restart", importKey)}
	}
	return nil
}

// apply writes the batch, and the state behind it. mayPass says of an error that the same may be tried again: on the same
// connection, or, if that is lost, after takeOver has said how far it is.
func (b *batches) apply(ctx context.Context, state *importState) error {
	state.Owner = b.owner
	for {
		refused, err := b.transaction(ctx, state)
		if err != nil || len(refused) == 0 {
			return err
		}
		for i := len(refused) - 1; i >= 0; i-- { // nothing was done: once more without these
			b.queue = slices.Delete(b.queue, refused[i], refused[i]+1)
		}
	}
}

// transaction returns which commands of the queue were refused, so that it did not take place.
func (b *batches) transaction(ctx context.Context, state *importState) (refused []int, err error) {
	if b.pipe == nil {
		return nil, errTakenOver
	}
	if err := b.pipe.Send(ctx, appendCommand(nil, "MULTI"), 1); err != nil {
		return nil, err
	}
	for _, raw := range b.queue {
		if err := b.pipe.Send(ctx, raw, 1); err != nil {
			return nil, err
		}
	}
	encoded := state.encode()
	end := appendCommand(transfer.AppendSelect(nil, 0), "SET", importKey, encoded)
	end = appendWatch(appendCommand(end, "EXEC"))
	err = b.exchange(ctx, end, 5, func() error {
		refused, err = b.outcome(encoded)
		return err
	})
	return refused, err
}

// outcome looks at the replies: MULTI's, the queue's, SELECT's and SET's, EXEC's, WATCH's and GET's, which is the state that was to
// be written if it took place.
func (b *batches) outcome(encoded string) (refused []int, err error) {
	exec := len(b.queue) + 3
	if b.replies[exec+2].Err() == nil && string(b.replies[exec+2].Str) == encoded {
		b.applied(&b.replies[exec]) // whatever was said of it
		return nil, b.replies[exec+1].Err()
	}
	for i := range exec {
		switch err := b.replies[i].Err(); {
		case err == nil:
		case mayPass(err), i == 0, i > len(b.queue):
			return nil, err
		default:
			refused = append(refused, i-1)
			b.done.fail(err)
		}
	}
	if len(refused) > 0 {
		return refused, nil
	}
	if err := b.replies[exec].Err(); err != nil {
		return nil, err
	}
	return nil, errTakenOver
}

// applied: the batch was. EXEC's reply, if it is known, has the errors of its commands.
func (b *batches) applied(exec *resp.Reply) {
	if exec != nil {
		for i := range exec.Elems {
			if err := exec.Elems[i].Err(); err != nil {
				b.done.fail(err)
			}
		}
	}
	b.queue, b.bytes = b.queue[:0], 0
	b.put(transfer.AppendSelect(nil, b.db))
}

// mayPass says whether an error of the target may be over in a moment.
func mayPass(err error) bool {
	var reply resp.ReplyError
	if errors.As(err, &reply) {
		switch reply.Code() {
		case "TRYAGAIN", "LOADING", "NOREPLICAS", "CLUSTERDOWN", "UNCERTAIN", "OOM", "MISCONF":
			return true
		}
		return false
	}
	var connection *client.Error
	return errors.As(err, &connection) && !errors.Is(err, context.Canceled)
}
