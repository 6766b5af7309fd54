package integration

import (
	"fmt"
	"strconv"
	"testing"
)

// A node that stands still costs reads no more than what the slowest of them take anyway, as long as
// that is few reads: they are asked of a second node, one in twenty at most.
func TestSlowReadsAreAskedTwice(t *testing.T) {
	t.Parallel()
	const warm, keys = 400, 20
	c := newCluster(t)
	c.startBroker("--embedded=false", "--near-cache", "0", "--hedge-reads", "p95", "--suspect-after", "8s", "--dead-after", "9s", "--ack-timeout", "10s")
	link := newBadLink(t, c)
	c.startNode("n1")
	c.startNode("n2", "--broker", link.endpoint())
	c.startNode("n3")
	c.awaitInSync(3)
	key := func(i int) string { return fmt.Sprint("key:", i%keys) }
	for i := range keys {
		c.do("SET", key(i), i)
	}
	read := func(i int) {
		if got := c.do("GET", key(i)); got != strconv.Itoa(i%keys) {
			t.Fatalf("GET %s: %v", key(i), got)
		}
	}
	for i := range warm {
		read(i)
	}
	asked := c.counter("brainer_reads_hedged_total")
	if asked > warm/20 {
		t.Errorf("%v of %d reads were asked twice before anything was slow", asked, warm)
	}
	link.hold(true, true)
	for i := range keys / 2 {
		read(i)
	}
	link.heal()
	asked, won := c.counter("brainer_reads_hedged_total"), c.counter("brainer_reads_hedged_won_total")
	if won == 0 || asked < won || asked > (warm+keys/2)/20 {
		t.Errorf("%v reads were asked twice, %v answered by the second node", asked, won)
	}
	if n := c.counter("brainer_reads_rerouted_total"); n != 0 {
		t.Errorf("%v reads were asked elsewhere: the node was given up", n)
	}
	for i := range keys {
		read(i)
	}
}
