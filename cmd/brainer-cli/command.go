package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"brainer/broker/client"
	"brainer/internal/config"
	"brainer/internal/daemon"
	"brainer/resp"
)

// cli is one invocation: the flags that all commands share, and where its output goes.
type cli struct {
	endpoint string
	password string
	db       int
	timeout  time.Duration
	debug    bool
	raw      bool
	noRaw    bool
	security security

	out, err io.Writer
}

const long = `brainer-cli talks to a broker (ipc:// and tcp:// are its --broker endpoint, redis:// its --listen
address, rediss:// its --tls-listen address), or to a node's own endpoint, which answers reads of its copy and status.

Besides set, get, remove and status every Redis command can be given as it is. Its flags come before
it, and what begins with "-" after it is its own:

  brainer-cli ipc:///tmp/broker.sock INCRBY visits -5
  brainer-cli redis://:secret@127.0.0.1:6379/2 HGETALL user:1

On a terminal replies look as in redis-cli, elsewhere they are raw.
Exit codes: 0 done, 1 an error reply or a missing key, 2 wrong usage, 3 no connection or no answer.`

func newCommand(out io.Writer) *cobra.Command {
	c := &cli{out: out}
	root := &cobra.Command{
		Use:         "brainer-cli COMMAND [ARG...]",
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "brainer-cli ENDPOINT"},
		Short:       "Talk to a Brainer broker or node",
		Long:        long,
		Example:     "  brainer-cli ipc:///tmp/broker.sock set mykey myvalue --expire 60",
		Args:        cobra.ArbitraryArgs,
		Version:     version,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			c.err = cmd.ErrOrStderr()
			if c.raw && c.noRaw {
				return errors.New("--raw or --no-raw, not both")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("no command given: brainer-cli ENDPOINT COMMAND, see brainer-cli --help")
			}
			return c.command(cmd.Context(), args)
		},
		ValidArgsFunction: completeCommand,
		SilenceErrors:     true,
		SilenceUsage:      true,
	}
	root.SetVersionTemplate(daemon.VersionLine("brainer-cli", version, revision))
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		if strings.HasPrefix(err.Error(), "unknown") {
			return fmt.Errorf("%w (a value that begins with \"-\" goes after \"--\")", err)
		}
		return err
	})
	f := root.PersistentFlags()
	f.StringVar(&c.endpoint, "endpoint", "", "the `endpoint`, if it is not the first argument")
	f.StringVar(&c.password, "password", "", "what --requirepass asks for; better in BRAINER_PASSWORD")
	f.IntVar(&c.db, "db", 0, "`number` of the database")
	f.DurationVar(&c.timeout, "timeout", client.TimeoutDefault, "how long to wait for a reply")
	f.BoolVar(&c.debug, "debug", false, "tell on standard error what is done, and how long it took")
	f.BoolVar(&c.raw, "raw", false, "print replies raw, on a terminal too")
	f.BoolVar(&c.noRaw, "no-raw", false, "print replies as on a terminal")
	c.security.flags(f)
	root.Flags().BoolP("help", "h", false, "this help")
	root.Flags().BoolP("version", "v", false, "the version")
	root.Flags().SetInterspersed(false)
	root.AddCommand(c.setCommand(), c.getCommand(), c.removeCommand(), c.statusCommand(), c.recoverCommand(), c.forgetCommand(), c.verifyCommand(), c.snapshotCommand(), c.importCommand(), c.exportCommand(), c.keygenCommand())
	config.Bind(root)
	return root
}

// takeEndpoint makes a flag of the first argument that is not one, when it is an endpoint: cobra
// looks for its commands there.
func takeEndpoint(args []string, flags *pflag.FlagSet) []string {
	completing := len(args) > 0 && strings.HasPrefix(args[0], "__complete") // as completion scripts call
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case completing && (i == 0 || i == len(args)-1): // its name; the word being typed
		case strings.HasPrefix(arg, "--") && !strings.Contains(arg, "="):
			if f := flags.Lookup(arg[2:]); f != nil && f.NoOptDefVal == "" {
				i++ // its value
			}
		case strings.HasPrefix(arg, "-"):
		case strings.Contains(arg, "://"):
			replaced := slices.Clone(args)
			replaced[i] = "--endpoint=" + arg
			return replaced
		default:
			return args
		}
	}
	return args
}

// connect is the connection that all commands use.
func (c *cli) connect(ctx context.Context) (*client.Client, error) {
	if c.endpoint == "" {
		return nil, errors.New("no endpoint given: brainer-cli ipc:///tmp/broker.sock COMMAND")
	}
	options := []client.Option{
		client.WithTimeout(c.timeout),
		client.WithConnectTimeout(min(c.timeout, client.ConnectTimeoutDefault)),
	}
	if c.password != "" {
		options = append(options, client.WithPassword(c.password))
	}
	if c.db != 0 {
		options = append(options, client.WithDB(c.db))
	}
	secured, err := c.security.options()
	if err != nil {
		return nil, err
	}
	options = append(options, secured...)
	start := time.Now()
	conn, err := client.ConnectContext(ctx, c.endpoint, options...)
	if err == nil {
		c.tell("connected", start)
	}
	return conn, err
}

// command runs a Redis command as it was given.
func (c *cli) command(ctx context.Context, args []string) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	start := time.Now()
	reply, err := conn.DoContext(ctx, args...)
	if err != nil {
		return err
	}
	c.tell("answered", start)
	c.print(reply, args)
	if subscribes(args[0]) {
		return c.follow(ctx, conn)
	}
	return nil
}

func subscribes(name string) bool {
	switch strings.ToLower(name) {
	case "subscribe", "psubscribe", "ssubscribe", "monitor":
		return true
	}
	return false
}

// follow prints what comes until the user interrupts it.
func (c *cli) follow(ctx context.Context, conn *client.Client) error {
	for {
		reply, err := conn.Receive(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		c.print(reply, nil)
	}
}

// print writes a reply to args as redis-cli would.
func (c *cli) print(reply resp.Reply, args []string) {
	if c.pretty() && !isText(args) {
		fmt.Fprint(c.out, formatReply(reply))
		return
	}
	fmt.Fprintf(c.out, "%s\n", rawReply(reply))
}

func (c *cli) pretty() bool {
	if c.raw || c.noRaw {
		return c.noRaw
	}
	f, ok := c.out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (c *cli) tell(what string, since time.Time) {
	if c.debug {
		fmt.Fprintf(c.err, "brainer-cli: %s after %v\n", what, time.Since(since).Round(time.Microsecond))
	}
}
