package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"brainer/broker/client"
	"brainer/resp"
)

func (c *cli) setCommand() *cobra.Command {
	var waitAll bool
	var expire seconds
	cmd := &cobra.Command{
		Use:     "set KEY VALUE",
		Short:   "Store a value on every node",
		Long:    "set stores a value. It returns when every in-sync node has it, with --wait-all=false already when\nthe key's primary has. For Redis's other options give SET in capitals: SET KEY VALUE NX.",
		Example: "  brainer-cli ipc:///tmp/broker.sock set session:1 token --wait-all=false --expire 60",
		Args:    arguments(2, "set takes KEY and VALUE; for Redis's other options give SET in capitals"),
		RunE: func(cmd *cobra.Command, args []string) error {
			conn, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			start := time.Now()
			err = conn.SetContext(cmd.Context(), args[0], []byte(args[1]), client.WaitAll(waitAll), client.Expire(time.Duration(expire)))
			if err != nil {
				return err
			}
			c.tell("acknowledged", start)
			c.print(resp.Reply{Kind: resp.SimpleKind, Str: []byte("OK")}, nil)
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().BoolVar(&waitAll, "wait-all", true, "wait until every in-sync node has it")
	cmd.Flags().Var(&expire, "expire", "remove it after so many `seconds`")
	return cmd
}

func (c *cli) getCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "get KEY",
		Short: "Print the value of a key as it is; exit code 1 when there is none",
		Args:  arguments(1, "get takes KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			conn, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			start := time.Now()
			value, found, err := conn.GetContext(cmd.Context(), args[0])
			switch {
			case err != nil:
				return err
			case !found && c.pretty():
				fmt.Fprintln(c.out, "(nil)")
				return errMissing
			case !found:
				return errMissing
			}
			c.tell("answered", start)
			fmt.Fprintf(c.out, "%s\n", value)
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
}

func (c *cli) removeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "remove KEY",
		Short: "Remove a key from every node; exit code 1 when there is none",
		Args:  arguments(1, "remove takes KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			conn, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			start := time.Now()
			existed, err := conn.RemoveContext(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			c.tell("acknowledged", start)
			if !existed {
				c.print(resp.Reply{Kind: resp.IntKind, Int: 0}, nil)
				return errMissing
			}
			c.print(resp.Reply{Kind: resp.IntKind, Int: 1}, nil)
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
}

// arguments is cobra.ExactArgs with a sentence of ours.
func arguments(n int, text string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return errors.New(text)
		}
		return nil
	}
}

// seconds is a flag's value: 90, 1.5 or 1m30s.
type seconds time.Duration

func (s *seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if n, nerr := strconv.ParseFloat(text, 64); nerr == nil {
		d, err = time.Duration(n*float64(time.Second)), nil
		if n > float64(1<<63-1)/float64(time.Second) {
			err = errors.New("too far in the future")
		}
	}
	if err != nil || d <= 0 {
		return errors.New("a number of seconds above 0, or a duration like 1m30s")
	}
	*s = seconds(d)
	return nil
}

func (s *seconds) Type() string { return "seconds" }

func (s *seconds) String() string {
	if *s == 0 {
		return "never"
	}
	return time.Duration(*s).String()
}
