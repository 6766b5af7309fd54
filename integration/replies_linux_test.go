package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// peak is the most memory that the process has had resident so far, in bytes.
func (p *process) peak(t testing.TB) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	must(t, err)
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		t.Fatal("no VmHWM")
	}
	kB, err := strconv.ParseInt(string(m[1]), 10, 64)
	must(t, err)
	return kB << 10
}

// TestAPipelineOfReadsOfHugeValues: its replies are 1 GB, and the broker never has them all.
func TestAPipelineOfReadsOfHugeValues(t *testing.T) {
	t.Parallel()
	const size, reads = 32 << 20, 64
	c := startCluster(t, 1)
	value := strings.Repeat("v", size)
	c.do("SET", "huge", value)
	c.do("SET", "small", "s")
	conn, err := net.Dial("tcp", c.addr)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(2*time.Minute)))
	before := c.broker.peak(t)
	_, err = io.WriteString(conn, strings.Repeat("GET huge\r\nGET small\r\n", reads/2))
	must(t, err)
	r := bufio.NewReaderSize(conn, 1<<20)
	got := make([]byte, size)
	for i := range reads / 2 {
		for _, want := range []string{value, "s"} {
			line, err := r.ReadString('\n')
			must(t, err)
			if line != fmt.Sprintf("$%d\r\n", len(want)) {
				t.Fatalf("reply %d: %q", i, line)
			}
			b := got[:len(want)]
			_, err = io.ReadFull(r, b)
			must(t, err)
			if !bytes.Equal(b, []byte(want)) {
				t.Fatalf("reply %d is another", i)
			}
			_, err = r.Discard(2)
			must(t, err)
		}
	}
	limit := int64(512 << 20)
	if raceEnabled {
		limit *= 2 // its shadow of what was touched
	}
	if more := c.broker.peak(t) - before; more > limit {
		t.Errorf("the broker took %d MiB for replies of %d MiB", more>>20, reads/2*size>>20)
	} else {
		t.Logf("the broker took %d MiB for replies of %d MiB", more>>20, reads/2*size>>20)
	}
}
