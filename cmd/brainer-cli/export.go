package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"brainer/broker/client"
	"brainer/internal/newfile"
	"brainer/internal/op"
	"brainer/resp"
)

func (c *cli) exportCommand() *cobra.Command {
	var how onto
	var password string
	cmd := &cobra.Command{
		Use:   "export TARGET",
		Short: "Write all data, as it is at one moment, as Redis commands, or into a Redis",
		Long: `export writes all data, as it is at one moment, to TARGET while writes go on: a file of Redis commands, "-" for standard output
(redis-cli --pipe reads both), or redis://[[USER]:PASSWORD@]HOST[:PORT] (rediss:// for TLS), a Redis or another Brainer.
A file to be loaded here again is better saved with snapshot save: that is compressed, and known to be whole.`,
		Example: `  brainer-cli ipc:///tmp/broker.sock export - | redis-cli -h 10.0.0.5 --pipe
  brainer-cli ipc:///tmp/broker.sock export redis://:secret@10.0.0.5:6379 --replace`,
		Args: arguments(1, "export takes TARGET: a file, - or a redis:// address"),
		RunE: func(cmd *cobra.Command, args []string) error {
			into := strings.Contains(args[0], "://")
			if err := how.check(); err != nil {
				return err
			}
			if !into && (how.merge || how.replace) {
				return errors.New("--merge and --replace are for a redis:// TARGET: a file is replaced")
			}
			c.bePatient(cmd)
			conn, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			switch target := args[0]; {
			case into:
				return c.exportRedis(cmd.Context(), conn, &how, target, password)
			case target == "-":
				const name = "standard output"
				begun := time.Now()
				last, err := c.exportTo(cmd.Context(), conn, name, c.out)
				if err == nil {
					c.exported(last, name, begun)
				}
				return err
			default:
				return c.exportFile(cmd.Context(), conn, target)
			}
		},
	}
	how.flags(cmd)
	cmd.Flags().StringVar(&password, "target-password", "", "the target's password, if TARGET has none; better in BRAINER_TARGET_PASSWORD")
	return cmd
}

// exportFile writes a file, which is there when it is whole.
func (c *cli) exportFile(ctx context.Context, conn *client.Client, path string) error {
	begun := time.Now()
	file, err := newfile.Create(path)
	if err != nil {
		return failure{err}
	}
	last, err := c.exportTo(ctx, conn, path, file)
	if err != nil {
		_ = file.Abandon() // the error before it is what matters
		return err
	}
	if err := file.Commit(); err != nil {
		return failure{fmt.Errorf("write %s: %w", path, err)}
	}
	c.exported(last, path, begun)
	return nil
}

func (c *cli) exportTo(ctx context.Context, conn *client.Client, name string, to io.Writer) (*op.SnapshotPart, error) {
	w := bufio.NewWriterSize(to, 1<<20)
	return c.readSnapshot(ctx, conn, "exporting", 1, func(p *op.SnapshotPart, first bool) error {
		_, err := w.Write(p.Commands)
		if err == nil && p.Last {
			err = w.Flush()
		}
		if err != nil {
			return failure{fmt.Errorf("write %s: %w", name, err)}
		}
		return nil
	})
}

// exported goes to standard error: standard output may be the target.
func (c *cli) exported(last *op.SnapshotPart, name string, begun time.Time) {
	fmt.Fprintf(c.err, "exported %s as of index %d to %s, %v\n", count(last.KeysDone, "key"), last.Index, name, time.Since(begun).Round(time.Millisecond))
}

func (c *cli) exportRedis(ctx context.Context, conn *client.Client, how *onto, url, password string) error {
	begun := time.Now()
	options, err := c.security.options()
	if err != nil {
		return err
	}
	options = append(options, client.WithTimeout(c.timeout))
	if password != "" {
		options = append(options, client.WithPassword(password))
	}
	target, err := client.ConnectContext(ctx, url, options...)
	if err != nil {
		return err
	}
	defer target.Close()
	info, err := target.DoContext(ctx, "INFO", "server")
	if err != nil {
		return err
	}
	if err := refuseItself(ctx, conn, runID(info.Text())); err != nil {
		return err
	}
	if err := how.prepare(ctx, target); err != nil {
		return err
	}
	pipe, err := target.Pipe(ctx, func(_ int64, reply resp.Reply) error { return reply.Err() })
	if err != nil {
		return err
	}
	defer pipe.Close()
	name := target.Endpoint()
	last, err := c.readSnapshot(ctx, conn, "exporting", 1, func(p *op.SnapshotPart, _ bool) error {
		if err := pipe.Send(ctx, p.Commands, p.Count); err != nil {
			return err
		}
		if p.Last {
			return pipe.Flush(ctx)
		}
		return nil
	})
	if err != nil {
		return failure{fmt.Errorf("%s: what is exported is incomplete: %w", name, err)}
	}
	c.exported(last, name, begun)
	return nil
}
