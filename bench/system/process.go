//go:build linux

package system

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Process is one running program.
type Process struct {
	Role    string // what it is for in its system: "broker", "replica"
	Command string // as one could type it

	cmd    *exec.Cmd
	log    string // path
	page   string // address of its /debug/pprof, if it has one
	exited chan struct{}
}

// start runs a program in dir, where its output goes to a file. The kernel kills it when this
// program dies.
func start(dir, role, path string, args ...string) (*Process, error) {
	log, err := os.CreateTemp(dir, role+"-*.log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	// Its own group: a Ctrl-C goes to this program alone, which then ends it in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	p := &Process{Role: role, Command: commandLine(path, args), cmd: cmd, log: log.Name(), exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended shows in its log
		close(p.exited)
	}()
	return p, nil
}

// commandLine drops the directory of the program, which differs in every run.
func commandLine(path string, args []string) string {
	words := []string{filepath.Base(path)}
	for _, a := range args {
		if a == "" {
			a = `""`
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// Pid is its process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

const stopGrace = 3 * time.Second

// stop ends it, by force when it does not go by itself.
func (p *Process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only when it has exited
	select {
	case <-p.exited:
	case <-time.After(stopGrace):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// failure says why p is gone, or nil while it runs.
func (p *Process) failure() error {
	select {
	case <-p.exited:
	default:
		return nil
	}
	lines, err := p.lastLines(3)
	if err != nil {
		return err
	}
	return fmt.Errorf("%s ended: %s", p.Role, bytes.Join(lines, []byte("; ")))
}

// lastLines is the end of what it has logged.
func (p *Process) lastLines(n int) ([][]byte, error) {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return nil, err
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return lines[max(0, len(lines)-n):], nil
}

// await calls ready every few milliseconds until it is nil.
func (s *System) await(ctx context.Context, what string, ready func() error) error {
	return s.awaitFor(ctx, 30*time.Second, what, ready)
}

func (s *System) awaitFor(ctx context.Context, limit time.Duration, what string, ready func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		for _, p := range s.Processes {
			if failure := p.failure(); failure != nil {
				return fmt.Errorf("await %s: %w", what, failure)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("await %s: %w: %w", what, errors.Join(ctx.Err(), context.Cause(ctx)), err)
		case <-tick.C:
		}
	}
}
