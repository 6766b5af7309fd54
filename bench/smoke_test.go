//go:build linux

package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestOneRowFromBuildToReport(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed (apt-get install redis-server): nothing to compare with")
	}
	temporary, out := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temporary)
	var stdout, stderr strings.Builder
	if err := command(context.Background(), []string{"-rows", "set", "-seconds", "0.2", "-repeat", "1", "-out", out}, &stdout, &stderr); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	files, err := filepath.Glob(filepath.Join(out, "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("reports %v, %v; want one", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Results) != 1 || len(r.Results[0].Ours) != 1 || len(r.Results[0].Peer) != 1 {
		t.Fatalf("want one row with one run of each side:\n%s", text)
	}
	for side, s := range map[string]sample{"ours": r.Results[0].Ours[0], "peer": r.Results[0].Peer[0]} {
		if s.Value <= 0 || s.P50 <= 0 || s.P99 < s.P50 || len(s.CPU) != 2 || s.Errors > 0 {
			t.Errorf("%s: %+v", side, s)
		}
	}
	if !strings.Contains(stdout.String(), "| set | ") {
		t.Errorf("no row in the table:\n%s", stdout.String())
	}
	left, err := os.ReadDir(temporary)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range left {
		if strings.HasPrefix(l.Name(), "brainer-bench-") {
			t.Errorf("left behind: %s", l.Name())
		}
	}
}
