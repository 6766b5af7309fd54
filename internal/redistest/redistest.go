// Package redistest starts a real redis-server for tests that compare Brainer with it, and talks to
// it byte for byte. It is for tests only.
package redistest

import (
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Start runs a redis-server of its own on a port the system chose, without persistence, in a
// temporary directory, and returns its address. It is killed when the test ends. args are further
// options ("--maxmemory-policy", "allkeys-lfu"). The test is skipped where redis-server is not
// installed.
func Start(t testing.TB, args ...string) (addr string) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed (apt-get install redis-server): nothing to compare with")
	}
	const attempts = 5 // another process may take the port between our choice and redis-server's bind
	for range attempts {
		addr, err = start(t, path, args)
		if err == nil {
			return addr
		}
	}
	t.Fatalf("start redis-server: %v", err)
	return ""
}

func start(t testing.TB, path string, args []string) (addr string, err error) {
	port, err := freePort()
	if err != nil {
		return "", err
	}
	var output strings.Builder
	cmd := exec.Command(path, append([]string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", t.TempDir(), "--daemonize", "no", "--enable-debug-command", "yes",
	}, args...)...)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return "", err
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // a killed process, or one that could not bind: the output tells
		close(exited)
	}()
	stop := func() {
		_ = cmd.Process.Kill() // fails only when it has exited
		<-exited
	}

	addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-exited:
			return "", fmt.Errorf("redis-server on port %d ended: %s", port, output.String())
		case <-deadline:
			stop()
			return "", fmt.Errorf("redis-server on port %d does not answer: %s", port, output.String())
		case <-tick.C:
		}
		if answers(addr, cmd.Process.Pid) {
			t.Cleanup(stop)
			return addr, nil
		}
	}
}

// answers says whether the redis-server at addr is ours, and ready.
func answers(addr string, pid int) bool {
	c, err := dial(addr)
	if err != nil {
		return false
	}
	defer c.Close()
	info, err := c.do("INFO", "server")
	return err == nil && strings.Contains(string(info), fmt.Sprintf("process_id:%d\r\n", pid))
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
