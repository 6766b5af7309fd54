// Command brainer-cli talks to a broker, or to a node's own endpoint, over ZeroMQ or plain Redis
// protocol.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"brainer/broker/client"
	"brainer/internal/daemon"
	"brainer/resp"
)

// Set by the build.
var version, revision string

// Exit codes.
const (
	exitOK          = 0
	exitError       = 1 // the server answered with an error, or what was asked for is not there
	exitUsage       = 2
	exitUnreachable = 3 // no connection, no answer in time, or the connection broke
	exitUnknown     = 4 // verify could not compare
)

func main() {
	version, revision = daemon.Version(version, revision)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := newCommand(stdout)
	cmd.SetArgs(takeEndpoint(args, cmd.PersistentFlags()))
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	var reply resp.ReplyError
	var connection *client.Error
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errMissing), errors.Is(err, errDiffered):
		return exitError
	case noBrainer(err):
		fmt.Fprintln(stderr, "brainer-cli: the server is no Brainer: it has no command BRAINER, which this needs")
		return exitError
	case errors.As(err, &reply):
		fmt.Fprintf(stderr, "(error) %s\n", reply)
		return exitError
	case errors.As(err, &connection):
		fmt.Fprintf(stderr, "brainer-cli: %s\n", connection)
		return exitUnreachable
	case errors.As(err, new(notCompared)):
		fmt.Fprintf(stderr, "brainer-cli: %s\n", err)
		return exitUnknown
	case errors.As(err, new(failure)):
		fmt.Fprintf(stderr, "brainer-cli: %s\n", err)
		return exitError
	}
	fmt.Fprintf(stderr, "brainer-cli: %s\n", err)
	return exitUsage
}

// noBrainer: a plain Redis was asked for what only a Brainer does.
func noBrainer(err error) bool {
	var reply resp.ReplyError
	return errors.As(err, &reply) && strings.HasPrefix(reply.Error(), "ERR unknown command 'BRAINER'")
}

// errMissing: what was asked for is not there; that has been printed.
var errMissing = errors.New("not there")

// failure is an error that no other command line would avoid.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }
