//go:build linux

package system

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// Profile records where the first process of each role spends its CPU, for so long: the Go
// profile of those that serve one, and what perf sees (C and the kernel too) where perf is
// installed. Files begin with prefix; a .txt is the list to read first.
func (s *System) Profile(ctx context.Context, prefix string, d time.Duration) error {
	if err := os.MkdirAll(prefix, 0o755); err != nil {
		return err
	}
	var jobs []func() error
	seen := map[string]bool{}
	for _, p := range s.Processes {
		if seen[p.Role] {
			continue
		}
		seen[p.Role] = true
		base := fmt.Sprintf("%s/%s", prefix, p.Role)
		if p.page != "" {
			jobs = append(jobs, func() error { return p.goProfile(ctx, base, d) })
		}
		if _, err := exec.LookPath("perf"); err == nil {
			jobs = append(jobs, func() error { return p.perf(ctx, base, d) })
		}
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

func output(ctx context.Context, file, name string, args ...string) error {
	text, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(file, text, 0o644)
}
