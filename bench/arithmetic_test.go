//go:build linux

package main

import (
	"strings"
	"testing"
	"time"
)

func values(of ...float64) []sample {
	var s []sample
	for _, v := range of {
		s = append(s, sample{Value: v})
	}
	return s
}

func TestMedianIsTheMiddleOrTheMeanOfTheTwoInTheMiddle(t *testing.T) {
	for _, c := range []struct {
		of   []float64
		want float64
	}{
		{[]float64{7}, 7},
		{[]float64{9, 1}, 5},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 3, 100, 1}, 3.5},
	} {
		if got := median(c.of); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.of, got, c.want)
		}
	}
}

// The machine may be twice as fast in the second pair as in the first: the ratio of the medians
// would be 1.5, every pair says 2 or less.
func TestRatiosAreTakenPairByPair(t *testing.T) {
	x := result{Unit: "op/s", Ours: values(100, 400, 300), Peer: values(50, 200, 200), Goal: goal{AtLeast: 1.8}}
	if got, want := x.ratio(), "**2.00** (1.50–2.00)"; got != want {
		t.Errorf("ratio %s, want %s", got, want)
	}
	if got, want := x.verdict(), "reached by the median"; got != want {
		t.Errorf("verdict %q, want %q", got, want)
	}
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name       string
		ours, peer []sample
		goal       goal
		want       string
	}{
		{"no goal", values(1), values(1), goal{}, ""},
		{"at least", values(6), values(10), goal{AtLeast: 0.6}, "reached"},
		{"not even that", values(5.9), values(10), goal{AtLeast: 0.6}, "missed"},
		{"at most", values(3), values(1), goal{AtMost: 3}, "reached"},
		{"longer than that", values(3.1), values(1), goal{AtMost: 3}, "missed"},
		{"our own value, whatever the peer's", values(0.9), values(0.1), goal{Below: 1}, "reached"},
		{"our own value is too large", values(1), values(5), goal{Below: 1}, "missed"},
		{"nothing measured", nil, nil, goal{AtLeast: 1}, ""},
	} {
		if got := (result{Ours: c.ours, Peer: c.peer, Goal: c.goal}).verdict(); got != c.want {
			t.Errorf("%s: verdict %q, want %q", c.name, got, c.want)
		}
	}
}

func TestNumbersHaveThreeDigitsOrMore(t *testing.T) {
	for v, want := range map[float64]string{0.1234: "0.123", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 1234567: "1,234,567", 999: "999", 1000: "1,000"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestCPUIsSharedAmongTheCommands(t *testing.T) {
	start := time.Now()
	from := meters{at: start, system: map[string]time.Duration{"broker": time.Second, "node": 0}, generator: time.Second, busy: 10 * time.Second}
	to := meters{at: start.Add(time.Second), system: map[string]time.Duration{"broker": 1200 * time.Millisecond, "node": 300 * time.Millisecond},
		generator: 1100 * time.Millisecond, busy: 10*time.Second + 600*time.Millisecond + time.Duration(cpus())*100*time.Millisecond}
	var s sample
	s.account(from, to, 10_000)
	if s.CPU["broker"] != 20 || s.CPU["node"] != 30 || s.allCPU() != 50 || s.Generator != 10 {
		t.Errorf("µs per command: %v, generator %v, want broker 20, node 30, generator 10", s.CPU, s.Generator)
	}
	if s.Others < 9.99 || s.Others > 10.01 {
		t.Errorf("others used %v %% of the machine, want 10", s.Others)
	}
	x := result{Ours: []sample{s}}
	if got, want := cpu(x.Ours), "50.00 (broker 20.00, node 30.00)"; got != want {
		t.Errorf("cpu %q, want %q", got, want)
	}
}

func TestAReportSaysWhatIsInvalid(t *testing.T) {
	r := report{Results: []result{{Name: "get", Ours: []sample{{Value: 10, Errors: 3, FirstError: "-LOADING"}}, Peer: values(20)}}}
	text := r.markdown()
	for _, want := range []string{"| get | 10.0", "**0.50** (0.50–0.50)", "**INVALID**: 3 errors in a run, first: -LOADING"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
}

func TestRowsAreChosenByTheirWholeName(t *testing.T) {
	rows := allRows(options{keys: 1000, threads: 1})
	for pattern, want := range map[string]string{"get": "get", "get|set-p16": "get set-p16", "join.*": "join join-log"} {
		chosen, err := choose(rows, pattern)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, r := range chosen {
			names = append(names, r.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("-rows %s chooses %s, want %s", pattern, got, want)
		}
	}
	if _, err := choose(rows, "nothing"); err == nil {
		t.Error("a pattern that matches no row is accepted")
	}
	chosen, err := choose(rows, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range chosen {
		if r.Extra {
			t.Errorf("%s is measured without being asked for", r.Name)
		}
		if _, ok := systems[r.Ours.System]; !ok {
			t.Errorf("%s: no system %q", r.Name, r.Ours.System)
		}
	}
}
