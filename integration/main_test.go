package integration

import (
	"bytes"
	"context"
	"encoding/json"
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

var planted = flag.String("plant", "", "build the broker with this mistake of replication.Fault, which TestChaos should find")

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
	if *planted != "" {
		overlay, err := plant(dir, *planted)
		if err != nil {
			return err
		}
		args = append(args, "-overlay", overlay)
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

// plant writes an overlay for the compiler in which the broker starts from settings with the mistake; the
// sources stay as they are.
func plant(dir, mistake string) (overlay string, err error) {
	original, err := filepath.Abs("../broker/replication/config.go")
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	const begin = "func DefaultConfig() Config {\n\treturn Config{\n"
	if bytes.Count(source, []byte(begin)) != 1 {
		return "", fmt.Errorf("plant: %q is not in %s", begin, original)
	}
	source = bytes.Replace(source, []byte(begin), fmt.Appendf(nil, "%s\t\tFault: Fault{%s: true},\n", begin, mistake), 1)
	replaced := filepath.Join(dir, "config.go")
	if err := os.WriteFile(replaced, source, 0o600); err != nil {
		return "", err
	}
	b, err := json.Marshal(map[string]map[string]string{"Replace": {original: replaced}})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, b, 0o600)
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
