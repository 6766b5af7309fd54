package deploy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// compose.yaml's processes, started here with its own command lines: only the addresses are those of
// this machine, the ports the system's choice, and volumes directories. Its health checks are run, and the image's.
func TestComposeStartsAClusterThatWorks(t *testing.T) {
	env := append(os.Environ(), "BRAINER_REQUIREPASS=secret")
	volumes := map[string]string{}
	for _, c := range composeCommands(t) {
		volumes[c.where] = t.TempDir()
	}
	t.Run("empty", func(t *testing.T) {
		broker := composed(t, env, volumes)
		if out := run(t, env, "brainer-cli", broker, "SET", "k", "v"); out != "OK" {
			t.Errorf("SET: %q", out)
		}
		if out := run(t, env, "brainer-cli", broker, "BGSAVE"); !strings.Contains(out, "started") {
			t.Errorf("BGSAVE: %q", out)
		}
		snapshots := filepath.Join(volumes["compose.yaml: broker"], "snapshots", "brainer-*")
		await(t, "brainer-", func() string { names, _ := filepath.Glob(snapshots); return strings.Join(names, " ") })
	})
	t.Run("again, from its volumes", func(t *testing.T) {
		if out := run(t, env, "brainer-cli", composed(t, env, volumes), "GET", "k"); out != "v" {
			t.Errorf("GET: %q", out)
		}
	})
}

// composed starts the processes until the test ends, has everything checked, and returns the broker's address for clients.
func composed(t *testing.T, env []string, volumes map[string]string) (broker string) {
	t.Helper()
	var endpoint, redis, metrics string
	var nodes []string // their own endpoints
	var checks []command
	for _, c := range composeCommands(t) {
		switch c.args[0] {
		case "run_broker":
			said := startProcess(t, env, "broker starts", "run_broker", local(c.args[1:], "", volumes[c.where])...)
			endpoint, redis, metrics = said["broker"], said["listen"], said["metrics"]
		case "run_node":
			said := startProcess(t, env, "node starts", "run_node", local(c.args[1:], endpoint, volumes[c.where])...)
			nodes = append(nodes, said["endpoint"])
		case "brainer-cli":
			checks = append(checks, c)
		}
	}
	await(t, "ready", func() string { return page("http://" + metrics + "/readyz") })
	await(t, "\nbrainer_nodes_in_sync 3\n", func() string { return page("http://" + metrics + "/metrics") })

	for _, c := range dockerfileCommands(t) {
		if c.args[0] != "brainer-cli" {
			continue
		}
		line := strings.ReplaceAll(strings.Join(c.args, " "), "127.0.0.1:6379", redis)
		if out := run(t, env, "sh", "-c", line); out != "PONG" {
			t.Errorf("the image's health check: %q", out)
		}
	}
	// A node's check goes to the node's own endpoint, which answers for itself.
	if len(nodes) != 3 || len(checks) != 3 {
		t.Fatalf("%d nodes, %d health checks, want 3", len(nodes), len(checks))
	}
	for i, c := range checks {
		args := local(c.args[1:], nodes[i], "")
		await(t, "in_sync:true", func() string { return run(t, env, "brainer-cli", args...) }) // it hears of it with the next turn
	}
	return "redis://:secret@" + redis
}

var (
	dialled = regexp.MustCompile(`tcp://(broker|127\.0\.0\.1):9620`)
	bound   = regexp.MustCompile(`tcp://0\.0\.0\.0:\d+`)
	served  = regexp.MustCompile(`0\.0\.0\.0:\d+`)
)

// local puts this machine's addresses into a container's command line, and a directory for its volume.
func local(args []string, peer, volume string) (on []string) {
	for _, a := range args {
		a = strings.ReplaceAll(a, "/var/lib/brainer", volume)
		a = dialled.ReplaceAllString(a, peer)
		a = bound.ReplaceAllString(a, "tcp://127.0.0.1:*")
		on = append(on, served.ReplaceAllString(a, "127.0.0.1:0"))
	}
	return on
}

// startProcess starts one of our daemons, ends it with the test, and returns what its line msg says.
func startProcess(t *testing.T, env []string, msg, binary string, args ...string) map[string]string {
	t.Helper()
	cmd := exec.Command(filepath.Join(builtBinaries(t), binary), args...)
	cmd.Env = env
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make(chan map[string]string, 1)
	logged := make(chan struct{})
	var all strings.Builder // read after logged
	go func() {
		defer close(logged)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			fmt.Fprintln(&all, lines.Text())
			var fields map[string]any
			if json.Unmarshal(lines.Bytes(), &fields) == nil && fields["msg"] == msg {
				texts := map[string]string{}
				for k, v := range fields {
					texts[k] = fmt.Sprint(v)
				}
				said <- texts
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(15*time.Second, func() { _ = cmd.Process.Kill() }) // stop_grace_period
		defer kill.Stop()
		<-logged
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("%s %q: %v\n%s", binary, args, err, all.String())
		}
	})
	select {
	case s := <-said:
		return s
	case <-logged:
		t.Fatalf("%s %q ended without saying %q", binary, args, msg)
	case <-time.After(patience):
		t.Fatalf("%s %q did not say %q", binary, args, msg)
	}
	return nil
}

func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	if path := filepath.Join(builtBinaries(t), name); name != "sh" {
		cmd = exec.Command(path, args...)
	}
	cmd.Env = append(env, "PATH="+binDir+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %q: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func page(url string) string {
	client := http.Client{Timeout: patience}
	resp, err := client.Get(url)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return string(b)
}

// patience is how long a test waits for what must happen: it costs nothing when it does.
const patience = 30 * time.Second

// await asks until the answer contains want.
func await(t *testing.T, want string, ask func() string) {
	t.Helper()
	var last string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if last = ask(); strings.Contains(last, want) {
			return
		}
	}
	t.Fatalf("no %q after %s, last: %.2000s", want, patience, last)
}
