//go:build linux

package system

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Profile records where the first process of each role spends its CPU, for so long: the Go
// profile of those that serve one, and what perf sees (C and the kernel too) where perf is
// installed. Files go to dir, a .txt is the list to read first.
func (s *System) Profile(ctx context.Context, dir string, d time.Duration) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var jobs []func() error
	seen := map[string]bool{}
	for _, p := range s.Processes {
		if seen[p.Role] {
			continue
		}
		seen[p.Role] = true
		base := filepath.Join(dir, p.Role)
		if p.page != "" {
			jobs = append(jobs, func() error { return p.goProfile(ctx, base, d) })
		}
		if _, err := exec.LookPath("perf"); err == nil {
			jobs = append(jobs, func() error { return p.perf(ctx, base, d) })
			jobs = append(jobs, func() error { return p.syscalls(ctx, base, d) })
		}
		jobs = append(jobs, func() error { return p.threads(ctx, base, d) })
	}
	errs := make(chan error, len(jobs))
	for _, job := range jobs {
		go func() { errs <- job() }()
	}
	var all []error
	for range jobs {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

func (p *Process) goProfile(ctx context.Context, base string, d time.Duration) error {
	seconds := max(1, int(math.Floor(d.Seconds())))
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", p.page, seconds)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	file, err := os.Create(base + ".pprof")
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, answer.Body); err != nil {
		_ = file.Close() // the copy's error is told
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return output(ctx, base+".pprof.txt", "go", "tool", "pprof", "-top", "-nodecount=60", base+".pprof")
}

func (p *Process) perf(ctx context.Context, base string, d time.Duration) error {
	record := exec.CommandContext(ctx, "perf", "record", "-q", "-F", "999", "-g", "-p", strconv.Itoa(p.Pid()), "-o", base+".perf",
		"--", "sleep", strconv.FormatFloat(d.Seconds(), 'f', 1, 64))
	if text, err := record.CombinedOutput(); err != nil {
		return fmt.Errorf("perf record: %w: %s", err, text)
	}
	return output(ctx, base+".perf.txt", "perf", "report", "-i", base+".perf", "--no-children", "-g", "none", "--stdio",
		"--sort", "dso,symbol", "--percent-limit", "0.4")
}

// syscalls counts the system calls of one second.
func (p *Process) syscalls(ctx context.Context, base string, d time.Duration) error {
	stat := exec.CommandContext(ctx, "perf", "stat", "-e", "syscalls:sys_enter_*", "-e", "context-switches", "-p", strconv.Itoa(p.Pid()), "-x", "\t",
		"--", "sleep", strconv.FormatFloat(min(1, d.Seconds()), 'f', 1, 64))
	text, err := stat.CombinedOutput()
	if err != nil {
		return nil // a kernel without tracing: what perf record saw must do
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if fields := strings.Split(line, "\t"); len(fields) > 2 && fields[0] != "0" {
			lines = append(lines, fmt.Sprintf("%10s %s\n", fields[0], strings.TrimPrefix(fields[2], "syscalls:sys_enter_")))
		}
	}
	slices.Sort(lines)
	slices.Reverse(lines)
	return os.WriteFile(base+".syscalls.txt", []byte(strings.Join(lines, "")), 0o644)
}

// threads tells how much CPU threads of the same name used, and how often they went to sleep.
func (p *Process) threads(ctx context.Context, base string, d time.Duration) error {
	from, err := p.threadUse()
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
	}
	to, err := p.threadUse()
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(to)) {
		fmt.Fprintf(&text, "%-16s %6.1f %% of a core, %8.0f waits/s, %8.0f preemptions/s\n", name, 100*(to[name].cpu-from[name].cpu).Seconds()/d.Seconds(),
			float64(to[name].waits-from[name].waits)/d.Seconds(), float64(to[name].preempted-from[name].preempted)/d.Seconds())
	}
	return os.WriteFile(base+".threads.txt", []byte(text.String()), 0o644)
}

type threadUse struct {
	cpu              time.Duration
	waits, preempted int64
}

func (p *Process) threadUse() (map[string]threadUse, error) {
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.Pid()))
	if err != nil {
		return nil, err
	}
	use := map[string]threadUse{}
	for _, path := range paths {
		name, err := os.ReadFile(path + "/comm")
		if err != nil {
			continue // the thread has ended
		}
		u := use[strings.TrimSpace(string(name))]
		if text, err := os.ReadFile(path + "/schedstat"); err == nil {
			var ns int64
			if _, err := fmt.Sscan(string(text), &ns); err == nil {
				u.cpu += time.Duration(ns)
			}
		}
		if text, err := os.ReadFile(path + "/status"); err == nil {
			u.waits += statusNumber(string(text), "voluntary_ctxt_switches")
			u.preempted += statusNumber(string(text), "nonvoluntary_ctxt_switches")
		}
		use[strings.TrimSpace(string(name))] = u
	}
	return use, nil
}

// statusNumber is the number of a line of /proc/PID/status, 0 when there is no such line.
func statusNumber(status, name string) (n int64) {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			if _, err := fmt.Sscan(rest, &n); err == nil {
				return n
			}
		}
	}
	return 0
}

func output(ctx context.Context, file, name string, args ...string) error {
	text, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(file, text, 0o644)
}
