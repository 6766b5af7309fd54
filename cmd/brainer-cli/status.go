package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"brainer/broker/client"
	"brainer/internal/op"
)

const watchEvery = time.Second

func (c *cli) statusCommand() *cobra.Command {
	var watch, asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the nodes: state, applied, lag, in sync, and how far a joiner has come",
		Long:  "status shows what the broker knows of itself and its nodes; at a node's own endpoint, what the node\nknows of itself. A node that has not connected since the broker's start has a - where nobody knows.",
		Args:  arguments(0, "status takes no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			conn, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			if watch {
				return c.watchStatus(cmd.Context(), conn, asJSON)
			}
			text, err := c.status(cmd.Context(), conn, asJSON)
			if err != nil {
				return err
			}
			fmt.Fprint(c.out, text)
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again every second, until interrupted")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as one line of JSON")
	return cmd
}

// watchStatus goes on while the broker is away: that is when one watches.
func (c *cli) watchStatus(ctx context.Context, conn *client.Client, asJSON bool) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		text, err := c.status(ctx, conn, asJSON)
		if ctx.Err() != nil {
			return nil
		}
		switch {
		case err != nil && asJSON:
			fmt.Fprintf(c.err, "brainer-cli: %v\n", err)
		case err != nil:
			text = err.Error() + "\n"
		}
		switch {
		case asJSON:
		case c.pretty():
			text = "\x1b[H\x1b[2J" + text // home, clear
		default:
			text += "\n"
		}
		fmt.Fprint(c.out, text)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *cli) status(ctx context.Context, conn *client.Client, asJSON bool) (string, error) {
	reply, err := conn.DoContext(ctx, "BRAINER", "STATUS", "JSON")
	if err != nil {
		return "", err
	}
	if asJSON {
		return strings.TrimRight(reply.Text(), "\n") + "\n", nil
	}
	var s op.Status
	if err := json.Unmarshal(reply.Str, &s); err != nil {
		return "", failure{fmt.Errorf("the answer to BRAINER STATUS JSON is no status: %w", err)}
	}
	return formatStatus(s), nil
}
