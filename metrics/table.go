package metrics

import (
	"fmt"
	"slices"
	"strings"
)

// Metric is one row of the catalogue, for documents and checks.
type Metric struct {
	Name, Type, Help string
	Labels           []string
}

// Catalogue returns every metric of a broker's and of a node's /metrics, in the order of the table.
// The Go runtime's and the process's (go_*, process_*) are the library's and not in it.
func Catalogue() (broker, node []Metric) {
	build := metricsOf(buildRows)
	broker = slices.Concat(metricsOf(statusRows), metricsOf(workRows), metricsOf(frontEndRows), metricsOf(savingRows), metricsOf(diskRows), build)
	node = slices.Concat(metricsOf(nodeRows), metricsOf(diskRows), build)
	return broker, node
}

func metricsOf[S any](rows []row[S]) (all []Metric) {
	for _, r := range rows {
		all = append(all, Metric{r.name, string(r.kind), r.help, r.labels})
	}
	return all
}

// SeriesNames returns the names under which the metric's series are stored: a histogram has three.
func (m Metric) SeriesNames() []string {
	if m.Type == string(histogram) {
		return []string{m.Name + "_bucket", m.Name + "_sum", m.Name + "_count"}
	}
	return []string{m.Name}
}

// Table is the catalogue as Markdown.
func Table() string {
	broker, node := Catalogue()
	var b strings.Builder
	section := func(title string, all []Metric) {
		fmt.Fprintf(&b, "%s:\n\n| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n", title)
		for _, m := range all {
			l := ""
			if len(m.Labels) > 0 {
				l = "`" + strings.Join(m.Labels, "`, `") + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Type, l, m.Help)
		}
	}
	section("A broker's `/metrics`", broker)
	b.WriteString("\n")
	section("A node's `/metrics`", node)
	return b.String()
}
