//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"brainer/bench/load"
	"brainer/bench/system"
)

// runner starts systems when a row needs them and measures rows.
type runner struct {
	bin      string
	than     string
	duration time.Duration
	repeat   int
	quiet    time.Duration // how long to wait at most for the machine to be ours
	profiles string        // directory for profiles; empty: none
	progress io.Writer

	up     map[string]*running
	setups map[string][]string
}

type running struct {
	system     *system.System
	filledWith fill
}

// fill is what a system was filled with.
type fill struct{ keys, valueBytes int }

func newRunner(o options, progress io.Writer) *runner {
	return &runner{bin: o.bin, than: o.than, duration: time.Duration(o.seconds * float64(time.Second)), repeat: o.repeat, quiet: o.quiet, progress: progress,
		up: map[string]*running{}, setups: map[string][]string{}}
}

func (r *runner) start(ctx context.Context, name string) (*system.System, error) {
	bin, kind := r.bin, name
	if base, ok := strings.CutSuffix(name, other); ok {
		bin, kind = r.than, base
	}
	// Another process may take an address between our choice and the program's bind.
	const attempts = 3
	var sys *system.System
	var err error
	for range attempts {
		if sys, err = systems[kind].start(ctx, bin, r.profiles != ""); err == nil || ctx.Err() != nil {
			break
		}
		fmt.Fprintf(r.progress, "    %s: %v\n", name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r.up[name] = &running{system: sys}
	r.setups[name] = sys.Setup()
	return sys, nil
}

// filled is the side's system, up and holding exactly the keys of its work.
func (r *runner) filled(ctx context.Context, s side) (*system.System, error) {
	want := fill{s.Work.Keys, s.Work.ValueBytes}
	if u := r.up[s.System]; u != nil && u.filledWith != want && u.filledWith != (fill{}) {
		r.end(s.System)
	}
	if r.up[s.System] == nil {
		if _, err := r.start(ctx, s.System); err != nil {
			return nil, err
		}
	}
	u := r.up[s.System]
	if u.filledWith == want {
		return u.system, nil
	}
	if err := eachKey(ctx, u.system, s, (*load.Session).Fill); err != nil {
		return nil, fmt.Errorf("fill %s: %w", s.System, err)
	}
	u.filledWith = want
	return u.system, nil
}

// eachKey does something to all of the side's keys.
func eachKey(ctx context.Context, sys *system.System, s side, do func(*load.Session, context.Context) (*load.Result, error)) error {
	w := load.Work{Conns: min(s.Work.Conns, 50), Pipeline: 64, Keys: s.Work.Keys, ValueBytes: s.Work.ValueBytes, Threads: s.Work.Threads}
	if w.ValueBytes > 1024 {
		w.Pipeline = 1
	}
	session, err := load.Dial(sys.Address, w)
	if err != nil {
		return err
	}
	defer session.Close()
	result, err := do(session, ctx)
	if err == nil && result.Errors+result.Misses > 0 {
		err = fmt.Errorf("%d errors, %d keys missing, first: %s", result.Errors, result.Misses, result.FirstError)
	}
	return err
}

func (r *runner) end(name string) {
	r.up[name].system.Stop()
	delete(r.up, name)
}

// stop ends every system.
func (r *runner) stop() {
	for name := range maps.Clone(r.up) {
		r.end(name)
	}
}

// row measures ours and the peer in turn.
func (r *runner) row(ctx context.Context, w row) (result, error) {
	for name := range maps.Clone(r.up) {
		if name != w.Ours.System && name != w.Peer.System {
			r.end(name)
		}
	}
	out := result{Name: w.Name, Title: w.Title, Unit: w.Unit, OursSystem: w.Ours.System, PeerSystem: w.Peer.System, Goal: w.Goal}
	out.OursWork, out.PeerWork = w.Ours.Work.String(), w.Peer.Work.String()
	repeat := r.repeat
	if w.Once {
		repeat = 1
	}
	if err := r.warm(ctx, w); err != nil {
		return out, err
	}
	for range repeat {
		if err := r.awaitQuiet(ctx); err != nil {
			return out, err
		}
		ours, err := w.measure(ctx, r, w.Ours)
		if err != nil {
			return out, fmt.Errorf("%s: %w", w.Ours.System, err)
		}
		out.Ours = append(out.Ours, ours)
		if w.Peer.System == "" {
			continue
		}
		peer, err := w.measure(ctx, r, w.Peer)
		if err != nil {
			return out, fmt.Errorf("%s: %w", w.Peer.System, err)
		}
		out.Peer = append(out.Peer, peer)
		fmt.Fprintf(r.progress, "    %s   %s   %.2f\n", number(ours.Value), number(peer.Value), ours.Value/peer.Value)
	}
	if r.profiles != "" && w.Unit == "op/s" {
		return out, r.profile(ctx, w)
	}
	return out, nil
}

// awaitQuiet returns when the machine was less than a tenth busy for a while, or when that took
// too long. What runs between two pairs of ours is idle and does not count for much.
func (r *runner) awaitQuiet(ctx context.Context) error {
	const while, busy = 300 * time.Millisecond, 0.1
	for deadline := time.Now().Add(r.quiet); time.Now().Before(deadline); {
		from, err := system.BusyCPU()
		if err != nil {
			return err
		}
		if err := pause(ctx, while); err != nil {
			return err
		}
		to, err := system.BusyCPU()
		if err != nil {
			return err
		}
		if (to - from).Seconds() < busy*while.Seconds()*float64(cpus()) {
			return nil
		}
	}
	return nil
}

// warm runs both sides once, shortly, for nothing: connections, memory and caches are then there. Where some keys
// are asked for more often than others, each has been read once before, as it has where a cache has been up for a while.
func (r *runner) warm(ctx context.Context, w row) error {
	if w.Unit != "op/s" {
		return nil
	}
	for _, s := range []side{w.Ours, w.Peer} {
		if s.System == "" {
			continue
		}
		sys, err := r.filled(ctx, s)
		if err != nil {
			return err
		}
		if s.Work.Zipf > 0 && s.Work.Reads > 0 {
			if err := eachKey(ctx, sys, s, (*load.Session).Visit); err != nil {
				return fmt.Errorf("%s: %w", s.System, err)
			}
		}
		if _, err := ask(ctx, sys, s.Work, min(300*time.Millisecond, r.duration)); err != nil {
			return fmt.Errorf("%s: %w", s.System, err)
		}
	}
	return nil
}

// profile runs ours once more and keeps CPU profiles of the broker and a node.
func (r *runner) profile(ctx context.Context, w row) error {
	sys, err := r.filled(ctx, w.Ours)
	if err != nil {
		return err
	}
	d := max(r.duration, 5*time.Second)
	profiled := make(chan error, 1)
	go func() { profiled <- sys.Profile(ctx, filepath.Join(r.profiles, w.Name), d-500*time.Millisecond) }()
	s, err := ask(ctx, sys, w.Ours.Work, d)
	if e := <-profiled; e != nil {
		return fmt.Errorf("profile: %w", e)
	}
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s: %s\nwhile profiled: %s op/s, CPU µs per command %s\n", w.Name, w.Title, number(s.Value), cpu([]sample{s}))
	return os.WriteFile(filepath.Join(r.profiles, w.Name, "run.txt"), []byte(text), 0o644)
}
