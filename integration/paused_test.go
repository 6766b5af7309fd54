package integration

import (
	"io"
	"testing"
	"time"
)

// TestReadsWaitWhileNodesReopenTheirSessions: the broker stands still until both nodes have given it
// up. Whoever reads at once then waits for one of them, and gets no error.
func TestReadsWaitWhileNodesReopenTheirSessions(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.startBroker("--embedded=false")
	for _, id := range []string{"n1", "n2"} {
		c.startNode(id, "--debug")
	}
	c.awaitInSync(2)
	c.do("SET", "k", "v")
	conn := dialRaw(t, c.addr)
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	c.broker.pause()
	for _, id := range []string{"n1", "n2"} {
		c.nodes[id].awaitLog(`session over.*(silent|gone|does not answer)`)
	}
	// It is what the broker finds when it goes on.
	const reads = 20
	for range reads {
		_, err := conn.Write([]byte("GET k\r\n"))
		must(t, err)
	}
	c.broker.resume()
	for i := range reads {
		got := make([]byte, len("$1\r\nv\r\n"))
		if n, err := conn.Read(got[:1]); n != 1 || err != nil || got[0] != '$' {
			rest := make([]byte, 200)
			n, _ = conn.Read(rest)
			t.Fatalf("read %d: %q%s (%v)", i, got[:1], rest[:n], err)
		}
		if _, err := io.ReadFull(conn, got[1:]); err != nil {
			t.Fatal(err)
		}
	}
	c.awaitInSync(2)
}
