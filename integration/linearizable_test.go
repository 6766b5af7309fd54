package integration

import (
	"testing"

	"brainer/internal/op"
)

// TestHistoriesAreLinearizable kills and stops nodes and the broker under clients whose histories
// porcupine then looks through.
func TestHistoriesAreLinearizable(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	h := startHistorian(t, c, 6)
	progress := func() {
		t.Helper()
		h.awaitProgress(400)
	}
	progress()
	c.nodes["n1"].kill()
	progress()
	c.startNode("n1")
	c.awaitInSync(3)
	c.nodes["n2"].pause()
	c.awaitStatus("n2 is suspect", func(s op.Status) bool { return nodeOf(s, "n2").State == "suspect" })
	c.nodes["n2"].resume() // it answers late what has been asked elsewhere
	progress()
	c.awaitInSync(3)
	c.nodes["n3"].pause()
	c.awaitNodes("n1", "n2")
	progress()
	c.nodes["n3"].resume()
	c.broker.kill()
	c.startBroker()
	progress()
	c.awaitInSync(3)
	c.nodes["n2"].terminate()
	progress()
	c.broker.kill()
	c.nodes["n1"].pause() // the recovery has to do without it
	c.startBroker()
	progress()
	c.nodes["n1"].resume()
	c.awaitInSync(2)
	progress()
	h.check()
}

// TestTheNodeThatStoodStillIsTheOnlyOneLeft stops one node, and a moment later kills all the others and
// the broker: whatever a client was told, or was shown, must be on the one that stood still.
func TestTheNodeThatStoodStillIsTheOnlyOneLeft(t *testing.T) {
	t.Parallel()
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	c := startCluster(t, 3, "--dead-after", "10s", "--ack-timeout", "20s")
	h := startHistorian(t, c, 6)
	for range rounds {
		h.awaitProgress(400)
		c.nodes["n2"].pause()
		c.awaitStatus("n2 is suspect", func(s op.Status) bool { return nodeOf(s, "n2").State == "suspect" })
		c.broker.kill()
		c.nodes["n1"].kill()
		c.nodes["n3"].kill()
		c.nodes["n2"].resume()
		c.startBroker()
		c.awaitNodes("n2")
		h.awaitProgress(400)
		c.startNode("n1")
		c.startNode("n3")
		c.awaitNodes("n1", "n2", "n3")
	}
	h.check()
}
