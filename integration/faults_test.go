package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"brainer/internal/op"
)

// stallMax is what a test tolerates on a loaded machine; the promises are far shorter and measured
// elsewhere. What was seen is printed.
const stallMax = 20 * time.Second

func TestAKilledNodeCostsNoClientAnError(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	w := startWorkload(t, c, 6, 4)
	w.awaitProgress(500)
	c.nodes["n2"].kill()
	c.awaitNodes("n1", "n3")
	w.awaitProgress(500)
	c.startNode("n2") // empty: another copy under the same name
	c.awaitNodes("n1", "n2", "n3")
	w.awaitProgress(500)
	w.stop()
	w.noErrors()
	c.awaitLevel()
	w.verify(c, "n1", "n2", "n3")
	t.Logf("after SIGKILL the longest write took %s, the longest read %s", w.writes.max(), w.reads.max())
	if w.writes.max() > stallMax || w.reads.max() > stallMax {
		t.Errorf("a call took more than %s", stallMax)
	}
	s := c.awaitActive()
	if n := s.NodesEvicted["unreachable"] + s.NodesEvicted["no heartbeat"]; n == 0 {
		t.Errorf("evictions: %v", s.NodesEvicted)
	}
}

// TestNodesAreKilledOneAfterTheOther leaves each time at least one copy that holds everything.
func TestNodesAreKilledOneAfterTheOther(t *testing.T) {
	t.Parallel()
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	c := startCluster(t, 3)
	w := startWorkload(t, c, 6, 2)
	for round := range rounds {
		id := nodeName(round%3 + 1)
		w.awaitProgress(200)
		c.nodes[id].kill()
		c.awaitInSync(2)
		if round%2 == 1 { // and a second one before the first is back
			// A read that was with the first one has its answer by then: one whose node dies twice gets an error.
			w.awaitProgress(200)
			other := nodeName((round+1)%3 + 1)
			c.nodes[other].kill()
			c.awaitInSync(1)
			w.awaitProgress(100)
			c.startNode(other)
		}
		c.startNode(id)
		c.awaitInSync(3)
	}
	w.stop()
	w.noErrors()
	c.awaitLevel()
	w.verify(c, "n1", "n2", "n3")
}

func TestAStoppedNodeIsLeftBehindAndComesBack(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	w := startWorkload(t, c, 4, 4)
	w.awaitProgress(300)

	began := time.Now()
	c.nodes["n2"].pause()
	c.awaitNodes("n1", "n3")
	t.Logf("out of the set %s after SIGSTOP", time.Since(began).Round(time.Millisecond))
	w.awaitProgress(500)
	c.awaitStatus("three seconds without the node", func(op.Status) bool { return time.Since(began) > 3*time.Second })
	before := c.awaitActive()
	c.nodes["n2"].resume()
	c.nodes["n2"].awaitLog(`msg="no longer in sync: `)
	c.awaitNodes("n1", "n2", "n3")
	w.awaitProgress(300)
	w.stop()
	w.noErrors()
	after := c.awaitLevel()
	w.verify(c, "n1", "n2", "n3")
	if after.SnapshotsTotal != before.SnapshotsTotal {
		t.Errorf("a short absence took %d snapshots; the log window reached back", after.SnapshotsTotal-before.SnapshotsTotal)
	}
	t.Logf("while a node was stopped the longest write took %s, the longest read of keys that nobody writes %s", w.writes.max(), w.reads.max())
	if w.writes.max() > stallMax {
		t.Errorf("a write took %s", w.writes.max())
	}
	if w.reads.max() > stallMax/2 {
		t.Errorf("a read took %s", w.reads.max())
	}
}

func TestALongAbsenceNeedsASnapshot(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, "--window-bytes", "1048576")
	w := startWorkload(t, c, 2, 0)
	w.awaitProgress(100)
	c.nodes["n2"].pause()
	c.awaitNodes("n1")
	before := c.awaitActive()
	large := strings.Repeat("x", 64<<10)
	for i := range 64 { // four times the window
		c.do("SET", fmt.Sprintf("large:%d", i), large)
		w.note(func() { w.want[fmt.Sprintf("large:%d", i)] = large })
	}
	c.nodes["n2"].resume()
	c.awaitNodes("n1", "n2")
	w.awaitProgress(100)
	w.stop()
	w.noErrors()
	after := c.awaitLevel()
	if after.SnapshotsTotal != before.SnapshotsTotal+1 {
		t.Errorf("%d snapshots, want 1", after.SnapshotsTotal-before.SnapshotsTotal)
	}
	w.verify(c, "n1", "n2")
}

func TestTheBrokerIsKilledAndComesBack(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	w := startWorkload(t, c, 6, 2)
	w.awaitProgress(500)
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	for range rounds {
		before := c.awaitActive()
		began := time.Now()
		c.broker.kill()
		c.startBroker()
		firstWrite(t, c)
		w.note(func() { w.want["probe"] = "x" })
		outage := time.Since(began)
		t.Logf("the broker was killed and restarted: %s until the next write was acknowledged", outage.Round(time.Millisecond))
		if outage > 2*stallMax {
			t.Errorf("the outage took %s", outage)
		}
		s := c.awaitInSync(3)
		if s.Epoch <= before.Epoch {
			t.Errorf("epoch %d after %d", s.Epoch, before.Epoch)
		}
		if s.SnapshotsTotal != 0 {
			t.Errorf("%d snapshots: the nodes had kept everything", s.SnapshotsTotal)
		}
		w.awaitProgress(300)
	}
	w.stop()
	if len(w.failed) == 0 {
		t.Error("no client noticed that the broker was killed")
	}
	c.awaitLevel()
	w.verify(c, "n1", "n2", "n3")
}

// firstWrite tries, on new connections, until a write is acknowledged. (go-redis itself waits for a
// second before it dials anew.)
func firstWrite(t testing.TB, c *cluster) {
	t.Helper()
	await(t, "a write is acknowledged", func() (bool, string) {
		reply, err := exchange(c.addr, "SET probe x\r\n")
		return reply == "+OK\r\n", fmt.Sprint(reply, err)
	})
}

func TestBrokerAndANodeAreKilledTogether(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	w := startWorkload(t, c, 6, 0)
	w.awaitProgress(300)
	c.nodes["n1"].kill()
	c.broker.kill()
	c.startBroker()
	c.awaitNodes("n2", "n3")
	w.awaitProgress(300)
	c.startNode("n1")
	c.awaitNodes("n1", "n2", "n3")
	w.stop()
	c.awaitLevel()
	w.verify(c, "n1", "n2", "n3")
}

func TestTheEmbeddedNodeAloneStartsEmptyAfterAKill(t *testing.T) {
	t.Parallel()
	c := startAlone(t)
	c.do("SET", "k", "v")
	c.broker.kill()
	c.startBroker()
	c.awaitActive()
	c.broker.awaitLog(`msg="starts empty"`)
	if v := c.do("EXISTS", "k"); v != int64(0) {
		t.Errorf("EXISTS k: %v", v)
	}
	c.do("SET", "k", "again")
}

func TestTheEmbeddedNodeIsRefilledByTheOthers(t *testing.T) {
	t.Parallel()
	c := startAlone(t)
	c.startNode("n1")
	c.awaitInSync(2)
	w := startWorkload(t, c, 2, 0)
	w.awaitProgress(100)
	c.broker.kill()
	c.startBroker()
	c.awaitInSync(2)
	w.awaitProgress(100)
	w.stop()
	c.awaitLevel()
	w.verify(c, "n1")
	if n := nodeOf(c.awaitLevel(), "embedded"); !n.InSync {
		t.Errorf("embedded node: %+v", n)
	}
}

// TestNoCopyNoService: a broker whose record names members serves nothing before one of them is back.
func TestNoCopyNoService(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	c.do("SET", "k", "v")
	c.awaitLevel()
	c.broker.kill()
	for _, n := range c.nodes {
		n.pause()
	}
	c.startBroker()
	refusal := func(prefix string) func() (bool, string) {
		return func() (bool, string) {
			_, err := c.control.Get(ctxOf(t), "k").Result()
			return err != nil && strings.HasPrefix(err.Error(), prefix), fmt.Sprint(err)
		}
	}
	await(t, "reads are refused", refusal("CLUSTERDOWN"))
	if err := c.control.Set(ctxOf(t), "k", "w", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "CLUSTERDOWN") {
		t.Errorf("SET: %v", err)
	}
	await(t, "readyz says whom it waits for", func() (bool, string) {
		code, body := c.page("/readyz")
		return code == 503 && strings.Contains(body, "n1"), fmt.Sprint(code, body)
	})
	// An empty newcomer is not the truth.
	c.startNode("n3")
	c.awaitStatus("n3 waits", func(s op.Status) bool { return nodeOf(s, "n3").State == "waiting" })
	if _, err := c.control.Get(ctxOf(t), "k").Result(); err == nil {
		t.Error("GET is answered while no member is back")
	}
	c.nodes["n1"].resume()
	c.awaitActive()
	if v := c.do("GET", "k"); v != "v" {
		t.Errorf("GET k: %v", v)
	}
	c.nodes["n2"].resume()
	c.awaitNodes("n1", "n2", "n3")
	c.awaitLevel()
	c.sameOnAll(map[string]string{"k": "v"}, "n1", "n2", "n3")
}

// TestTheLastCopyIsNotPutOut: with every node stopped there is nobody to serve, and nothing is lost.
func TestTheLastCopyIsNotPutOut(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	w := startWorkload(t, c, 3, 0)
	w.awaitProgress(100)
	c.nodes["n1"].pause()
	c.nodes["n2"].pause()
	c.awaitStatus("nobody answers", func(s op.Status) bool {
		for _, n := range s.Nodes {
			if n.State == "live" {
				return false
			}
		}
		return true
	})
	c.nodes["n1"].resume()
	c.nodes["n2"].resume()
	c.awaitNodes("n1", "n2")
	w.awaitProgress(100)
	w.stop()
	c.awaitLevel()
	w.verify(c, "n1", "n2")
}

func TestARestartedNodeJoinsBySnapshotOrFromTheWindow(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, "--window-bytes", "1048576")
	w := startWorkload(t, c, 2, 0)
	large := strings.Repeat("y", 100<<10)
	for i := range 30 {
		k := fmt.Sprintf("large:%d", i)
		c.do("SET", k, large)
		w.note(func() { w.want[k] = large })
	}
	c.nodes["n2"].kill()
	c.awaitNodes("n1")
	c.startNode("n2")
	c.awaitNodes("n1", "n2")
	c.nodes["n2"].awaitLog(`msg="in sync: .* keys=\d{2}`)
	w.awaitProgress(50)
	w.stop()
	w.noErrors()
	s := c.awaitLevel()
	if s.SnapshotsTotal != 1 {
		t.Errorf("%d snapshots, want 1", s.SnapshotsTotal)
	}
	w.verify(c, "n1", "n2")
}

func TestWritesNeedAsManyInSyncNodesAsAsked(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, "--min-in-sync", "2")
	c.do("SET", "k", "v")
	c.nodes["n2"].kill()
	c.awaitStatus("n2 is out", func(s op.Status) bool { return !nodeOf(s, "n2").InSync })
	err := c.control.Set(ctxOf(t), "k", "w", 0).Err()
	if err == nil || !strings.HasPrefix(err.Error(), "NOREPLICAS") {
		t.Errorf("SET with one of two: %v", err)
	}
	if v := c.do("GET", "k"); v != "v" {
		t.Errorf("GET: %v", v)
	}
	if err := c.control.Do(ctxOf(t), "CONFIG", "SET", "min-in-sync", 1).Err(); err != nil {
		t.Errorf("CONFIG SET min-in-sync: %v", err)
	}
	c.do("SET", "k", "w")
	if err := c.control.Do(ctxOf(t), "BRAINER", "WITH", "ACK", 2, "SET", "k", "x").Err(); err == nil || !strings.HasPrefix(err.Error(), "NOREPLICAS") {
		t.Errorf("ACK 2 with one node: %v", err)
	}
	c.startNode("n2")
	c.awaitInSync(2)
	c.do("BRAINER", "WITH", "ACK", 2, "SET", "k", "x")
	c.do("BRAINER", "ACK", "primary")
	c.do("SET", "k", "y")
	c.awaitLevel()
	c.sameOnAll(map[string]string{"k": "y"}, "n1", "n2")
}

func TestBeforeAnyNodeItIsLoading(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.startBroker("--embedded=false")
	for _, args := range [][]any{{"GET", "k"}, {"SET", "k", "v"}, {"DBSIZE"}, {"PING"}} {
		if err := c.control.Do(ctxOf(t), args...).Err(); err == nil || !strings.HasPrefix(err.Error(), "LOADING") {
			t.Errorf("%v: %v", args, err)
		}
	}
	if code, _ := c.page("/readyz"); code != 503 {
		t.Errorf("readyz: %d", code)
	}
	if v := c.do("ECHO", "here"); v != "here" {
		t.Errorf("ECHO: %v", v)
	}
	c.startNode("n1")
	// Who is told PONG may write.
	await(t, "PONG", func() (bool, string) {
		v, err := c.control.Ping(ctxOf(t)).Result()
		return v == "PONG", fmt.Sprint(v, err)
	})
	c.do("SET", "k", "v")
}

// TestTheNewcomerAloneKeepsEverything kills the others the moment a newcomer is in sync: nothing
// acknowledged before or since may be missing on it.
func TestTheNewcomerAloneKeepsEverything(t *testing.T) {
	t.Parallel()
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	c := startCluster(t, 1, "--window-bytes", "1048576")
	filler := strings.Repeat("f", 10<<10)
	for i := range 400 { // more than the window: the newcomer needs a snapshot
		c.do("SET", fmt.Sprintf("filler:%d", i), filler)
	}
	w := startWorkload(t, c, 8, 2)
	for i := range 400 {
		w.note(func() { w.want[fmt.Sprintf("filler:%d", i)] = filler })
	}
	old := "n1"
	for round := range rounds {
		w.awaitProgress(200)
		fresh := nodeName(round + 2)
		c.startNode(fresh)
		for deadline := time.Now().Add(patience); ; { // without a rest between the looks
			s, err := c.status()
			must(t, err)
			if nodeOf(s, fresh).InSync {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s does not join: %s", fresh, summary(s))
			}
		}
		c.nodes[old].kill()
		old = fresh
	}
	w.awaitProgress(200)
	w.stop()
	w.noErrors()
	c.awaitNodes(old)
	c.awaitLevel()
	w.verify(c, old)
}

// TestShortStopsAreRiddenOut stops nodes for less than what puts them out: reads go elsewhere, writes
// wait, and nothing is applied twice.
func TestShortStopsAreRiddenOut(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, "--dead-after", "5s", "--ack-timeout", "20s")
	w := startWorkload(t, c, 6, 3)
	for round := range 4 {
		w.awaitProgress(100)
		id := nodeName(round%3 + 1)
		c.nodes[id].pause()
		c.awaitStatus("the node is suspect", func(s op.Status) bool { return nodeOf(s, id).State == "suspect" })
		c.nodes[id].resume()
		c.awaitStatus("the node answers again", func(s op.Status) bool { return nodeOf(s, id).State == "live" })
	}
	w.awaitProgress(100)
	w.stop()
	w.noErrors()
	s := c.awaitLevel()
	if len(s.NodesEvicted) != 0 {
		t.Errorf("evictions: %v", s.NodesEvicted)
	}
	w.verify(c, "n1", "n2", "n3")
}
