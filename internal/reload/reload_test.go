package reload

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestEachChangeIsSaidOnce(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(a, "1")
	f := Watch(a, b)
	now := time.Now()
	for _, step := range []struct {
		what   string
		change func()
		want   bool
	}{
		{"nothing", func() {}, false},
		{"longer", func() { write(a, "12") }, true},
		{"nothing", func() {}, false},
		{"comes", func() { write(b, "x") }, true},
		{"another file of the same size and time", func() {
			info, err := os.Stat(a)
			if err != nil {
				t.Fatal(err)
			}
			write(a+".new", "34")
			if err := os.Chtimes(a+".new", info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(a+".new", a); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"goes", func() { os.Remove(b) }, true},
		{"nothing", func() {}, false},
	} {
		step.change()
		now = now.Add(lookEvery)
		if got := f.changed(now); got != step.want {
			t.Errorf("%s: %v", step.what, got)
		}
		if f.changed(now) {
			t.Errorf("%s: said again", step.what)
		}
	}
	write(a, "soon")
	if f.changed(now.Add(lookEvery - 1)) {
		t.Error("looked too early")
	}
}
