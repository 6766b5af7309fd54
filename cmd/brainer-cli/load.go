package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"brainer/broker/client"
	"brainer/internal/rdb"
	"brainer/internal/snapfile"
	"brainer/resp"
)

// onto says what becomes of the data that is there already.
type onto struct{ merge, replace bool }

func (o *onto) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.merge, "merge", false, "load on top of what is there: keys of the same name are overwritten, hashes keep the fields that only they have")
	cmd.Flags().BoolVar(&o.replace, "replace", false, "remove all that is there before (FLUSHALL)")
}

// fits says whether a source may replace what is there: standard input is known to be good only at its end.
func (o *onto) fits(source string) error {
	if o.replace && source == "-" {
		return errors.New("--replace takes a file: whether standard input is good is known only when all that was there would be gone")
	}
	return o.check()
}

func (o *onto) check() error {
	if o.merge && o.replace {
		return errors.New("--merge or --replace, not both: one keeps what is there, the other removes it")
	}
	return nil
}

// refuseItself tells when the other server, whose INFO says run, is ours.
func refuseItself(ctx context.Context, conn *client.Client, run string) error {
	reply, err := conn.DoContext(ctx, "INFO", "server")
	if err != nil {
		return err
	}
	if run != "" && runID(reply.Text()) == run {
		return failure{errors.New("source and target are the same server; nothing was changed")}
	}
	return nil
}

// runID is a server's in its INFO.
func runID(info string) string {
	_, rest, _ := strings.Cut(info, "run_id:")
	id, _, _ := strings.Cut(rest, "\r\n")
	return id
}

// prepare sees to it that the target is as the flags say. Nothing is changed before what is to be loaded is known to be good.
func (o *onto) prepare(ctx context.Context, conn *client.Client) error {
	if o.merge {
		return nil
	}
	if o.replace {
		_, err := conn.DoContext(ctx, "FLUSHALL")
		return err
	}
	reply, err := conn.DoContext(ctx, "INFO", "keyspace")
	if err != nil {
		return err
	}
	if strings.Contains(reply.Text(), ":keys=") {
		return failure{errors.New("there are keys already: --merge loads on top of them, --replace removes them before")}
	}
	return nil
}

func (c *cli) snapshotLoadCommand() *cobra.Command {
	var how onto
	cmd := &cobra.Command{
		Use:   "load FILE",
		Short: "Load a snapshot that was saved",
		Long: `snapshot load reads the whole file first and changes nothing unless it is unharmed and complete ("-" is standard input,
which is checked only while it is loaded, and never replaces what is there). It refuses to load where there are keys, unless told what becomes of them. After
an interruption load it again, with --replace.`,
		Example: "  brainer-cli ipc:///tmp/broker.sock snapshot load monday.snap --replace",
		Args:    arguments(1, "snapshot load takes FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if err := how.fits(args[0]); err != nil {
				return err
			}
			c.bePatient(cmd)
			var from io.Reader = os.Stdin
			size := int64(0)
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return failure{err}
				}
				defer f.Close()
				if size, err = c.checkSnapshot(ctx, f); err != nil {
					return failure{fmt.Errorf("%s: %w; nothing was loaded", args[0], hint(f, err))}
				}
				from = f
			}
			conn, err := c.connect(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			return c.loadSnapshot(ctx, conn, &how, from, args[0], size)
		},
	}
	how.flags(cmd)
	return cmd
}

// checkSnapshot reads a file to its end, returns how many bytes of commands it has, and leaves it at its beginning.
func (c *cli) checkSnapshot(ctx context.Context, f *os.File) (size int64, err error) {
	r, err := snapfile.NewReader(f)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	bar := c.progress("checking")
	defer bar.end()
	b := make([]byte, 256<<10)
	for ctx.Err() == nil {
		n, err := r.Read(b)
		size += int64(n)
		if err == io.EOF {
			_, err = f.Seek(0, io.SeekStart)
			return size, err
		}
		if err != nil {
			return 0, err
		}
		bar.at(size, 0, "")
	}
	return 0, errors.New("interrupted")
}

// hint says what a file is that is not what it was taken for.
func hint(f *os.File, err error) error {
	var start [5]byte
	if _, e := f.ReadAt(start[:], 0); e != nil {
		return err
	}
	switch {
	case errors.Is(err, snapfile.ErrForeign) && string(start[:]) == "REDIS":
		return fmt.Errorf("%w: it is an RDB file of Redis, which import takes", err)
	case errors.Is(err, rdb.ErrForeign) && snapfile.Begins(start[:]):
		return fmt.Errorf("%w: it is a snapshot of Brainer, which snapshot load takes", err)
	}
	return err
}

func (c *cli) loadSnapshot(ctx context.Context, conn *client.Client, how *onto, from io.Reader, name string, size int64) error {
	begun := time.Now()
	r, err := snapfile.NewReader(from)
	if err != nil {
		return failure{fmt.Errorf("%s: %w; nothing was loaded", name, err)}
	}
	defer r.Close()
	if err := how.prepare(ctx, conn); err != nil {
		return err
	}
	bar := c.progress("loading")
	defer bar.end()
	commands, err := pipeCommands(ctx, conn, r, func(commands, bytes int64) { bar.at(bytes, size, fmt.Sprintf("%d commands", commands)) })
	if err == nil && uint64(commands) != r.Tail.Commands {
		err = failure{snapfile.ErrDamaged}
	}
	bar.end()
	if err != nil {
		var unreachable *client.Error
		if errors.As(err, &unreachable) {
			fmt.Fprintf(c.err, "brainer-cli: stopped after %d commands: what is loaded is incomplete\n", commands)
			return err
		}
		return failure{fmt.Errorf("%s: stopped after %d commands, what is loaded is incomplete: %w", name, commands, err)}
	}
	fmt.Fprintf(c.out, "loaded %s as of %s, %v\n", count(r.Tail.Keys, "key"), time.UnixMilli(r.Head.TimeMs).UTC().Format(time.RFC3339),
		time.Since(begun).Round(time.Millisecond))
	return nil
}

// pipeCommands sends the commands that it reads, and returns how many were executed. The first error reply ends it.
func pipeCommands(ctx context.Context, conn *client.Client, from io.Reader, onSent func(commands, bytes int64)) (done int64, err error) {
	pipe, err := conn.Pipe(ctx, func(number int64, reply resp.Reply) error {
		if err := reply.Err(); err != nil {
			return err
		}
		done = number + 1
		return nil
	})
	if err != nil {
		return 0, err
	}
	defer pipe.Close()
	r := resp.NewReader(from)
	var sent, bytes int64
	for {
		for {
			cmd, ok, err := r.Next()
			if err != nil {
				return done, err
			}
			if !ok {
				break
			}
			if err := pipe.Send(ctx, cmd.Raw, 1); err != nil {
				return done, err
			}
			sent++
			bytes += int64(len(cmd.Raw))
		}
		onSent(sent, bytes)
		err := r.Fill()
		if err == io.EOF {
			break
		}
		if err != nil {
			return done, err
		}
	}
	if r.Partial() {
		return done, io.ErrUnexpectedEOF
	}
	err = pipe.Flush(ctx)
	return done, err
}
