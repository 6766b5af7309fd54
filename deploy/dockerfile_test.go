package deploy

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The image's build commands, run as the Dockerfile gives them on what it copies. (An engine is not
// needed: what apt-get does there, make deps does here.)
func TestDockerfileBuildCommandsBuild(t *testing.T) {
	ignored := strings.Fields(read(t, "../.dockerignore"))
	src, out := t.TempDir(), t.TempDir()
	env := os.Environ()
	ran, stage := 0, 0
	for _, line := range dockerfileLines(t) {
		instruction, rest, _ := strings.Cut(line, " ")
		switch instruction {
		case "FROM":
			stage++
		case "ARG":
			env = append(env, rest)
		case "COPY":
			if stage == 1 {
				copied(t, strings.Fields(rest), src, ignored)
			}
		case "RUN":
			if !strings.Contains(rest, "go ") || strings.Contains(rest, "apt-get") {
				continue
			}
			ran++
			cmd := exec.Command("sh", "-c", strings.ReplaceAll(rest, "/out/", out+"/"))
			cmd.Dir, cmd.Env = src, env
			if msg, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("RUN %s: %v\n%s", rest, err, msg)
			}
		}
	}
	if ran != 2 {
		t.Errorf("%d build commands were run, not go mod download and go build", ran)
	}
	for _, b := range binaries {
		msg, err := exec.Command(filepath.Join(out, b), "--version").CombinedOutput()
		if err != nil || !strings.Contains(string(msg), "dev") {
			t.Errorf("%s --version: %v\n%s", b, err, msg)
		}
	}
}

// copied does what COPY does: the last of args is the destination, what is ignored stays out.
func copied(t *testing.T, args []string, dst string, ignored []string) {
	t.Helper()
	for _, from := range args[:len(args)-1] {
		err := filepath.WalkDir(filepath.Join("..", from), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name, err := filepath.Rel("..", path)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(ignored, func(p string) bool { m, _ := filepath.Match(p, name); return m }) {
				if d.IsDir() {
					return filepath.SkipDir
				}
				return nil
			}
			if d.IsDir() {
				return os.MkdirAll(filepath.Join(dst, name), 0o755)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dst, name), b, 0o644)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// What matters to a person who runs the image.
func TestImageIsSmallSafeAndStopsCleanly(t *testing.T) {
	lines := dockerfileLines(t)
	for _, want := range []string{"STOPSIGNAL SIGTERM", "VOLUME /var/lib/brainer", "USER 10001:10001"} {
		if !slices.Contains(lines, want) {
			t.Errorf("the Dockerfile has no %s", want)
		}
	}
	var bases []string
	for _, l := range lines {
		if from, ok := strings.CutPrefix(l, "FROM "); ok {
			bases = append(bases, from)
		}
	}
	if len(bases) != 2 || bases[1] != "debian:bookworm-slim" {
		t.Errorf("stages: %q", bases)
	}
}
