// Command gen rewrites the metrics table of a document: what stands between the lines
// <!-- metrics:begin --> and <!-- metrics:end -->.
//
//	go run ./metrics/gen README.md
package main

import (
	"fmt"
	"os"
	"strings"

	"brainer/metrics"
)

const (
	begin = "<!-- metrics:begin -->\n"
	end   = "<!-- metrics:end -->"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen FILE")
		os.Exit(2)
	}
	if err := update(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func update(file string) error {
	was, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	is, err := withTable(string(was))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if is == string(was) {
		return nil
	}
	return os.WriteFile(file, []byte(is), 0o644)
}

// withTable returns the document with the table as it has to be.
func withTable(document string) (string, error) {
	before, rest, found := strings.Cut(document, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return "", fmt.Errorf("there is no block between the lines %q and %q", strings.TrimSpace(begin), end)
	}
	return before + begin + metrics.Table() + end + after, nil
}
