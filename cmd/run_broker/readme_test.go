package main

import (
	"flag"
	"testing"

	"brainer/internal/readme"
)

var update = flag.Bool("update", false, "rewrite the table in README.md")

func TestReadmeListsTheFlags(t *testing.T) {
	want := readme.Flags(newCommand().LocalFlags())
	if *update {
		if err := readme.Replace("../../README.md", "flags:run_broker", want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readme.Block("../../README.md", "flags:run_broker")
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("README.md does not list the flags of run_broker as they are; make generate rewrites it. Want:\n%s", want)
	}
}
