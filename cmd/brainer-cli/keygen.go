package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"brainer/internal/curve"
)

func (c *cli) keygenCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "keygen NAME",
		Short: "Make a key pair for tcp:// endpoints: NAME.key and NAME.pub",
		Long: `keygen makes a key pair for CURVE on tcp:// endpoints: NAME.key, which its owner alone may read and
--curve-key names, and NAME.pub, which --curve-server-key names where the owner is dialled. It replaces
no file, and needs no endpoint. It prints the public key, for a line of a --curve-allowed-keys file.`,
		Example: `  brainer-cli keygen broker
  echo "node $(brainer-cli keygen n1) n1" >> allowed-keys`,
		Args: arguments(1, "keygen takes NAME, of the files to make"),
		RunE: func(_ *cobra.Command, args []string) error {
			pair, err := curve.Generate()
			if err == nil {
				err = pair.Write(args[0])
			}
			if err != nil {
				return failure{err}
			}
			fmt.Fprintln(c.out, pair.Public)
			return nil
		},
	}
}
