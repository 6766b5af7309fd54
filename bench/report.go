//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// report is everything that was measured, as the JSON file holds it.
type report struct {
	Started time.Time           `json:"started"`
	Took    string              `json:"took"`
	Seconds float64             `json:"seconds"`
	Repeat  int                 `json:"repeat"`
	Machine machine             `json:"machine"`
	Results []result            `json:"rows"`
	Left    []string            `json:"left_out,omitempty"`
	Setups  map[string][]string `json:"setups"`
}

// result is one row with its runs; Ours[i] and Peer[i] followed each other.
type result struct {
	Name       string   `json:"name"`
	Title      string   `json:"title"`
	Unit       string   `json:"unit"`
	OursSystem string   `json:"ours_system"`
	PeerSystem string   `json:"peer_system,omitempty"`
	OursWork   string   `json:"ours_work"`
	PeerWork   string   `json:"peer_work,omitempty"`
	Goal       goal     `json:"goal"`
	Ours       []sample `json:"ours"`
	Peer       []sample `json:"peer,omitempty"`
}

func (r report) name() string { return r.Started.Format("2006-01-02T15-04-05") }

// write leaves name().md and name().json in dir.
func (r report) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	base := filepath.Join(dir, r.name())
	if err := os.WriteFile(base+".json", append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(base+".md", []byte(r.markdown()), 0o644)
}

func (r report) markdown() string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "# Brainer beside its peers\n\n%s; %d cores, %.0f GB, %s. %s.\n", m.CPU, m.Cores, m.MemoryGB, m.Kernel, strings.Join(m.Versions, "; "))
	fmt.Fprintf(&b, "%s UTC, took %s. Medians of %d runs of %g s for each side, in turn; ratios pair by pair, (lowest–highest).\n\n",
		r.Started.Format("2006-01-02 15:04"), r.Took, r.Repeat, r.Seconds)
	b.WriteString("| row | ours | peer | ours / peer | target | | p50, p99, p99.9 µs: ours | peer | p99 ratio | CPU µs per command: ours | peer | others' CPU |\n")
	b.WriteString("|---|--:|--:|--:|--:|---|--:|--:|--:|--:|--:|--:|\n")
	for _, x := range r.Results {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", x.Name,
			x.value(x.Ours), x.value(x.Peer), x.ratio(), x.Goal, x.verdict(), latency(x.Ours), latency(x.Peer), x.tail(), cpu(x.Ours), cpu(x.Peer), x.others())
	}
	b.WriteString("\n")
	for _, x := range r.Results {
		fmt.Fprintf(&b, "- **%s**: %s. %s against %s.%s%s\n", x.Name, x.Title, x.OursSystem, x.PeerSystem, more(" Ours", x.Ours), more(" Peer", x.Peer))
		for _, s := range append(slices.Clone(x.Ours), x.Peer...) {
			if s.Errors > 0 {
				fmt.Fprintf(&b, "  - **INVALID**: %d errors in a run, first: %s\n", s.Errors, s.FirstError)
				break
			}
		}
	}
	for _, l := range r.Left {
		fmt.Fprintf(&b, "- left out, %s\n", l)
	}
	b.WriteString("\n## Setup\n")
	for _, name := range slices.Sorted(maps.Keys(r.Setups)) {
		fmt.Fprintf(&b, "\n%s:\n\n", name)
		for _, line := range r.Setups[name] {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	return b.String()
}

// value is the median of the compared figure.
func (x result) value(samples []sample) string {
	if len(samples) == 0 {
		return "–"
	}
	return number(median(column(samples, func(s sample) float64 { return s.Value }))) + " " + x.Unit
}

func (x result) ratios() []float64 {
	return pairs(x.Ours, x.Peer, func(s sample) float64 { return s.Value })
}

func (x result) ratio() string {
	r := x.ratios()
	if len(r) == 0 {
		return "–"
	}
	return fmt.Sprintf("**%.2f** (%.2f–%.2f)", median(r), slices.Min(r), slices.Max(r))
}

func (x result) tail() string {
	r := pairs(x.Ours, x.Peer, func(s sample) float64 { return s.P99 })
	if len(r) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", median(r))
}

func (g goal) String() string {
	switch {
	case g.AtLeast > 0:
		return fmt.Sprintf("≥ %g", g.AtLeast)
	case g.AtMost > 0:
		return fmt.Sprintf("≤ %g", g.AtMost)
	case g.Below > 0:
		return fmt.Sprintf("ours < %g", g.Below)
	}
	return ""
}

// verdict says whether the goal was reached: by the median, and whether by every pair.
func (x result) verdict() string {
	values := x.ratios()
	within := func(v float64) bool { return v >= x.Goal.AtLeast && (x.Goal.AtMost == 0 || v <= x.Goal.AtMost) }
	if x.Goal.Below > 0 {
		values = column(x.Ours, func(s sample) float64 { return s.Value })
		within = func(v float64) bool { return v < x.Goal.Below }
	}
	switch {
	case x.Goal == goal{} || len(values) == 0:
		return ""
	case !within(median(values)):
		return "missed"
	case slices.ContainsFunc(values, func(v float64) bool { return !within(v) }):
		return "reached by the median"
	}
	return "reached"
}

func latency(samples []sample) string {
	if len(samples) == 0 || samples[0].P50 == 0 {
		return "–"
	}
	of := func(f func(sample) float64) string { return number(median(column(samples, f))) }
	return of(func(s sample) float64 { return s.P50 }) + ", " + of(func(s sample) float64 { return s.P99 }) + ", " +
		of(func(s sample) float64 { return s.P999 })
}

// cpu is the total and its parts by role.
func cpu(samples []sample) string {
	if len(samples) == 0 || len(samples[0].CPU) == 0 {
		return "–"
	}
	total := fmt.Sprintf("%.2f", median(column(samples, sample.allCPU)))
	if len(samples[0].CPU) == 1 {
		return total
	}
	var parts []string
	for _, role := range slices.Sorted(maps.Keys(samples[0].CPU)) {
		parts = append(parts, fmt.Sprintf("%s %.2f", role, median(column(samples, func(s sample) float64 { return s.CPU[role] }))))
	}
	return total + " (" + strings.Join(parts, ", ") + ")"
}

// others is how much of the machine something else used meanwhile: with much of it, believe the
// CPU per command and not the throughput.
func (x result) others() string {
	all := append(slices.Clone(x.Ours), x.Peer...)
	if len(all) == 0 || len(all[0].CPU) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", median(column(all, func(s sample) float64 { return s.Others })))
}

func more(who string, samples []sample) string {
	if len(samples) == 0 || len(samples[0].More) == 0 {
		return ""
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(samples[0].More)) {
		parts = append(parts, name+" "+number(median(column(samples, func(s sample) float64 { return s.More[name] }))))
	}
	return who + ": " + strings.Join(parts, ", ") + "."
}
