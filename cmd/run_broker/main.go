// Command run_broker orders writes, routes reads and serves Redis clients. Alone it is a working
// cache: it runs one node in its own process.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"brainer/internal/config"
	"brainer/internal/daemon"
)

// Set by the build.
var version, revision string

func main() {
	version, revision = daemon.Version(version, revision)
	if err := newCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "run_broker:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:           "run_broker",
		Short:         "Order writes, route reads, serve Redis clients",
		Long:          "run_broker is the one address that Redis clients talk to. It orders every write and sends it to\nall nodes; alone it is a working cache, with one node in its own process.",
		Args:          cobra.NoArgs,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(*cobra.Command, []string) error { return run(&o) },
	}
	cmd.SetVersionTemplate(daemon.VersionLine("run_broker", version, revision))
	o.flags(cmd.Flags())
	config.Bind(cmd)
	return cmd
}
