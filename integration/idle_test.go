package integration

import (
	"testing"
	"time"
)

// TestIdleProcessesRest looks at the processor time of a broker and its nodes with nothing to do, and
// with clients that sit there.
func TestIdleProcessesRest(t *testing.T) {
	c := startAlone(t)
	c.startNode("n1")
	c.startNode("n2")
	c.awaitInSync(3)
	c.do("SET", "k", "v")
	dialRaw(t, c.addr)
	connectZMQ(t, c.brokerEndpoint())
	processes := []*process{c.broker, c.nodes["n1"], c.nodes["n2"]}

	limit := 0.02
	if raceEnabled {
		limit = 0.1
	}
	const window = 4 * time.Second
	shares := []float64{1, 1, 1}
	for range 3 { // a busy machine makes everything dearer: the best of three counts
		began := time.Now()
		var before [3]time.Duration
		for i, p := range processes {
			before[i] = p.cpu(t)
		}
		<-time.After(window) // being left alone is what is measured
		idle := true
		for i, p := range processes {
			shares[i] = min(shares[i], float64(p.cpu(t)-before[i])/float64(time.Since(began)))
			idle = idle && shares[i] < limit/2
		}
		if idle {
			break
		}
	}
	for i, p := range processes {
		t.Logf("an idle %s takes %.2f %% of a processor", p.name, 100*shares[i])
		if shares[i] > limit {
			t.Errorf("%s: more than %.0f %%", p.name, 100*limit)
		}
	}
}
