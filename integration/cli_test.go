package integration

import (
	"os"
	"strings"
	"testing"

	"brainer/internal/op"
)

// cli runs brainer-cli and returns what it prints and its exit code.
func cli(t testing.TB, args ...string) (string, int) {
	t.Helper()
	return run(t, binary("brainer-cli"), args...)
}

func TestBrainerCLI(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	for _, endpoint := range []string{c.brokerEndpoint(), "redis://" + c.addr} {
		for _, test := range []struct {
			args []string
			want string
			code int
		}{
			{[]string{"set", "mykey", "myvalue"}, "OK", 0},
			{[]string{"get", "mykey"}, "myvalue", 0},
			{[]string{"set", "mykey", "other", "--wait-all=false"}, "OK", 0},
			{[]string{"get", "mykey"}, "other", 0},
			{[]string{"set", "brief", "x", "--expire", "10000"}, "OK", 0},
			{[]string{"EXPIRE", "brief", "9000", "GT"}, "0", 0}, // so it has one, and a later one
			{[]string{"EXPIRE", "brief", "11000", "GT"}, "1", 0},
			{[]string{"remove", "mykey"}, "", 0},
			{[]string{"get", "mykey"}, "", 1},
			{[]string{"remove", "mykey"}, "", 1},
			{[]string{"INCRBY", "visits", "-5"}, "-5", 0},
			{[]string{"DEL", "visits", "brief"}, "2", 0},
			{[]string{"NOSUCH"}, "ERR unknown command", 1},
		} {
			out, code := cli(t, append([]string{endpoint}, test.args...)...)
			if code != test.code || test.want != "" && !strings.Contains(out, test.want) {
				t.Errorf("brainer-cli %s %q: %q, exit code %d; want %q, %d", endpoint, test.args, out, code, test.want, test.code)
			}
		}
		out, code := cli(t, endpoint, "status")
		if code != 0 || !strings.Contains(out, "n1") || !strings.Contains(out, "n2") {
			t.Errorf("status at %s: exit code %d\n%s", endpoint, code, out)
		}
	}
	c.do("SET", "k", "v")
	c.awaitLevel()
	if out, code := cli(t, c.nodeEndpoint("n2"), "get", "k"); out != "v" || code != 0 {
		t.Errorf("get at n2: %q, exit code %d", out, code)
	}
	if out, code := cli(t, c.nodeEndpoint("n2"), "set", "k", "w"); code != 1 || strings.Contains(out, "\n") {
		t.Errorf("set at n2: %q, exit code %d", out, code)
	}
	if out, code := cli(t, c.nodeEndpoint("n2"), "status"); code != 0 || !strings.Contains(out, "n2") {
		t.Errorf("status at n2: %q, exit code %d", out, code)
	}
	if out, code := cli(t, "ipc://"+c.dir+"/nobody", "get", "k"); code != 3 || strings.Contains(out, "\n") {
		t.Errorf("nobody there: %q, exit code %d", out, code)
	}
}

// TestAnOperatorBeginsAnewWhenAllCopiesAreGone follows the words of the error.
func TestAnOperatorBeginsAnewWhenAllCopiesAreGone(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	c.do("SET", "k", "v")
	c.broker.kill()
	c.nodes["n1"].kill()
	c.nodes["n2"].kill()
	c.startBroker()
	c.startNode("n1") // empty: not what the record names
	c.awaitStatus("the broker says that no copy is left, and what can be done", func(s op.Status) bool {
		return s.State == "down" && strings.Contains(s.Detail, "recover --from NODE | --empty")
	})
	if out, code := cli(t, c.brokerEndpoint(), "recover", "--empty"); code != 0 {
		t.Fatalf("recover --empty: exit code %d, %q", code, out)
	}
	c.awaitInSync(1)
	if n := c.do("DBSIZE"); n != int64(0) {
		t.Errorf("DBSIZE %v", n)
	}
	c.do("SET", "k", "anew")
	c.startNode("n2")
	c.awaitNodes("n1", "n2")
	c.awaitLevel()
	c.sameOnAll(map[string]string{"k": "anew"}, "n1", "n2")
}

// TestAnOperatorNamesTheTruthWhenTheRecordIsLost: nodes with data and a broker without its record.
func TestAnOperatorNamesTheTruthWhenTheRecordIsLost(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	c.do("SET", "k", "v")
	c.awaitLevel()
	c.broker.kill()
	must(t, os.RemoveAll(c.stateDir()))
	c.startBroker()
	c.awaitStatus("the broker waits for an operator", func(s op.Status) bool {
		return strings.Contains(s.Detail, "n1") && strings.Contains(s.Detail, "n2")
	})
	if err := c.control.Set(ctxOf(t), "k", "w", 0).Err(); err == nil {
		t.Error("SET is accepted while nobody knows the truth")
	}
	if out, code := cli(t, c.brokerEndpoint(), "recover", "--from", "n2"); code != 0 {
		t.Fatalf("recover --from n2: exit code %d, %q", code, out)
	}
	c.awaitNodes("n1", "n2")
	if v := c.do("GET", "k"); v != "v" {
		t.Errorf("GET k: %v", v)
	}
	c.do("SET", "l", "w")
	c.awaitLevel()
	c.sameOnAll(map[string]string{"k": "v", "l": "w"}, "n1", "n2")
}

// TestForget ends the series of a node that is not coming back.
func TestForget(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	c.nodes["n2"].kill()
	c.awaitNodes("n1")
	if _, body := c.page("/metrics"); !strings.Contains(body, `brainer_node_up{node="n2"} 0`) {
		t.Error("n2 is not shown as down")
	}
	if out, code := cli(t, c.brokerEndpoint(), "forget", "n1"); code != 1 {
		t.Errorf("forget of a node that is here: exit code %d, %q", code, out)
	}
	if out, code := cli(t, c.brokerEndpoint(), "forget", "n2"); code != 0 {
		t.Errorf("forget n2: exit code %d, %q", code, out)
	}
	if _, body := c.page("/metrics"); strings.Contains(body, `node="n2"`) {
		t.Error("n2 still has series")
	}
}
