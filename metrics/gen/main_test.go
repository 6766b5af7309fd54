package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
)

func TestTableReplacesOnlyTheBlock(t *testing.T) {
	is, err := withTable("head\n" + begin + "WAS\n" + end + "\ntail\n")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(is, "head\n"+begin) || !strings.HasSuffix(is, end+"\ntail\n") ||
		strings.Contains(is, "WAS") || !strings.Contains(is, "| `brainer_node_up` | gauge | `node` |") {
		t.Errorf("%.300s", is)
	}
	if again, _ := withTable(is); again != is {
		t.Error("a second run changes the document")
	}
	if _, err := withTable("no block\n"); err == nil {
		t.Error("a document without the block is accepted")
	}
}

func TestReadmeHasTheTable(t *testing.T) {
	const readme = "../../README.md"
	was, err := os.ReadFile(readme)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	is, err := withTable(string(was))
	if err != nil {
		t.Fatal(err)
	}
	if is != string(was) {
		t.Error("README.md's metrics table is not what metrics/ says: make generate")
	}
}
