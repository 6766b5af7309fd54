package newfile

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWhatWasThereStaysUntilTheNewOneIsWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	wants := func(when, want string, files int) {
		t.Helper()
		b, _ := os.ReadFile(path)
		entries, _ := os.ReadDir(filepath.Dir(path))
		if string(b) != want || len(entries) != files {
			t.Errorf("%s: %q, %v", when, b, entries)
		}
	}
	begin := func(text string) *File {
		t.Helper()
		f, err := Create(path)
		if err == nil {
			_, err = f.WriteString(text)
		}
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if err := begin("one").Commit(); err != nil {
		t.Fatal(err)
	}
	wants("first", "one", 1)
	f := begin("another")
	wants("while the second is written", "one", 2)
	if err := f.Abandon(); err != nil {
		t.Error(err)
	}
	wants("abandoned", "one", 1)
	begin("of a process that died, and longer").Close()
	if err := begin("two").Commit(); err != nil {
		t.Fatal(err)
	}
	wants("second", "two", 1)

	f = begin("three")
	f.Close()
	if f.Commit() == nil {
		t.Error("a file that cannot be synced was committed")
	}
	wants("after an error", "two", 1)
}
