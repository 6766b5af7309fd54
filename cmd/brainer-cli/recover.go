package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// recoverCommand is an operator's word after a restart that found no member of the last in-sync set.
func (c *cli) recoverCommand() *cobra.Command {
	var from string
	var empty bool
	cmd := &cobra.Command{
		Use:   "recover --from NODE | --empty",
		Short: "Say what the data is when no node of the last in-sync set comes back",
		Long: `recover ends -CLUSTERDOWN by decision: the copy of one node becomes the data, whatever it may have
missed, or the data begins empty. What other copies hold beyond that is discarded when they join.`,
		Example: "  brainer-cli ipc:///tmp/broker.sock recover --from node2",
		Args:    arguments(0, "recover takes --from NODE or --empty"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case empty && from == "":
				return c.command(cmd.Context(), []string{"BRAINER", "RECOVER", "EMPTY"})
			case from != "" && !empty:
				return c.command(cmd.Context(), []string{"BRAINER", "RECOVER", "FROM", from})
			}
			return errors.New("recover takes --from NODE or --empty")
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVar(&from, "from", "", "the `node` whose copy is the data from now on")
	cmd.Flags().BoolVar(&empty, "empty", false, "begin with no data")
	return cmd
}

func (c *cli) forgetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "forget NODE",
		Short: "End the metrics and the record of a node that has left for good",
		Args:  arguments(1, "forget takes NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.command(cmd.Context(), []string{"BRAINER", "FORGET", args[0]})
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
}
