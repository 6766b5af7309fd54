package integration

import (
	"os/exec"
	"strings"
	"testing"
)

// TestPythonsClient runs testdata/client.py, which uses Python's redis library as its users do.
func TestPythonsClient(t *testing.T) {
	t.Parallel()
	python := "/usr/bin/python3" // the one that Debian's packages belong to
	if err := exec.Command(python, "-c", "import redis").Run(); err != nil {
		t.Skipf("%s has no redis library (apt-get install python3-redis)", python)
	}
	c := startCluster(t, 3)
	host, port, _ := strings.Cut(c.addr, ":")
	if out, code := run(t, python, "testdata/client.py", host, port); code != 0 || !strings.HasSuffix(out, "all well") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	c.awaitLevel()
	c.sameOnAll(c.contents("n1"), "n2", "n3")
}
