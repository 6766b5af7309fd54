package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"brainer/internal/op"
)

func TestANodeThatIsToldToGoSaysGoodbye(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	w := startWorkload(t, c, 4, 2)
	w.awaitProgress(300)
	c.nodes["n2"].terminate()
	if code := c.nodes["n2"].exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s := c.awaitNodes("n1", "n3")
	if s.NodesEvicted["goodbye"] != 1 || len(s.NodesEvicted) != 1 {
		t.Errorf("evictions: %v", s.NodesEvicted)
	}
	c.broker.awaitLog(`msg="node says goodbye" node=n2`)
	w.awaitProgress(300)
	w.stop()
	w.noErrors()
	t.Logf("a node's goodbye: longest write %s, longest read %s", w.writes.max(), w.reads.max())
	c.awaitLevel()
	w.verify(c, "n1", "n3")
}

func TestABrokerThatIsToldToGoLosesNothing(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2)
	w := startWorkload(t, c, 4, 2)
	w.awaitProgress(300)
	c.broker.terminate()
	if code := c.broker.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.startBroker()
	c.awaitInSync(2)
	w.awaitProgress(100)
	w.stop()
	c.awaitLevel()
	w.verify(c, "n1", "n2")
	// Whose command arrived while its connection was closed got no answer; it was not executed either.
	held := c.contents("n1")
	for k, allowed := range w.either {
		if v := held[k]; v != allowed[0] && !(v == "" && allowed[0] == "0") {
			t.Errorf("%s was executed and not answered: %.80q, acknowledged was %.80q", k, v, allowed[0])
		}
	}
}

// TestDrainingAnswersWhatIsInFlight holds a write up with a stopped node.
func TestDrainingAnswersWhatIsInFlight(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, "--dead-after", "20s", "--ack-timeout", "25s", "--drain-timeout", "20s")
	conn := dialRaw(t, c.addr)
	replies := bufio.NewReader(conn)
	c.nodes["n2"].pause()
	fmt.Fprint(conn, "SET k v\r\nINCR n\r\n")
	c.awaitStatus("the writes wait", func(s op.Status) bool { return s.PendingWrites >= 2 })
	c.broker.terminate()
	c.broker.awaitLog("draining")
	await(t, "new connections are refused", func() (bool, string) {
		_, err := exchange(c.addr, "PING\r\n")
		return err != nil, fmt.Sprint(err)
	})
	if !c.broker.alive() {
		t.Fatal("the broker did not wait for the writes")
	}
	c.nodes["n2"].resume()
	for _, want := range []string{"+OK\r\n", ":1\r\n"} {
		if got, err := replies.ReadString('\n'); got != want {
			t.Errorf("reply %q %v, want %q", got, err, want)
		}
	}
	if _, err := replies.ReadByte(); err != io.EOF {
		t.Errorf("after the replies: %v, want the end", err)
	}
	if code := c.broker.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1, "--dead-after", "50s", "--ack-timeout", "55s", "--drain-timeout", "60s")
	conn := dialRaw(t, c.addr)
	c.nodes["n1"].pause()
	fmt.Fprint(conn, "SET k v\r\n")
	c.awaitStatus("the write waits", func(s op.Status) bool { return s.PendingWrites == 1 })
	c.broker.terminate()
	c.broker.awaitLog("draining")
	began := time.Now()
	c.broker.signal(syscall.SIGINT)
	if code := c.broker.exit(); code == 0 {
		t.Error("exit code 0")
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it took %s", d)
	}

	node := c.nodes["n1"]
	node.resume()
	node.terminate() // nobody is there to say goodbye to
	began = time.Now()
	node.exit()
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("the node took %s", d)
	}
}

func TestABrokerAloneStopsWhenTold(t *testing.T) {
	t.Parallel()
	c := startAlone(t)
	idle := dialRaw(t, c.addr)
	c.do("SET", "k", "v")
	began := time.Now()
	c.broker.terminate()
	if code := c.broker.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	t.Logf("stopped after %s", time.Since(began).Round(time.Millisecond))
	if n, err := idle.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("an idle connection: %d bytes, %v", n, err)
	}
	if _, err := net.Dial("tcp", c.addr); err == nil {
		t.Error("somebody still listens")
	}
}

// TestTheLastNodeToSayGoodbyeLeavesNothing: the cache is empty then, by everybody's will.
func TestTheLastNodeToSayGoodbyeLeavesNothing(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1)
	c.do("SET", "k", "v")
	c.nodes["n1"].terminate()
	c.nodes["n1"].exit()
	c.startNode("n1")
	c.awaitInSync(1)
	if n := c.do("DBSIZE"); n != int64(0) {
		t.Errorf("DBSIZE %v", n)
	}
}
