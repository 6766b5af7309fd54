package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"brainer/internal/op"
	"brainer/internal/wire"
)

// beforeCommit is the last one of the protocol version before (wire.VersionBefore).
const beforeCommit = "1b16ff97929aa857060523f21c39aae131cc115b"

// beforeBinaries builds the binaries of that commit, once; it skips where a clone does not have it.
func beforeBinaries(t *testing.T) string {
	t.Helper()
	dir, err := buildBefore()
	if err != nil {
		t.Skipf("the version before cannot be built here (a shallow clone has no history): %v", err)
	}
	return dir
}

var buildBefore = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(binaries, "before")
	source := filepath.Join(dir, "source")
	if err := os.MkdirAll(source, 0o700); err != nil {
		return "", err
	}
	script := "git -C \"$(git rev-parse --show-toplevel)\" archive " + beforeCommit + " | tar -x -C " + source
	if out, err := exec.Command("bash", "-o", "pipefail", "-c", script).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", dir+string(filepath.Separator), "./cmd/run_broker", "./cmd/run_node")
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
})

// protocols awaits that n1, n2 ... are in sync and spoken with in these versions.
func (c *cluster) protocols(want ...int) {
	c.t.Helper()
	c.awaitStatus(fmt.Sprint("protocol versions ", want), func(s op.Status) bool {
		for i := range s.Nodes {
			n := &s.Nodes[i]
			number, err := strconv.Atoi(strings.TrimPrefix(n.ID, "n"))
			must(c.t, err)
			if !n.InSync || n.Protocol != want[number-1] || n.Software == "" {
				return false
			}
		}
		return len(s.Nodes) == len(want)
	})
}

// A cluster of the version before is replaced process by process under load, the broker last or first.
// Every acknowledged write is kept, and in the end all speak the present version.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	before := beforeBinaries(t)
	const was, is = wire.VersionBefore, wire.Version
	for _, brokerFirst := range []bool{false, true} {
		t.Run(fmt.Sprintf("brokerFirst=%v", brokerFirst), func(t *testing.T) {
			c := newCluster(t)
			c.programs = before
			c.startBroker("--embedded=false")
			ids := []string{"n1", "n2", "n3"}
			for _, id := range ids {
				c.startNode(id)
			}
			c.awaitInSync(3)
			w := startWorkload(t, c, 4, 2)
			w.awaitProgress(300)
			c.programs = binaries
			replaceBroker := func() {
				c.broker.terminate()
				if code := c.broker.exit(); code != 0 {
					t.Errorf("the broker ends with %d", code)
				}
				c.startBroker()
				c.awaitInSync(3)
				w.awaitProgress(100)
			}
			if brokerFirst {
				replaceBroker()
				c.protocols(was, was, was)
			}
			for i, id := range ids {
				c.nodes[id].terminate()
				if code := c.nodes[id].exit(); code != 0 {
					t.Errorf("%s ends with %d", id, code)
				}
				c.startNode(id)
				c.awaitInSync(3)
				w.awaitProgress(100)
				if brokerFirst {
					c.protocols([][]int{{is, was, was}, {is, is, was}, {is, is, is}}[i]...)
				}
			}
			if !brokerFirst {
				// A node that the broker of the version before has refused goes on in its version,
				// and a killed one that comes back is sent a snapshot by a newer donor.
				c.nodes["n2"].kill()
				c.startNode("n2")
				c.awaitInSync(3)
				replaceBroker()
			}
			c.protocols(is, is, is)
			if out, code := cli(t, c.brokerEndpoint(), "verify"); code != 0 {
				t.Errorf("verify: %d, %s", code, out)
			}
			w.stop()
			for text := range w.errors() {
				if strings.Contains(text, "UNCERTAIN") {
					t.Errorf("a client was told %s", text)
				}
			}
			c.awaitLevel()
			w.verify(c, ids...)
		})
	}
}
