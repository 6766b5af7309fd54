package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// prometheus is a real one that scrapes a broker (job "broker") and perhaps nodes (job "node").
type prometheus struct {
	t    testing.TB
	addr string
	http http.Client
}

// startPrometheus has one that scrapes every second, the time that a broker then has to answer: one that is late on a busy
// machine is down until the next, so what a test awaits must last. Without the program the test is skipped.
func startPrometheus(t testing.TB, broker string, nodes ...string) *prometheus {
	t.Helper()
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	targets, err := json.Marshal(nodes)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - {job_name: broker, static_configs: [{targets: [%q]}]}
`, broker)
	if len(nodes) > 0 {
		text += fmt.Sprintf("  - {job_name: node, static_configs: [{targets: %s}]}\n", targets)
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	pr := startPrometheusWith(t, config)
	await(t, "Prometheus has scraped the broker", func() (bool, string) {
		v := pr.query(`up{job="broker"}`)
		return len(v) == 1 && v[0].value == 1, fmt.Sprint(v)
	})
	return pr
}

// startPrometheusWith runs one with this configuration. Without the program the test is skipped.
func startPrometheusWith(t testing.TB, config string) *prometheus {
	t.Helper()
	p := start(t, "prometheus", installed(t, "prometheus", "prometheus"), "--config.file", config,
		"--storage.tsdb.path", filepath.Join(t.TempDir(), "data"), "--web.listen-address", "127.0.0.1:0", "--log.format", "logfmt")
	m := p.awaitLog(`msg="Listening on" address=(\S+)`)
	return &prometheus{t: t, addr: m[1], http: http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}}
}

// sample is one series' value at this moment.
type sample struct {
	labels map[string]string
	value  float64
}

// query evaluates an expression now.
func (p *prometheus) query(expression string) []sample {
	p.t.Helper()
	r, err := p.http.Get("http://" + p.addr + "/api/v1/query?query=" + url.QueryEscape(expression))
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode == http.StatusServiceUnavailable { // it is still starting
		return nil
	}
	var body struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	if body.Status == "error" {
		p.t.Fatalf("%s: %s", expression, body.Error)
	}
	var samples []sample
	for _, s := range body.Data.Result {
		v, err := strconv.ParseFloat(fmt.Sprint(s.Value[1]), 64)
		if err != nil {
			p.t.Fatalf("%s: %v", expression, err)
		}
		samples = append(samples, sample{s.Metric, v})
	}
	return samples
}

// awaitValue waits until the expression has one series with this value.
func (p *prometheus) awaitValue(expression string, want float64) {
	p.t.Helper()
	await(p.t, fmt.Sprintf("Prometheus says that %s is %v", expression, want), func() (bool, string) {
		v := p.query(expression)
		return len(v) == 1 && v[0].value == want, fmt.Sprint(v)
	})
}

// awaitTrue waits until the expression, a comparison, has a result.
func (p *prometheus) awaitTrue(expression string) {
	p.t.Helper()
	await(p.t, "Prometheus finds "+expression, func() (bool, string) {
		return len(p.query(expression)) > 0, "no series"
	})
}
