package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"brainer/broker/client"
	"brainer/internal/op"
	"brainer/resp"
)

const verifyPoll = 100 * time.Millisecond

// notCompared: it is not known whether the copies are equal.
type notCompared struct{ error }

// errDiffered: the copies are not equal; that has been printed.
var errDiffered = errors.New("copies differ")

func (c *cli) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Compare what the nodes hold; exit code 1 when they differ, 4 when that is not known",
		Long: `verify has every in-sync node asked for the digests of the same ranges of keys at the same place in the order,
beside other work, until all keys are through. A node that differs from the others is put out and takes a
snapshot by itself; verify names it and its keys, and ends with exit code 1. The broker compares the
nodes by itself, too, more slowly (run_broker --verify-every).`,
		Args: arguments(0, "verify takes no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			conn, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			reply, err := conn.DoContext(cmd.Context(), "BRAINER", "VERIFY")
			var refused resp.ReplyError
			switch {
			case errors.As(err, &refused) && !noBrainer(err):
				return notCompared{errors.New(strings.TrimPrefix(refused.Error(), "ERR "))}
			case err != nil:
				return err
			case reply.Kind != resp.IntKind:
				return failure{fmt.Errorf("BRAINER VERIFY was answered %q", reply.Text())}
			}
			return c.awaitVerified(cmd.Context(), conn, uint64(reply.Int))
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
}

// awaitVerified shows how far a comparison is, and what came of it.
func (c *cli) awaitVerified(ctx context.Context, conn *client.Client, number uint64) error {
	var bar *progressbar.ProgressBar
	tick := time.NewTicker(verifyPoll)
	defer tick.Stop()
	for {
		reply, err := conn.DoContext(ctx, "BRAINER", "STATUS", "JSON")
		if err != nil {
			return err
		}
		var s op.Status
		if err := json.Unmarshal(reply.Str, &s); err != nil {
			return failure{fmt.Errorf("the answer to BRAINER STATUS JSON is no status: %w", err)}
		}
		v := &s.Verify
		switch {
		case v.Number < number:
			return notCompared{errors.New("the broker has been restarted: nothing is known of the comparison")}
		case v.Number > number:
			return notCompared{errors.New("another comparison was begun, and has ended this one")}
		case !v.Running:
			if bar != nil {
				_ = bar.Clear()
			}
			return c.verified(s)
		}
		if c.pretty() && bar == nil && v.KeysTotal > 0 {
			bar = progressbar.NewOptions64(v.KeysTotal, progressbar.OptionSetWriter(c.err), progressbar.OptionSetDescription("comparing keys"),
				progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
		}
		if bar != nil {
			_ = bar.Set64(min(v.Keys, v.KeysTotal))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return notCompared{errors.New("interrupted; the broker goes on comparing")}
		}
	}
}

func (c *cli) verified(s op.Status) error {
	v := &s.Verify
	if v.GaveUp != "" {
		return notCompared{errors.New("given up: " + v.GaveUp)}
	}
	took := (time.Duration(v.EndedMs-v.BeganMs) * time.Millisecond).Round(time.Millisecond)
	for _, what := range v.Found {
		fmt.Fprintf(c.out, "differs: %s\n", what)
	}
	switch {
	case v.Differed > 0:
		fmt.Fprintf(c.out, "%d of %d ranges differed; which node was put out to take a snapshot is in the broker's log and in brainer-cli status\n",
			v.Differed, v.Ranges+v.Differed+v.Skipped)
		return errDiffered
	case v.Skipped > 0:
		return notCompared{fmt.Errorf("%d of %d ranges could not be compared: fewer than two nodes know how, or were there", v.Skipped, v.Ranges+v.Skipped)}
	}
	fmt.Fprintf(c.out, "equal: %s in %s, %s, %v\n", count(v.Keys, "key"), count(v.Ranges, "range"), count(inSync(s), "node"), took)
	return nil
}
