package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// row is one metric: its name, what it means, and how its series are computed from a source.
type row[S any] struct {
	name   string
	kind   kind
	help   string
	labels labels
	emit   func(S, sink)
}

type labels []string

type kind string

const (
	gauge     kind = "gauge"
	counter   kind = "counter"
	histogram kind = "histogram"
)

// collector shows rows over a source that is read once per scrape.
type collector[S any] struct {
	rows   []row[S]
	descs  []*prometheus.Desc
	source func() S
}

func newCollector[S any](rows []row[S], source func() S) *collector[S] {
	c := &collector[S]{rows: rows, source: source}
	for _, r := range rows {
		c.descs = append(c.descs, prometheus.NewDesc(r.name, r.help, r.labels, nil))
	}
	return c
}

func (c *collector[S]) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

func (c *collector[S]) Collect(ch chan<- prometheus.Metric) {
	s := c.source()
	for i, r := range c.rows {
		r.emit(s, sink{ch, c.descs[i], r.kind})
	}
}

// inOrder collects one after the other; a registry collects all at once.
type inOrder []prometheus.Collector

func (cs inOrder) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range cs {
		c.Describe(ch)
	}
}

func (cs inOrder) Collect(ch chan<- prometheus.Metric) {
	for _, c := range cs {
		c.Collect(ch)
	}
}

// sink takes the series of one metric.
type sink struct {
	ch   chan<- prometheus.Metric
	desc *prometheus.Desc
	kind kind
}

func (s sink) value(v float64, labels ...string) {
	t := prometheus.GaugeValue
	if s.kind == counter {
		t = prometheus.CounterValue
	}
	s.ch <- prometheus.MustNewConstMetric(s.desc, t, v, labels...)
}

func (s sink) flag(b bool) { s.value(oneIf(b)) }

// oneHot emits 1 for now and 0 for the other states; before are the labels that come first.
func (s sink) oneHot(states []string, now string, before ...string) {
	for _, state := range states {
		s.value(oneIf(state == now), append(slices.Clone(before), state)...)
	}
}

func (s sink) histogram(h *Histogram, labels ...string) {
	count, sum, buckets := h.read()
	s.ch <- prometheus.MustNewConstHistogram(s.desc, count, sum, buckets, labels...)
}
