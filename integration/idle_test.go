package integration

import (
	"testing"
	"time"
)

// TestIdleProcessesRest looks at the processor time of a broker and its nodes with nothing to do, and
// with a client that has gone and one that sits there.
func TestIdleProcessesRest(t *testing.T) {
	c := startAlone(t)
	c.startNode("n1")
	c.awaitInSync(2)
	c.do("SET", "k", "v")
	dialRaw(t, c.addr)
	connectZMQ(t, c.brokerEndpoint())
	for _, alone := range []struct {
		name string
		p    *process
	}{{"broker with its embedded node", c.broker}, {"node", c.nodes["n1"]}} {
		const window = 4 * time.Second
		share := 1.0
		for range 3 { // a busy machine makes the kernel charge more: the best of three counts
			began, before := time.Now(), alone.p.cpu(t)
			<-time.After(window) // being left alone is what is measured
			share = min(share, float64(alone.p.cpu(t)-before)/float64(time.Since(began)))
			if share < 0.01 {
				break
			}
		}
		t.Logf("an idle %s takes %.2f %% of a processor", alone.name, 100*share)
		if limit := 0.02; share > limit && !raceEnabled {
			t.Errorf("that is more than %.0f %%", 100*limit)
		}
	}
}
