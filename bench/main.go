//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"brainer/bench/system"
)

// options are the flags.
type options struct {
	rows    string
	seconds float64
	repeat  int
	quiet   time.Duration
	keys    int // of the rows on joins and memory
	profile bool
	list    bool
	growth  string
	memory  string

	requests int // of a trace of -memory
	limit    int64
	churn    time.Duration
	alone    bool
	steady   time.Duration
	bin      string
	than     string
	out      string
	threads  int
}

func main() {
	// The first signal ends every process in order, a second one this program; the kernel then ends them.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop)
	if len(os.Args) == 3 && os.Args[1] == system.FloorFlag {
		fmt.Fprintln(os.Stderr, "bench:", system.ServeFloor(os.Args[2]))
		os.Exit(1)
	}
	if err := command(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.rows, "rows", "", "`regexp` of the rows to measure; default: all that are not marked as extra")
	f.Float64Var(&o.seconds, "seconds", 2, "how long one run takes")
	f.IntVar(&o.repeat, "repeat", 5, "runs of each side")
	f.DurationVar(&o.quiet, "quiet", 0, "before each pair of runs wait until nothing else uses the machine, so long at most")
	f.IntVar(&o.keys, "keys", 1_000_000, "keys of the rows about joins and memory")
	f.BoolVar(&o.profile, "profile", false, "after each row's runs, one more of ours with CPU profiles of the broker and a node; with -memory -rows churn, profiles of that")
	f.BoolVar(&o.list, "list", false, "list the rows and end")
	f.StringVar(&o.growth, "growth", "", "`directory` for pictures of how throughput and CPU change with nodes, connections, value sizes and keys, instead of rows; -rows names some")
	f.StringVar(&o.memory, "memory", "", "`directory` for tables of bytes a key, hit ratios, resident memory at a limit, and of saving and loading snapshots, instead of rows; -rows bytes, hits, churn or saves names one")
	f.IntVar(&o.requests, "requests", 2_000_000, "that are counted in a trace of -memory")
	f.Int64Var(&o.limit, "maxmemory", limitedMemory, "`bytes` that the servers of -memory may take")
	f.DurationVar(&o.churn, "churn", time.Minute, "how long memory is watched under writes with -memory")
	f.BoolVar(&o.alone, "alone", false, "with -memory -rows hits or churn: without the other side")
	f.DurationVar(&o.steady, "steady", 15*time.Second, "how long clients ask before a snapshot is taken with -memory -rows saves")
	f.StringVar(&o.bin, "bin", "", "`directory` with run_broker and run_node; default: build them")
	f.StringVar(&o.than, "than", "", "`directory` with other run_broker and run_node: compare ours with those instead of the peers")
	f.StringVar(&o.out, "out", "bench/results", "`directory` for the report")
	f.IntVar(&o.threads, "threads", defaultThreads(), "threads of the load generator")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 || o.seconds <= 0 || o.repeat < 1 || o.keys < 1000 || o.threads < 1 {
		return fmt.Errorf("see bench -h")
	}
	if o.growth != "" {
		gs, err := chooseGrowths(growths(o), o.rows)
		if err != nil {
			return err
		}
		return withRunner(ctx, o, stderr, func(r *runner) error { return grow(ctx, r, gs, o.growth, stderr) })
	}
	if o.memory != "" {
		return withRunner(ctx, o, stderr, func(r *runner) error {
			if o.profile {
				r.profiles = filepath.Join(o.out, "memory")
			}
			return memoryTables(ctx, r, o, stderr)
		})
	}
	rows, err := choose(allRows(o), o.rows)
	if err != nil {
		return err
	}
	if o.than != "" {
		for i := range rows {
			rows[i] = rows[i].than()
		}
	}
	if o.list {
		for _, r := range rows {
			fmt.Fprintf(stdout, "%-18s %s\n", r.Name, r.Title)
		}
		return nil
	}
	return measure(ctx, o, rows, stdout, stderr)
}

// choose takes the rows whose names match, or without a pattern those that are not extra.
func choose(rows []row, pattern string) (chosen []row, err error) {
	match, err := regexp.Compile("^(?:" + pattern + ")$")
	if err != nil {
		return nil, fmt.Errorf("-rows: %w", err)
	}
	for _, r := range rows {
		if pattern == "" && !r.Extra || pattern != "" && match.MatchString(r.Name) {
			chosen = append(chosen, r)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("-rows %s: no such row; see -list -rows '.*'", pattern)
	}
	return chosen, nil
}

// withRunner has f do its work with Brainer's programs built, and ends all that it has started.
func withRunner(ctx context.Context, o options, stderr io.Writer, f func(*runner) error) error {
	// Programs run in directories of their own.
	for _, dir := range []*string{&o.bin, &o.than} {
		if *dir == "" {
			continue
		}
		var err error
		if *dir, err = filepath.Abs(*dir); err != nil {
			return err
		}
	}
	r := newRunner(o, stderr)
	defer r.stop()
	if r.bin == "" {
		dir, err := os.MkdirTemp("", "brainer-bench-bin-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if err := build(ctx, dir); err != nil {
			return err
		}
		r.bin = dir
	}
	return f(r)
}

// measure runs the rows and writes the report, also of those that were done when it was stopped.
func measure(ctx context.Context, o options, rows []row, stdout, stderr io.Writer) error {
	return withRunner(ctx, o, stderr, func(r *runner) error { return r.measure(ctx, o, rows, stdout, stderr) })
}

func (r *runner) measure(ctx context.Context, o options, rows []row, stdout, stderr io.Writer) error {
	start := time.Now()
	rep := report{Machine: describeMachine(ctx), Started: start.UTC(), Seconds: o.seconds, Repeat: o.repeat}
	if o.profile {
		r.profiles = filepath.Join(o.out, rep.name())
	}
	var failed error
	for i, row := range rows {
		if missing := row.missing(); missing != "" {
			rep.Left = append(rep.Left, fmt.Sprintf("%s: %s is not installed", row.Name, missing))
			continue
		}
		fmt.Fprintf(stderr, "%d/%d %s: %s\n", i+1, len(rows), row.Name, row.Title)
		result, err := r.row(ctx, row)
		if err != nil {
			failed = fmt.Errorf("%s: %w", row.Name, err)
			break
		}
		rep.Results = append(rep.Results, result)
	}
	rep.Setups, rep.Took = r.setups, time.Since(start).Round(time.Second).String()
	if len(rep.Results) == 0 {
		return failed
	}
	if _, err := io.WriteString(stdout, rep.markdown()); err != nil {
		return err
	}
	if err := rep.write(o.out); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "written: %s.md and .json\n", filepath.Join(o.out, rep.name()))
	return failed
}

// build puts Brainer's programs into dir.
func build(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", dir+string(filepath.Separator), "brainer/cmd/run_broker", "brainer/cmd/run_node", "brainer/cmd/brainer-cli")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, strings.TrimSpace(string(text)))
	}
	return nil
}
