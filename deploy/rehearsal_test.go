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
// this machine, and the ports the system's choice. Its health checks are run, and the image's.
func TestComposeStartsAClusterThatWorks(t *testing.T) {
	commands := composeCommands(t)
	env := append(os.Environ(), "BRAINER_REQUIREPASS=secret")
	var endpoint, redis, metrics string
	var nodes []string // their own endpoints
	var checks []command
	for _, c := range commands {
		switch c.args[0] {
		case "run_broker":
			args := local(c.args[1:], "")
			for i, a := range args {
				if strings.HasPrefix(a, "--state-dir=") {
					args[i] = "--state-dir=" + t.TempDir()
				}
			}
			said := startProcess(t, env, "broker starts", "run_broker", args...)
			endpoint, redis, metrics = said["broker"], said["listen"], said["metrics"]
		case "run_node":
			said := startProcess(t, env, "node starts", "run_node", local(c.args[1:], endpoint)...)
			nodes = append(nodes, said["endpoint"])
		case "brainer-cli":
			checks = append(checks, c)
		}
	}
	await(t, "ready", func() string { return page("http://" + metrics + "/readyz") })
	await(t, "\nbrainer_nodes_in_sync 3\n", func() string { return page("http://" + metrics + "/metrics") })

	broker := "redis://:secret@" + redis
	if out := run(t, env, "brainer-cli", broker, "SET", "k", "v"); out != "OK" {
		t.Errorf("SET: %q", out)
	}
	if out := run(t, env, "brainer-cli", broker, "GET", "k"); out != "v" {
		t.Errorf("GET: %q", out)
	}

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
		args := local(c.args[1:], nodes[i])
		if out := run(t, env, "brainer-cli", args...); !strings.Contains(out, "in_sync:true") {
			t.Errorf("%s: %q", c.where, out)
		}
	}
}

var (
	dialled = regexp.MustCompile(`tcp://(broker|127\.0\.0\.1):9620`)
	bound   = regexp.MustCompile(`tcp://0\.0\.0\.0:\d+`)
	served  = regexp.MustCompile(`0\.0\.0\.0:\d+`)
)

// local puts this machine's addresses into a container's command line.
func local(args []string, peer string) (on []string) {
	for _, a := range args {
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
	case <-time.After(20 * time.Second):
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
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return string(b)
}

// await asks until the answer contains want.
func await(t *testing.T, want string, ask func() string) {
	t.Helper()
	var last string
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if last = ask(); strings.Contains(last, want) {
			return
		}
	}
	t.Fatalf("no %q after 30 s, last: %.2000s", want, last)
}
