package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"brainer/internal/op"
)

// A value that changes in one node's memory, by no command, is found by comparing the copies: node and
// key are named, the node takes a snapshot by itself, and all are equal again.
func TestVerifyFindsADamagedCopy(t *testing.T) {
	t.Parallel()
	const keys, secret = 20_000, "this value is about to be damaged"
	c := startCluster(t, 3)
	pipe := c.control.Pipeline()
	for i := range keys {
		pipe.Set(t.Context(), fmt.Sprint("key:", i), i, 0)
		if i%7 == 0 {
			pipe.HSet(t.Context(), "large", fmt.Sprint("field:", i), i)
		}
	}
	_, err := pipe.Exec(t.Context())
	must(t, err)
	c.do("SET", "damaged", secret)
	verify := func() (string, int) { return cli(t, c.brokerEndpoint(), "verify") }
	if out, code := verify(); code != 0 || !strings.HasPrefix(out, "equal: ") || !strings.Contains(out, "3 nodes") {
		t.Fatalf("before anything is damaged: %d, %s", code, out)
	}
	if n := damage(t, c.nodes["n2"].cmd.Process.Pid, []byte(secret)); n == 0 {
		t.Skip("the memory of another process cannot be written here")
	}
	out, code := verify()
	if code != 1 || !strings.Contains(out, "node n2") || !strings.Contains(out, `"damaged"`) {
		t.Fatalf("with a damaged copy: %d, %s", code, out)
	}
	c.broker.awaitLog(`msg="copy differs" node=n2 .*damaged`)
	c.awaitInSync(3)
	if out, code := verify(); code != 0 {
		t.Errorf("after the snapshot: %d, %s", code, out)
	}
	if n := c.counter("brainer_verify_mismatches_total"); n != 1 {
		t.Errorf("%v mismatches are counted", n)
	}
	if got := c.do("GET", "damaged"); got != secret {
		t.Errorf("GET: %v", got)
	}
}

// Without being asked, the broker compares now and then.
func TestVerifyGoesOnInTheBackground(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, "--verify-every", "1s")
	c.do("SET", "k", "v")
	c.awaitStatus("two comparisons", func(s op.Status) bool { return s.Verify.Passes >= 2 && s.Verify.TotalRanges > 0 })
}

func TestVerifyNeedsTwoCopies(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	if out, code := cli(t, c.brokerEndpoint(), "verify"); code != 4 || !strings.Contains(out, "nothing to compare") {
		t.Errorf("%d, %s", code, out)
	}
}

// damage flips a bit of every place in a process's memory that holds a text, and returns how many.
func damage(t *testing.T, pid int, text []byte) (places int) {
	t.Helper()
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0
	}
	defer maps.Close()
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return 0
	}
	defer mem.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to int64
		var mode string
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); n != 3 || !strings.HasPrefix(mode, "rw") || to-from > 1<<30 {
			continue
		}
		area := make([]byte, to-from)
		n, _ := mem.ReadAt(area, from)
		area = area[:n]
		for at := 0; ; at++ {
			i := bytes.Index(area[at:], text)
			if i < 0 {
				break
			}
			at += i
			if _, err := mem.WriteAt([]byte{area[at] ^ 1}, from+int64(at)); err != nil {
				return places
			}
			places++
		}
	}
	return places
}
