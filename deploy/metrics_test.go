package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"brainer/internal/op"
	"brainer/metrics"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.yaml.in/yaml/v3"
)

// query is one PromQL expression and where it stands.
type query struct{ where, expr string }

type rule struct {
	Record, Alert, Expr string
	For                 string
	Labels, Annotations map[string]string
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal([]byte(read(t, "prometheus/rules.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ H, W, X, Y int }
	Targets                  []struct{ Expr string }
}

func panels(t *testing.T) []panel {
	t.Helper()
	var dashboard struct{ Panels []panel }
	if err := json.Unmarshal([]byte(read(t, "grafana/dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	return dashboard.Panels
}

func queries(t *testing.T) (all []query) {
	for _, r := range rules(t) {
		all = append(all, query{"rules.yaml: " + r.Record + r.Alert, r.Expr})
	}
	for _, p := range panels(t) {
		for _, target := range p.Targets {
			all = append(all, query{"dashboard.json: " + p.Title, target.Expr})
		}
	}
	for _, m := range regexp.MustCompile(`label_values\((\w+), *(\w+)\)`).FindAllStringSubmatch(read(t, "grafana/dashboard.json"), -1) {
		all = append(all, query{"dashboard.json: variables", "sum by (" + m[2] + ") (" + m[1] + ")"})
	}
	return all
}

// known maps each name that a query may use to its labels: our series, the Go runtime's and the
// process's, what the rules record, and Prometheus' own.
func known(t *testing.T) map[string][]string {
	names := map[string][]string{"up": nil, "ALERTS": {"alertname", "alertstate", "severity"}}
	broker, node := metrics.Catalogue()
	for _, m := range append(broker, node...) {
		for _, series := range m.SeriesNames() {
			names[series] = m.Labels
			if strings.HasSuffix(series, "_bucket") {
				names[series] = append(slices.Clone(m.Labels), "le")
			}
		}
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		names[f.GetName()] = []string{"quantile", "version"}
	}
	for _, r := range rules(t) {
		if r.Record != "" {
			names[r.Record] = []string{"node", "command", "ack"}
		}
	}
	return names
}

var (
	inQuotes  = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	grouping  = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right) *\(([^)]*)\)`)
	rangeOf   = regexp.MustCompile(`\[[^\]]*\]`)
	selector  = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)? *\{([^}]*)\}`)
	matcher   = regexp.MustCompile(`([a-zA-Z_]\w*) *(?:=~|!~|!=|=) *("(?:[^"\\]|\\.)*")`)
	word      = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
	call      = regexp.MustCompile(`[a-zA-Z_]\w* *\(`)
	operators = []string{"and", "or", "unless", "bool", "offset", "inf", "nan"}
)

// complaints says which metrics, labels and states a query names that do not exist.
func complaints(expr string, known map[string][]string) (found []string) {
	everywhere := []string{"instance", "job"}
	states := slices.Concat(op.BrokerStates, op.NodeStates, metrics.SessionStates)
	labels := slices.Clone(everywhere)
	bare := selector.ReplaceAllStringFunc(expr, func(s string) string {
		m := selector.FindStringSubmatch(s)
		for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
			if all, ok := known[m[1]]; ok && !slices.Contains(all, l[1]) && !slices.Contains(everywhere, l[1]) {
				found = append(found, fmt.Sprintf("%s has no label %s", m[1], l[1]))
			}
			if value := strings.Trim(l[2], `"`); l[1] == "state" && !slices.Contains(states, value) {
				found = append(found, fmt.Sprintf("there is no state %s", value))
			}
		}
		return m[1]
	})
	bare = rangeOf.ReplaceAllString(inQuotes.ReplaceAllString(bare, ""), "")
	var groups []string
	bare = grouping.ReplaceAllStringFunc(bare, func(s string) string {
		groups = append(groups, word.FindAllString(grouping.FindStringSubmatch(s)[2], -1)...)
		return " "
	})
	count := 0
	for _, name := range word.FindAllString(call.ReplaceAllString(bare, "("), -1) {
		if slices.Contains(operators, name) {
			continue
		}
		count++
		if all, ok := known[name]; ok {
			labels = append(labels, all...)
		} else {
			found = append(found, "there is no metric "+name)
		}
	}
	for _, g := range groups {
		if !slices.Contains(labels, g) {
			found = append(found, "no metric of the query has a label "+g)
		}
	}
	if count == 0 {
		found = append(found, "no metric was found in it")
	}
	return found
}

func TestEveryMetricExists(t *testing.T) {
	names := known(t)
	all := queries(t)
	for _, q := range all {
		for _, c := range complaints(q.expr, names) {
			t.Errorf("%s: %s\n  in %s", q.where, c, q.expr)
		}
	}
	if len(all) < 80 {
		t.Errorf("only %d queries were found: the test does not see the files as they are", len(all))
	}
}

func TestComplaintsFindWhatDoesNotExist(t *testing.T) {
	names := known(t)
	for expr, want := range map[string]string{
		`brainer_node_upp == 0`: "there is no metric brainer_node_upp",
		`sum by (node) (rate(brainer_write_duration_seconds_bucket[5m]))`: "no metric of the query has a label node",
		`brainer_write_duration_seconds > 1`:                              "there is no metric brainer_write_duration_seconds",
		`brainer_node_state{state="alive"}`:                               "there is no state alive",
		`brainer_node_up{command="get"}`:                                  "brainer_node_up has no label command",
		`rate(go_gorutines[5m])`:                                          "there is no metric go_gorutines",
		`job:made_up:rate5m > 1`:                                          "there is no metric job:made_up:rate5m",
		`1 > 0`:                                                           "no metric was found in it",
	} {
		if found := complaints(expr, names); !slices.Contains(found, want) {
			t.Errorf("%s: found %q, want %q", expr, found, want)
		}
	}
}

// Every metric of ours is shown or alerted on somewhere, or is left out on purpose.
func TestNoMetricIsForgotten(t *testing.T) {
	leftOut := []string{
		"brainer_leader", "brainer_epoch", "brainer_view_number", "brainer_node_info", // for a person who looks a thing up
		"brainer_replica_info", "brainer_replica_epoch", "brainer_replica_applied_index",
		"brainer_replica_entries_applied_total", "brainer_replica_keys", "brainer_replica_used_memory_bytes",
		"brainer_replica_load_keys_done", "brainer_replica_load_keys_expected", "brainer_replica_load_bytes_done",
		"brainer_replica_reads_total", "brainer_replica_busy_seconds", // the broker's own view of these is shown
		"brainer_pubsub_channels", "brainer_pubsub_patterns",
		"brainer_replay_bytes_per_second", "brainer_replay_paced_bytes_per_second", "brainer_replay_writes_paced", // brainer-cli status shows them
		"brainer_reads_hedged_won_total", "brainer_hedge_delay_seconds", "brainer_near_cache_bytes", "brainer_hot_keys_spread",
		"brainer_verify_passes_total", "brainer_verify_ranges_total", "brainer_verify_last_equal_timestamp_seconds",
		"brainer_verify_mismatches_total", // each is among the digest mismatches
		"brainer_snapshot_running", "brainer_snapshot_last_duration_seconds", "brainer_snapshot_last_bytes", "brainer_snapshot_last_keys",
		"brainer_snapshots_saved_total", "brainer_snapshot_failures_total", // the alert is about what is missing
		"brainer_disk_errors_total", "brainer_disk_snapshots_total", "brainer_disk_load_bytes_done", "brainer_disk_load_bytes_expected",
		"brainer_keys_nominated_total", "brainer_writes_sent_ahead_total",
		"brainer_node_ids", "brainer_node_ids_answered_total", "brainer_replica_ids", "brainer_replica_ids_answered_total",
	}
	var text strings.Builder
	for _, q := range queries(t) {
		text.WriteString(q.expr + "\n")
	}
	broker, node := metrics.Catalogue()
	for _, m := range append(broker, node...) {
		used := slices.ContainsFunc(m.SeriesNames(), func(s string) bool {
			return regexp.MustCompile(`\b` + s + `\b`).MatchString(text.String())
		})
		if used == slices.Contains(leftOut, m.Name) {
			t.Errorf("%s: used in a query: %v; listed as left out: %v", m.Name, used, !used)
		}
	}
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s (make deps-test installs it): %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPromtoolAcceptsRulesAndConfiguration(t *testing.T) {
	promtool(t, "check", "rules", "--lint=all", "--lint-fatal", "prometheus/rules.yaml")
	promtool(t, "check", "config", "prometheus/prometheus.yml")
	promtool(t, "test", "rules", "prometheus/rules_test.yaml")
}

// The dashboard's queries are PromQL: promtool reads them as if they were recording rules.
func TestPromtoolAcceptsTheDashboardsQueries(t *testing.T) {
	var rules []map[string]string
	for i, q := range queries(t) {
		expr := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*").Replace(q.expr)
		rules = append(rules, map[string]string{"record": fmt.Sprintf("query:%d", i), "expr": expr})
	}
	b, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", "--lint=none", file)
}

// Each alert says what is wrong, what that means and what to do, and a unit test shows it firing.
func TestEveryAlertIsExplainedAndShown(t *testing.T) {
	unit := read(t, "prometheus/rules_test.yaml")
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		for _, a := range []string{"summary", "description", "action"} {
			if len(r.Annotations[a]) < 20 {
				t.Errorf("%s: annotation %s is %q", r.Alert, a, r.Annotations[a])
			}
		}
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
		if !strings.Contains(unit, `ALERTS{alertname="`+r.Alert+`",alertstate="firing"`) {
			t.Errorf("%s: rules_test.yaml does not show it firing", r.Alert)
		}
	}
}

func TestPanelsAreDistinctAndDoNotOverlap(t *testing.T) {
	ids := map[int]string{}
	cells := map[[2]int]string{}
	for _, p := range panels(t) {
		if other, taken := ids[p.ID]; taken {
			t.Errorf("%s and %s have the id %d", p.Title, other, p.ID)
		}
		ids[p.ID] = p.Title
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s has no query", p.Title)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				cell := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, taken := cells[cell]; taken {
					t.Fatalf("%s lies over %s", p.Title, other)
				}
				if cell[0] >= 24 {
					t.Fatalf("%s is wider than the dashboard", p.Title)
				}
				cells[cell] = p.Title
			}
		}
	}
}
