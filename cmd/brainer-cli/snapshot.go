package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"brainer/broker/client"
	"brainer/internal/op"
	"brainer/internal/snapfile"
	"brainer/resp"
)

func (c *cli) snapshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Save all data in a file, or load it from one",
		Long: `snapshot save writes all data, as it was at one moment, to a file; snapshot load brings it back, here, in another
Brainer or (given its redis:// address) in a Redis. The file is a zstd-compressed stream of Redis commands, so that
zstd -dc FILE | redis-cli --pipe does the same.`,
		Args: arguments(0, "snapshot save FILE, or snapshot load FILE"),
		RunE: func(*cobra.Command, []string) error { return errors.New("snapshot save FILE, or snapshot load FILE") },
	}
	cmd.AddCommand(c.snapshotSaveCommand(), c.snapshotLoadCommand())
	return cmd
}

func (c *cli) snapshotSaveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "save FILE",
		Short: "Save all data, as it is at one moment, in a file",
		Long: `snapshot save asks the broker for all data as it is at one place in the order, while writes go on. A node gives it in
pieces, as fast as they are written down here, and more slowly when clients wait longer than before. FILE is replaced when
the new one is whole and on disk, not before.`,
		Example: "  brainer-cli ipc:///tmp/broker.sock snapshot save monday.snap",
		Args:    arguments(1, "snapshot save takes FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "-" {
				return errors.New("snapshot save takes a file: it is there when it is whole; export - writes to standard output")
			}
			c.bePatient(cmd)
			conn, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			return c.saveSnapshot(cmd.Context(), conn, args[0])
		},
	}
}

// saveSnapshot writes path.
func (c *cli) saveSnapshot(ctx context.Context, conn *client.Client, path string) error {
	begun := time.Now()
	var file *snapfile.File
	var bytes int64
	last, err := c.readSnapshot(ctx, conn, "saving", snapshotAttempts, func(p *op.SnapshotPart, first bool) (err error) {
		if first {
			if file != nil {
				_ = file.Abandon()
			}
			if file, err = snapfile.Create(path, snapshotHead(p)); err != nil {
				return failure{err}
			}
		}
		if err = file.Write(p.Commands, p.Count); err == nil && p.Last {
			bytes, err = file.Commit(p.KeysDone)
			file = nil
		}
		if err != nil {
			return failure{fmt.Errorf("write %s: %w", path, err)}
		}
		return nil
	})
	if err != nil {
		if file != nil {
			_ = file.Abandon() // the error before it is what matters
		}
		return err
	}
	fmt.Fprintf(c.out, "saved %s as of index %d in %s, %s, %v\n", count(last.KeysDone, "key"), last.Index, path, formatBytes(bytes),
		time.Since(begun).Round(time.Millisecond))
	return nil
}

func snapshotHead(p *op.SnapshotPart) snapfile.Head {
	return snapfile.Head{Software: version, Cluster: fmt.Sprintf("%016x", p.Cluster), Epoch: p.Epoch, Index: p.Index, TimeMs: p.TimeMs}
}

// snapshotAttempts is how often a snapshot is begun: a node that gives it may die.
const snapshotAttempts = 3

// readSnapshot has each part of a snapshot taken; first says that it begins, or begins again.
func (c *cli) readSnapshot(ctx context.Context, conn *client.Client, what string, attemptsMax int, take func(p *op.SnapshotPart, first bool) error) (last *op.SnapshotPart, err error) {
	bar := c.progress(what)
	defer bar.end()
	step, attempts := "BEGIN", 1
	for {
		reply, err := conn.DoContext(ctx, "BRAINER", "SNAPSHOT", step)
		var refused resp.ReplyError
		switch {
		case errors.As(err, &refused) && refused.Error() == op.ErrSnapshotLate.Error():
			step = "NEXT"
			continue
		case errors.As(err, &refused) && strings.HasPrefix(refused.Error(), "ERR the snapshot was given up") && attempts < attemptsMax:
			attempts++
			fmt.Fprintf(c.err, "brainer-cli: %s; beginning again\n", refused)
			step = "BEGIN"
			continue
		case err != nil:
			return nil, err
		}
		p, err := snapshotPart(reply)
		if err != nil {
			return nil, failure{err}
		}
		if err := take(p, last == nil || p.BytesDone < last.BytesDone || p.Index != last.Index); err != nil {
			return nil, err
		}
		if bar.at(p.BytesDone, p.BytesTotal, fmt.Sprintf("%d of %s", p.KeysDone, count(p.KeysTotal, "key"))); p.Last {
			return p, nil
		}
		p.Commands = nil
		last, step = p, "NEXT"
	}
}

// snapshotPart decodes an answer to BRAINER SNAPSHOT.
func snapshotPart(r resp.Reply) (*op.SnapshotPart, error) {
	p := &op.SnapshotPart{}
	if len(r.Elems)%2 != 0 || len(r.Elems) == 0 {
		return nil, fmt.Errorf("the answer to BRAINER SNAPSHOT is no part of one: %.100q", r.Text())
	}
	for i := 0; i < len(r.Elems); i += 2 {
		value := &r.Elems[i+1]
		switch name := string(r.Elems[i].Str); name {
		case "epoch":
			p.Epoch = uint64(value.Int)
		case "index":
			p.Index = uint64(value.Int)
		case "time_ms":
			p.TimeMs = value.Int
		case "cluster":
			p.Cluster = uint64(value.Int)
		case "keys_done":
			p.KeysDone = value.Int
		case "keys_total":
			p.KeysTotal = value.Int
		case "bytes_done":
			p.BytesDone = value.Int
		case "bytes_total":
			p.BytesTotal = value.Int
		case "last":
			p.Last = value.Int == 1
		case "count":
			p.Count = int(value.Int)
		case "commands":
			p.Commands = value.Str
		}
	}
	return p, nil
}
