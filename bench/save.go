//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"brainer/bench/load"
	"brainer/bench/system"
	"brainer/resp"
)

const (
	saveWorkers   = 16
	saveEach      = 125 // requests a second of a worker at most, half of them writes
	saveValue     = 16
	saveMemory    = 250 * time.Millisecond // memory is looked at so often
	saveLoadsFrom = 100_000                // writes behind the snapshot, before the restart
)

// save is one way of a server to save what it has.
type save struct {
	name string
	run  func(context.Context, *system.System) error
}

func bgsave(ctx context.Context, sys *system.System) error { return sys.BGSave(ctx) }

// saves measures what clients and memory notice while a snapshot is taken, and how fast it is loaded again.
func saves(ctx context.Context, r *runner, o options, progress io.Writer) (string, error) {
	var taken, loaded strings.Builder
	fmt.Fprintf(&taken, "%d keys of %d bytes with values of %d, %d clients with up to %d requests a second together, half of them writes: "+
		"for %v\nbefore, and while a snapshot is taken. Resident memory is that of the\nprocess with the data, and what it has forked:\n\n"+
		"| snapshot | seconds | p50, p99 before, ms | p50, p99 meanwhile, ms | p99 | memory before, MB | most meanwhile | memory |\n|---|---|---|---|---|---|---|---|\n",
		o.keys, fillKeyBytes, saveValue, saveWorkers, saveWorkers*saveEach, o.steady)
	fmt.Fprintf(&loaded, "Started again with that on disk (ours: the snapshot, and a log of the writes since):\n\n| | seconds | keys a second |\n|---|---|---|\n")
	var rates []float64
	for _, server := range []struct {
		name  string
		start func() (*system.System, error)
		saves []save
	}{
		{"brainer, 1 node", func() (*system.System, error) { return system.BrainerOnDisk(ctx, r.bin) },
			[]save{{"`brainer-cli snapshot save`", func(ctx context.Context, sys *system.System) error { return sys.SaveSnapshot(ctx) }}, {"BGSAVE, to the node's disk", bgsave}}},
		{"redis-server", func() (*system.System, error) { return system.Redis(ctx, 0) }, []save{{"BGSAVE", bgsave}}},
	} {
		err := func() error {
			sys, err := server.start()
			if err != nil {
				return err
			}
			defer sys.Stop()
			if err := fillKeys(sys.Address, o.keys, saveValue, false); err != nil {
				return err
			}
			for _, s := range server.saves {
				m, err := whileSaving(ctx, sys, o, s)
				if err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
				row := m.row(server.name + ", " + s.name)
				taken.WriteString(row)
				io.WriteString(progress, row)
			}
			if err := fillKeys(sys.Address, min(saveLoadsFrom, o.keys), saveValue, false); err != nil {
				return err
			}
			took, err := sys.Restart(ctx, int64(o.keys))
			if err != nil {
				return err
			}
			rates = append(rates, float64(o.keys)/took.Seconds())
			row := fmt.Sprintf("| %s | %.1f | %.0f |\n", server.name, took.Seconds(), rates[len(rates)-1])
			loaded.WriteString(row)
			io.WriteString(progress, row)
			return nil
		}()
		if err != nil {
			return "", fmt.Errorf("%s: %w", server.name, err)
		}
	}
	fmt.Fprintf(&loaded, "\nOurs is %.2f of redis-server's.\n", rates[0]/rates[1])
	return taken.String() + "\n" + loaded.String(), nil
}

// saved is what was seen before and while something was saved.
type saved struct {
	took           time.Duration
	before, during load.Histogram
	held, most     int64
}

func (m *saved) row(name string) string {
	ms := func(h *load.Histogram, q float64) float64 { return h.Quantile(q).Seconds() * 1000 }
	return fmt.Sprintf("| %s | %.1f | %.2f, %.2f | %.2f, %.2f | %.2f x | %.0f | %.0f | %+.1f %% |\n", name, m.took.Seconds(),
		ms(&m.before, 0.5), ms(&m.before, 0.99), ms(&m.during, 0.5), ms(&m.during, 0.99), ms(&m.during, 0.99)/ms(&m.before, 0.99),
		megabytes(m.held), megabytes(m.most), 100*(float64(m.most)/float64(m.held)-1))
}

func whileSaving(ctx context.Context, sys *system.System, o options, s save) (m *saved, err error) {
	m = &saved{}
	ctx, cancel := context.WithCancel(ctx)
	var saving atomic.Bool
	var mu sync.Mutex
	var group sync.WaitGroup
	defer func() {
		cancel()
		group.Wait()
	}()
	failed := make(chan error, saveWorkers+1)
	for w := range saveWorkers {
		group.Go(func() {
			before, during, err := steady(ctx, sys.Address, w, uint64(o.keys), &saving)
			mu.Lock()
			defer mu.Unlock()
			m.before.Merge(before)
			m.during.Merge(during)
			if err != nil {
				failed <- err
			}
		})
	}
	group.Go(func() {
		for ctx.Err() == nil {
			now, err := holder(sys).Resident()
			if err != nil {
				failed <- err
				return
			}
			mu.Lock()
			if saving.Load() {
				m.most = max(m.most, now)
			} else {
				m.held = max(m.held, now)
			}
			mu.Unlock()
			_ = pause(ctx, saveMemory)
		}
	})
	if err := pause(ctx, o.steady); err != nil {
		return nil, err
	}
	began := time.Now()
	saving.Store(true)
	err = s.run(ctx, sys)
	m.took = time.Since(began)
	cancel()
	group.Wait()
	if err == nil && len(failed) > 0 {
		err = <-failed
	}
	return m, err
}

// steady is one client, which asks at fixed times unless it still waits for an answer.
func steady(ctx context.Context, address string, w int, keys uint64, saving *atomic.Bool) (before, during *load.Histogram, err error) {
	before, during = &load.Histogram{}, &load.Histogram{}
	c, err := dialTrace(address)
	if err != nil {
		return before, during, err
	}
	defer c.conn.Close()
	r := rand.New(rand.NewPCG(uint64(w), 11))
	value := []byte(strings.Repeat("w", saveValue))
	const period = time.Second / saveEach
	var key []byte
	for due := time.Now().Add(period * time.Duration(w) / saveWorkers); pause(ctx, time.Until(due)) == nil; due = due.Add(period) {
		key = scattered(key[:0], r.Uint64N(keys))
		if r.IntN(2) == 0 {
			c.out = resp.AppendCommand(c.out, []byte("GET"), key)
		} else {
			c.out = resp.AppendCommand(c.out, []byte("SET"), key, value)
		}
		h := before
		if saving.Load() {
			h = during
		}
		sent := time.Now()
		if _, err := c.exchange(1, nil); err != nil {
			return before, during, err
		}
		h.Add(time.Since(sent), 1)
		if late := time.Since(due); late > period {
			due = due.Add(late.Truncate(period))
		}
	}
	return before, during, nil
}
