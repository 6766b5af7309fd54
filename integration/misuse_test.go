package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"brainer/internal/link/zmq"
	"brainer/internal/op"
	"brainer/internal/wire"
)

// TestWrongUseGetsOneLineThatNamesTheFlag runs the daemons as they cannot be run.
func TestWrongUseGetsOneLineThatNamesTheFlag(t *testing.T) {
	t.Parallel()
	c := startAlone(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	busy := taken.Addr().String()
	must(t, os.WriteFile(filepath.Join(c.dir, "file"), nil, 0o600))
	free := func(more ...string) []string { // flags of a broker that could run
		return append([]string{"--listen", "127.0.0.1:0", "--metrics", "", "--broker", "ipc://" + c.dir + "/free", "--state-dir", c.dir + "/free-state"}, more...)
	}
	node := func(more ...string) []string {
		return append([]string{"--node-endpoint", "ipc://" + c.dir + "/n", "--broker", c.brokerEndpoint()}, more...)
	}
	for _, test := range []struct {
		program string
		args    []string
		says    []string // all of them stand in the line
	}{
		{"run_broker", free("--listen", busy), []string{"--listen", busy, "another process has this address", "choose a free one"}},
		{"run_broker", free("--listen", "nonsense"), []string{"--listen", "nonsense"}},
		{"run_broker", free("--listen", "127.0.0.1:99999"), []string{"--listen", "99999"}},
		{"run_broker", free("--metrics", busy), []string{"--metrics", busy}},
		{"run_broker", free("--broker", c.brokerEndpoint()), []string{"--broker", c.brokerEndpoint()}},
		{"run_broker", free("--broker", "tcp://"+busy), []string{"--broker", busy}},
		{"run_broker", free("--broker", "ipc:///nonexistent/x"), []string{"--broker", "ipc:///nonexistent/x"}},
		{"run_broker", free("--broker", "foo://x"), []string{"--broker", "foo://x"}},
		{"run_broker", free("--broker", "nonsense"), []string{"--broker", "nonsense"}},
		{"run_broker", free("--broker", "ipc://"+strings.Repeat("/long", 40)), []string{"--broker"}},
		{"run_broker", free("--state-dir", c.stateDir()), []string{"--state-dir", c.stateDir(), "in use", "choose another"}},
		{"run_broker", free("--state-dir", c.dir+"/file"), []string{"--state-dir", "file"}},
		{"run_broker", free("--ack", "maybe"), []string{"--ack", "maybe"}},
		{"run_broker", free("--ack", "0"), []string{"--ack"}},
		{"run_broker", free("--min-in-sync", "0"), []string{"--min-in-sync"}},
		{"run_broker", free("--window-bytes", "5"), []string{"--window-bytes"}},
		{"run_broker", free("--suspect-after", "1ms"), []string{"--suspect-after"}},
		{"run_broker", free("--dead-after", "200ms"), []string{"--dead-after"}},
		{"run_broker", free("--ack-timeout", "1ms"), []string{"--ack-timeout"}},
		{"run_broker", free("--log-format", "xml"), []string{"--log-format", "xml"}},
		{"run_broker", free("--nosuch"), []string{"--nosuch"}},
		{"run_broker", free("--embedded=perhaps"), []string{"--embedded"}},
		{"run_broker", free("stray"), []string{"stray"}},
		{"run_node", node("--node-endpoint", ""), []string{"--node-endpoint"}},
		{"run_node", node("--node-endpoint", "ipc:///nonexistent/x"), []string{"--node-endpoint", "ipc:///nonexistent/x"}},
		{"run_node", node("--node-endpoint", "foo://x"), []string{"--node-endpoint", "foo://x"}},
		{"run_node", node("--node-endpoint", c.brokerEndpoint()), []string{"--node-endpoint", c.brokerEndpoint()}},
		{"run_node", node("--broker", "foo://x"), []string{"--broker", "foo://x"}},
		{"run_node", node("--metrics", busy), []string{"--metrics", busy}},
		{"run_node", node("--nosuch"), []string{"--nosuch"}},
	} {
		t.Run(test.program+" "+strings.Join(test.says, " "), func(t *testing.T) {
			out, code := run(t, binary(test.program), test.args...)
			if code != 1 {
				t.Errorf("exit code %d", code)
			}
			out = withoutLog(out)
			if strings.Count(out, "\n") != 0 || !strings.HasPrefix(out, test.program+": ") {
				t.Errorf("not one line of %s:\n%s", test.program, out)
			}
			for _, word := range test.says {
				if !strings.Contains(out, word) {
					t.Errorf("%q does not say %q", out, word)
				}
			}
		})
	}
	c.do("SET", "still", "here")
}

// TestADaemonThatCannotStartLeavesNoSocketFile: brainer-cli's completion would offer it.
func TestADaemonThatCannotStartLeavesNoSocketFile(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	path := filepath.Join(c.dir, "s")
	for program, args := range map[string][]string{
		"run_broker": {"--listen", "127.0.0.1:0", "--broker", "ipc://" + path, "--state-dir", c.stateDir()},
		"run_node":   {"--node-endpoint", "ipc://" + path, "--broker", c.brokerEndpoint()},
	} {
		out, code := run(t, binary(program), append(args, "--metrics", taken.Addr().String())...)
		if code != 1 || !strings.Contains(out, "--metrics") {
			t.Errorf("%s: exit code %d, %q", program, code, out)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s left %s", program, path)
			os.Remove(path)
		}
	}
}

// withoutLog leaves out what a daemon logged before it found out.
func withoutLog(out string) string {
	lines := slices.DeleteFunc(strings.Split(out, "\n"), func(l string) bool { return strings.HasPrefix(l, "time=") })
	return strings.Join(lines, "\n")
}

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	for program, flags := range map[string][]string{
		"run_broker": {"--broker", "--listen", "--metrics", "--ack", "--min-in-sync", "--embedded", "--state-dir", "--debug", "--version"},
		"run_node":   {"--node-endpoint", "--broker", "--id", "--metrics", "--debug", "--version"},
	} {
		out, code := run(t, binary(program), "--help")
		if code != 0 {
			t.Errorf("%s --help: exit code %d", program, code)
		}
		for _, flag := range flags {
			if !strings.Contains(out, flag) {
				t.Errorf("%s --help does not name %s", program, flag)
			}
		}
		out, code = run(t, binary(program), "--version")
		if code != 0 || !strings.HasPrefix(out, program+" ") || strings.Contains(out, "\n") {
			t.Errorf("%s --version: %d %q", program, code, out)
		}
	}
}

func TestFlagsFromTheEnvironment(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	cmd := exec.Command(binary("run_broker"), "--state-dir", c.stateDir())
	cmd.Env = append(os.Environ(), "BRAINER_LISTEN=127.0.0.1:0", "BRAINER_METRICS=127.0.0.1:0", "BRAINER_BROKER="+c.brokerEndpoint(),
		"BRAINER_STATE_DIR=/nonexistent", "BRAINER_MIN_IN_SYNC=1", "BRAINER_LOG_FORMAT=json")
	p := startCommand(t, "broker", cmd)
	m := p.awaitLog(`"msg":"broker starts".*"listen":"([^"]+)"`)
	if reply, err := exchange(m[1], "ECHO here\r\n"); reply != "$4\r\nhere\r\n" {
		t.Errorf("ECHO: %q %v", reply, err)
	}
	cmd = exec.Command(binary("run_broker"))
	cmd.Env = append(os.Environ(), "BRAINER_MIN_IN_SYNC=none")
	p = startCommand(t, "broker2", cmd)
	if code := p.exit(); code != 1 || !strings.Contains(p.output(), "BRAINER_MIN_IN_SYNC") && !strings.Contains(p.output(), "min-in-sync") {
		t.Errorf("a wrong value in the environment: exit code %d, %q", code, p.output())
	}
}

func TestFlagsFromAFile(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	file := filepath.Join(c.dir, "brainer.yaml")
	must(t, os.WriteFile(file, []byte("listen: 127.0.0.1:0\nmetrics: 127.0.0.1:0\nbroker: "+c.brokerEndpoint()+"\nstate-dir: /nonexistent\nlog-format: text\n"), 0o600))
	cmd := exec.Command(binary("run_broker"), "--config", file, "--state-dir", c.stateDir())
	cmd.Env = append(os.Environ(), "BRAINER_LOG_FORMAT=json") // the environment goes before the file
	p := startCommand(t, "broker", cmd)
	m := p.awaitLog(`"msg":"broker starts".*"listen":"([^"]+)"`)
	if reply, err := exchange(m[1], "ECHO here\r\n"); reply != "$4\r\nhere\r\n" {
		t.Errorf("ECHO: %q %v", reply, err)
	}
	must(t, os.WriteFile(file, []byte("lissten: 127.0.0.1:0\n"), 0o600))
	out, code := run(t, binary("run_broker"), "--config", file)
	if code != 1 || !strings.Contains(out, "lissten") || strings.Contains(out, "\n") {
		t.Errorf("an unknown name in the file: exit code %d, %q", code, out)
	}
	out, code = run(t, binary("run_broker"), "--config", file+".nosuch")
	if code != 1 || !strings.Contains(out, file+".nosuch") || strings.Contains(out, "\n") {
		t.Errorf("no such file: exit code %d, %q", code, out)
	}
}

// TestANodeWithoutABrokerSaysSo: in its log and to brainer-cli, and both are over once there is a broker.
func TestANodeWithoutABrokerSaysSo(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	n := c.startNode("n1")
	n.awaitLog(`no broker answers.*broker="?` + c.brokerEndpoint())
	s := c.nodeStatus("n1").Nodes[0]
	if s.State != "down" || !strings.Contains(s.Reason, c.brokerEndpoint()) {
		t.Errorf("its own status: state %q, reason %q", s.State, s.Reason)
	}
	c.startBroker("--embedded=false")
	n.awaitLog(`the broker answers`)
	c.awaitInSync(1)
	await(t, "the node to know that it is live", func() (bool, string) {
		s := c.nodeStatus("n1").Nodes[0]
		return s.State == "live" && s.Reason == "", s.State + " " + s.Reason
	})
}

func TestTwoNodesWithOneID(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	c.do("SET", "k", "v")
	args := []string{"--node-endpoint", "ipc://" + c.dir + "/other", "--broker", c.brokerEndpoint(), "--id", "n1"}
	twin := start(t, "twin", binary("run_node"), args...)
	twin.awaitLog(`level=ERROR msg="refused by the broker".*another node with id n1 is alive.*--id`)
	c.awaitNodes("n1", "n2")
	c.do("SET", "k", "w")
	c.awaitLevel()
	if !twin.alive() {
		t.Fatal("the second one gave up")
	}
	c.nodes["n1"].kill()
	c.awaitStatus("the second one takes the place", func(s op.Status) bool {
		return nodeOf(s, "n1").InSync && strings.HasSuffix(nodeOf(s, "n1").Endpoint, "/other")
	})
}

func TestANodeOfAnotherProtocolVersion(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	transport, err := zmq.New(zmq.Options{IOThreads: 1})
	must(t, err)
	defer transport.Close()
	dealer, err := transport.Dial(c.brokerEndpoint(), "from-the-future")
	must(t, err)
	defer dealer.Close()
	hello := wire.Hello{NodeID: "future", Incarnation: 1, DataID: 1}.Append(nil, wire.Header{Session: 7, Version: wire.Version + 1})
	await(t, "the hello goes out", func() (bool, string) {
		err := dealer.Send(hello)
		return err == nil, fmt.Sprint(err)
	})
	var reject wire.Reject
	await(t, "it is refused", func() (bool, string) {
		frame, err := dealer.Recv()
		if err != nil {
			return false, err.Error()
		}
		h, body, err := wire.Decode(frame)
		if err != nil || h.Type != wire.TReject {
			return false, fmt.Sprint(h, err)
		}
		reject, err = wire.DecodeReject(body)
		return err == nil, fmt.Sprint(err)
	})
	if reject.Retry || !strings.Contains(reject.Reason, "version") {
		t.Errorf("rejected with %+v", reject)
	}
	c.broker.awaitLog(`level=WARN msg="node refused".*version`)
	c.do("SET", "k", "v")
}

// TestGarbageOnTheNodeSocket sends frames that look like the protocol's and are not.
func TestGarbageOnTheNodeSocket(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	transport, err := zmq.New(zmq.Options{IOThreads: 1})
	must(t, err)
	defer transport.Close()
	dealer, err := transport.Dial(c.brokerEndpoint(), "noise")
	must(t, err)
	defer dealer.Close()
	good := wire.Hello{NodeID: "x", Incarnation: 1, DataID: 1}.Append(nil, wire.Header{Session: 7})
	send := func(b []byte) {
		await(t, "a frame goes out", func() (bool, string) {
			err := dealer.Send(b)
			return err == nil, fmt.Sprint(err)
		})
	}
	for i := range good {
		torn := append([]byte(nil), good...)
		torn[i] ^= 0x55
		send(torn)
		send(good[:i])
	}
	send(nil)
	send([]byte("*1\r\n$9223372036854775807\r\nxxxxxxx"))
	c.do("SET", "k", "v")
	c.awaitInSync(2)
	c.awaitLevel()
	// A plain TCP peer that does not speak ZeroMQ, on the path of the socket.
	conn, err := net.DialTimeout("unix", strings.TrimPrefix(c.brokerEndpoint(), "ipc://"), 5*time.Second)
	must(t, err)
	defer conn.Close()
	fmt.Fprint(conn, strings.Repeat("GET / HTTP/1.0\r\n\r\n", 1000))
	c.do("SET", "k", "w")
	c.awaitLevel()
	c.sameOnAll(map[string]string{"k": "w"}, "n1", "n2")
}
