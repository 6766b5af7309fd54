package integration

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

// binaries is where TestMain has built run_broker, run_node and brainer-cli.
var binaries string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "brainer-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		os.Exit(1)
	}
	binaries = dir
	go spawn()
	os.Setenv("GORACE", "atexit_sleep_ms=0") // of the binaries, which otherwise take a second to end
	redis.SetLogger(quiet{})                 // the pool's complaints about a broker that is down on purpose
	code := 1
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, "integration: build:", err)
	} else {
		code = m.Run()
	}
	if code == 0 {
		if err := goleak.Find(goleak.IgnoreAnyFunction("brainer/integration.spawn")); err != nil {
			fmt.Fprintln(os.Stderr, "integration: the tests leave goroutines:", err)
			code = 1
		}
	}
	if n := survivors(); n > 0 {
		fmt.Fprintf(os.Stderr, "integration: %d processes were left running\n", n)
		code = 1
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func build(dir string) error {
	began := time.Now()
	args := []string{"build", "-o", dir + string(filepath.Separator)}
	if raceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "brainer/cmd/run_broker", "brainer/cmd/run_node", "brainer/cmd/brainer-cli")...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return err
	}
	if testing.Verbose() {
		fmt.Printf("built the binaries in %s\n", time.Since(began).Round(time.Millisecond))
	}
	return nil
}

// binary is the path of one of ours.
func binary(name string) string { return filepath.Join(binaries, name) }

// installed is the path of a program of the system's; without it the test is skipped.
func installed(t testing.TB, name, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed (apt-get install %s)", name, debianPackage)
	}
	return path
}
