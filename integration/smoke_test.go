package integration

import (
	"strings"
	"testing"

	"brainer/internal/op"
)

func TestABrokerAloneIsAWorkingCache(t *testing.T) {
	t.Parallel()
	c := startAlone(t)
	c.do("SET", "k", "v")
	if got := c.do("GET", "k"); got != "v" {
		t.Errorf("GET k: %v", got)
	}
	s := c.awaitActive()
	if len(s.Nodes) != 1 || !s.Nodes[0].Embedded || !s.Nodes[0].InSync {
		t.Errorf("nodes: %s", summary(s))
	}
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready", "/metrics": "brainer_nodes_in_sync 1\n"} {
		if code, body := c.page(path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.300q", path, code, body)
		}
	}
}

func TestANodeThatJoinsGetsWhatTheEmbeddedOneHolds(t *testing.T) {
	t.Parallel()
	c := startAlone(t)
	for _, k := range []string{"a", "b", "c"} {
		c.do("SET", k, "value of "+k)
	}
	c.startNode("n1")
	c.awaitInSync(2)
	c.awaitLevel()
	c.sameOnAll(map[string]string{"a": "value of a", "b": "value of b", "c": "value of c"}, "n1")
	await(t, "n1 says of itself that it is in sync", func() (bool, string) {
		s := c.nodeStatus("n1")
		return s.Nodes[0].ID == "n1" && s.Nodes[0].InSync, summary(s)
	})
}

func TestWritesReachEveryNode(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	c.do("MSET", "a", 1, "b", 2)
	c.do("INCR", "a")
	s := c.awaitStatus("three level nodes", func(s op.Status) bool { return s.Safe == s.Index })
	if len(s.Nodes) != 3 {
		t.Errorf("nodes: %s", summary(s))
	}
	c.awaitLevel()
	c.sameOnAll(map[string]string{"a": "2", "b": "2"}, "n1", "n2", "n3")
}
