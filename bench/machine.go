//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// machine is where and with what was measured.
type machine struct {
	CPU      string   `json:"cpu"`
	Cores    int      `json:"cores"`
	MemoryGB float64  `json:"memory_gb"`
	Kernel   string   `json:"kernel"`
	Versions []string `json:"versions"`
}

func cpus() int { return runtime.NumCPU() }

// defaultThreads leaves the machine to the servers: one thread asks for several hundred thousand
// commands a second.
func defaultThreads() int { return max(1, cpus()/8) }

func describeMachine(ctx context.Context) machine {
	m := machine{Cores: cpus(), CPU: "unknown CPU"}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, model, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(model)
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kilobytes float64
		if _, err := fmt.Sscanf(string(text), "MemTotal: %f kB", &kilobytes); err == nil {
			m.MemoryGB = kilobytes / (1 << 20)
		}
	}
	m.Kernel = firstLine(ctx, "uname", "-sr")
	for _, v := range [][]string{
		{"git", "describe", "--tags", "--always", "--dirty"},
		{"go", "version"},
		{"pkg-config", "--modversion", "libzmq"},
		{"redis-server", "--version"},
		{"nutcracker", "--version"},
	} {
		what := v[0]
		switch what {
		case "git":
			what = "brainer"
		case "pkg-config":
			what = "libzmq"
		}
		if line := firstLine(ctx, v[0], v[1:]...); line != "" {
			m.Versions = append(m.Versions, what+": "+line)
		}
	}
	return m
}

// firstLine is what a program says first, nothing when it is not there.
func firstLine(ctx context.Context, name string, args ...string) string {
	text, err := exec.CommandContext(ctx, name, args...).CombinedOutput() // nutcracker answers on stderr
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return line
}
