// Package readme keeps what README.md derives from code true: tests compare, make generate rewrites.
package readme

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// Block returns what stands between the lines <!-- name:begin --> and <!-- name:end --> of a file.
func Block(file, name string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	_, rest, found := strings.Cut(string(b), begin(name))
	block, _, closed := strings.Cut(rest, end(name))
	if !found || !closed {
		return "", fmt.Errorf("%s: there is no block between %q and %q", file, begin(name), end(name))
	}
	return block, nil
}

// Replace puts text into the block.
func Replace(file, name, text string) error {
	old, err := Block(file, name)
	if err != nil || old == text {
		return err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	s := strings.Replace(string(b), begin(name)+old+end(name), begin(name)+text+end(name), 1)
	return os.WriteFile(file, []byte(s), 0o644)
}

func begin(name string) string { return "<!-- " + name + ":begin -->\n" }
func end(name string) string   { return "<!-- " + name + ":end -->" }

// Flags is a Markdown table of flags.
func Flags(f *pflag.FlagSet) string {
	var b strings.Builder
	b.WriteString("| flag | default | meaning |\n|---|---|---|\n")
	f.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || f.Name == "version" {
			return
		}
		_, usage := pflag.UnquoteUsage(f)
		def := "`" + f.DefValue + "`"
		if f.DefValue == "" {
			def = ""
		}
		fmt.Fprintf(&b, "| `--%s` | %s | %s |\n", f.Name, def, strings.ReplaceAll(usage, "|", "\\|"))
	})
	return b.String()
}
