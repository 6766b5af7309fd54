package metrics

import (
	"flag"
	"testing"

	"brainer/internal/readme"
)

var update = flag.Bool("update", false, "rewrite the table in README.md")

func TestReadmeListsTheMetrics(t *testing.T) {
	const file, block = "../README.md", "metrics"
	want := Table()
	if *update {
		if err := readme.Replace(file, block, want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readme.Block(file, block)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("README.md does not list the metrics as they are; make generate rewrites it. Want:\n%s", want)
	}
}
