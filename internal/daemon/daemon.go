// Package daemon has what the two daemons share: their logger, their version, and how signals end
// them. What they are made of is wired in cmd/.
package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
)

// WebConfigUsage is of the flag by which Prometheus and its exporters are secured too.
const WebConfigUsage = "`file` with TLS and basic authentication for the metrics address, as Prometheus's exporters take it"

// Logger writes text or JSON lines to w.
func Logger(w io.Writer, format string, debug bool) (*slog.Logger, error) {
	opts := &slog.HandlerOptions{Level: slog.LevelInfo}
	if debug {
		opts.Level = slog.LevelDebug
	}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, fmt.Errorf("--log-format %q: text or json", format)
}

// Version fills in what the build did not set from what Go recorded.
func Version(version, revision string) (string, string) {
	if info, ok := debug.ReadBuildInfo(); ok && revision == "" {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	if version == "" {
		version = "dev"
	}
	return version, revision
}

// VersionLine is what --version prints.
func VersionLine(program, version, revision string) string {
	if len(revision) > 12 {
		revision = revision[:12]
	}
	return fmt.Sprintf("%s %s (%s, %s %s/%s)\n", program, version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// Signals returns a context that the first SIGTERM or SIGINT ends; the second ends the process at once.
func Signals(log *slog.Logger) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	c := make(chan os.Signal, 2)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGINT)
	stop := make(chan struct{})
	go func() {
		select {
		case s := <-c:
			log.Info("draining; a second signal ends at once", "signal", s.String())
			cancel()
		case <-stop:
			return
		}
		select {
		case <-c:
			os.Exit(130)
		case <-stop:
		}
	}()
	return ctx, func() {
		signal.Stop(c)
		close(stop)
		cancel()
	}
}
