//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"brainer/bench/load"
)

// growth is how throughput and CPU per command change with one thing, all else being alike: a picture with two panels.
type growth struct {
	name, x string
	at      []int
	side    func(n int) side
	points  []point
}

// point is one place on the x axis.
type point struct {
	x        int
	get, set sample
}

// growths are the pictures of -growth.
func growths(o options) []growth {
	base := load.Work{Conns: 50, Pipeline: 16, Keys: 100_000, ValueBytes: 64, Threads: o.threads}
	nodes := func(n int) string {
		name := fmt.Sprintf("brainer, %d nodes, near cache off", n)
		systems[name] = brainer(n, "--near-cache", "0")
		return name
	}
	return []growth{
		{name: "nodes", x: "nodes", at: []int{1, 2, 3, 5, 8},
			side: func(n int) side { return side{nodes(n), base} }},
		{name: "connections", x: "connections, no pipelining", at: []int{1, 10, 50, 100, 1000, 9900},
			side: func(n int) side { return side{routed, with(base, conns(n), func(w *load.Work) { w.Pipeline = 1 })} }},
		{name: "values", x: "bytes of a value, no pipelining", at: []int{16, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20},
			side: func(n int) side {
				return side{routed, with(base, sized(n, min(100_000, 256<<20/n)), func(w *load.Work) { w.Pipeline = 1 })}
			}},
		{name: "keys", x: "keys", at: []int{10_000, 100_000, 1_000_000, 10_000_000},
			side: func(n int) side { return side{routed, with(base, func(w *load.Work) { w.Keys = n })} }},
	}
}

// chooseGrowths takes those whose names match.
func chooseGrowths(gs []growth, pattern string) (chosen []growth, err error) {
	match, err := regexp.Compile("^(?:" + cmp.Or(pattern, ".*") + ")$")
	if err != nil {
		return nil, fmt.Errorf("-rows: %w", err)
	}
	for _, g := range gs {
		if match.MatchString(g.name) {
			chosen = append(chosen, g)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("-rows %s: nodes, connections, values or keys", pattern)
	}
	return chosen, nil
}

// grow measures and draws; dir gets a picture and a table for each.
func grow(ctx context.Context, r *runner, gs []growth, dir string, progress io.Writer) error {
	for _, g := range gs {
		for _, n := range g.at {
			s := g.side(n)
			for name := range r.up {
				if name != s.System {
					r.end(name)
				}
			}
			p := point{x: n}
			for _, w := range []struct {
				to    *sample
				reads int
			}{{&p.set, 0}, {&p.get, 100}} {
				work := s.Work
				work.Reads = w.reads
				sys, err := r.filled(ctx, side{s.System, work})
				if err != nil {
					return err
				}
				if *w.to, err = ask(ctx, sys, work, r.duration); err != nil {
					return err
				}
				if w.to.Errors > 0 {
					return fmt.Errorf("%s %d: %s", g.name, n, w.to.FirstError)
				}
			}
			fmt.Fprintf(progress, "%s %d: GET %s/s %.2f µs, SET %s/s %.2f µs\n", g.name, n, number(p.get.Value), p.get.cpu(), number(p.set.Value), p.set.cpu())
			g.points = append(g.points, p)
		}
		if err := g.write(dir); err != nil {
			return err
		}
	}
	return nil
}

// write draws the picture and writes the table.
func (g *growth) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	panels := []struct {
		title string
		of    func(sample) float64
	}{{"commands a second", func(s sample) float64 { return s.Value }}, {"CPU µs a command", func(s sample) float64 { return s.cpu() }}}
	canvas := vgsvg.New(9*vg.Inch, 3.2*vg.Inch)
	tiles := draw.Tiles{Rows: 1, Cols: len(panels), PadX: vg.Millimeter * 6, PadTop: vg.Millimeter * 2, PadRight: vg.Millimeter * 4}
	for i, panel := range panels {
		p := plot.New()
		p.X.Label.Text, p.Y.Label.Text = g.x, panel.title
		p.Legend.Top, p.Legend.Left = true, i == 1
		var ticks []plot.Tick
		for _, at := range g.points {
			ticks = append(ticks, plot.Tick{Value: float64(at.x), Label: short(at.x)})
		}
		p.X.Tick.Marker = plot.ConstantTicks(ticks)
		if g.at[len(g.at)-1] >= 100 {
			p.X.Scale = plot.LogScale{}
		}
		gets, sets := make(plotter.XYs, len(g.points)), make(plotter.XYs, len(g.points))
		for i, at := range g.points {
			gets[i] = plotter.XY{X: float64(at.x), Y: panel.of(at.get)}
			sets[i] = plotter.XY{X: float64(at.x), Y: panel.of(at.set)}
		}
		if err := plotutil.AddLinePoints(p, "GET", gets, "SET, all acknowledging", sets); err != nil {
			return err
		}
		p.Y.Min, p.Y.Max = 0, 1.3*p.Y.Max // room for the legend
		p.Draw(tiles.At(draw.New(canvas), i, 0))
	}
	file, err := os.Create(filepath.Join(dir, "growth-"+g.name+".svg"))
	if err != nil {
		return err
	}
	if _, err := canvas.WriteTo(file); err != nil {
		file.Close()
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "growth-"+g.name+".md"), []byte(g.table()), 0o644)
}

func (g *growth) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | GET /s | CPU µs | p99 µs | SET /s | CPU µs | p99 µs |\n|--:|--:|--:|--:|--:|--:|--:|\n", g.x)
	for _, p := range g.points {
		fmt.Fprintf(&b, "| %d | %s | %.2f | %.0f | %s | %.2f | %.0f |\n", p.x, number(p.get.Value), p.get.cpu(), p.get.P99, number(p.set.Value), p.set.cpu(), p.set.P99)
	}
	return b.String()
}

// short writes 16384 as 16K: multiples of 1024 and of 1000.
func short(n int) string {
	for _, unit := range []struct {
		of   int
		name string
	}{{1 << 20, "Mi"}, {1_000_000, "M"}, {1 << 10, "Ki"}, {1000, "k"}} {
		if n >= unit.of && n%unit.of == 0 {
			return strconv.Itoa(n/unit.of) + unit.name
		}
	}
	return strconv.Itoa(n)
}
