package broker_test

import (
	"strings"
	"testing"

	"brainer/broker/replication"
	"brainer/internal/link/mem"
)

// lostCluster is the record of a cluster whose only member kept nothing.
func lostCluster() *memStore {
	return &memStore{v: replication.View{No: 4, Epoch: 3, ClusterID: 5,
		Members: []replication.Member{{NodeID: "n1", DataID: 123}},
		Left:    []replication.Member{{NodeID: "n9", DataID: 7}},
		History: []replication.Era{{Era: 3, Start: 1}}}}
}

func TestNothingIsServedWhenTheLastCopyIsGone(t *testing.T) {
	net := mem.New()
	b, _ := startBroker(t, net, lostCluster())
	startNode(t, net, "n1")
	if got := do(t, b, "GET", "k"); !strings.HasPrefix(got, "-LOADING ") {
		t.Errorf("before it is clear that none comes: %q", got)
	}
	await(t, "down", func() bool { return b.Status().State == "down" })
	if got := do(t, b, "SET", "k", "v"); !strings.HasPrefix(got, "-CLUSTERDOWN ") {
		t.Errorf("SET: %q", got)
	}
	await(t, "what to do", func() bool {
		d := b.Status().Detail
		return strings.Contains(d, "recover --from") && strings.Contains(d, "n1")
	})
}

func TestOperatorBeginsEmpty(t *testing.T) {
	net := mem.New()
	store := lostCluster()
	b, _ := startBroker(t, net, store)
	startNode(t, net, "n1")
	await(t, "down", func() bool { return b.Status().State == "down" })
	if text := b.RecoverEmpty(); text != "" {
		t.Fatal(text)
	}
	await(t, "active", func() bool { return b.Status().State == "active" })
	if got := do(t, b, "SET", "k", "v"); got != "+OK\r\n" {
		t.Errorf("SET: %q", got)
	}
	if text := b.RecoverEmpty(); !strings.HasPrefix(text, "ERR ") {
		t.Errorf("a cache in service was emptied: %q", text)
	}
}

func TestOperatorTakesANodesCopy(t *testing.T) {
	net := mem.New()
	first := &memStore{}
	b, stop := startBroker(t, net, first)
	startNode(t, net, "n1")
	await(t, "active", func() bool { return b.Status().State == "active" })
	if got := do(t, b, "SET", "k", "v"); got != "+OK\r\n" {
		t.Fatalf("SET: %q", got)
	}
	stop()
	// The record is lost; the node still holds the data.
	b, _ = startBroker(t, net, &memStore{})
	await(t, "a hint", func() bool { return strings.Contains(b.Status().Detail, "n1") })
	if got := do(t, b, "GET", "k"); !strings.HasPrefix(got, "-LOADING ") {
		t.Errorf("served without a record: %q", got)
	}
	if text := b.RecoverFrom("n2"); !strings.HasPrefix(text, "ERR ") {
		t.Errorf("from a node that is not there: %q", text)
	}
	if text := b.RecoverFrom("n1"); text != "" {
		t.Fatal(text)
	}
	await(t, "active", func() bool { return b.Status().State == "active" })
	if got := do(t, b, "GET", "k"); got != "$1\r\nv\r\n" {
		t.Errorf("GET: %q", got)
	}
}

func TestForgottenNodeIsNotListed(t *testing.T) {
	net := mem.New()
	b, _ := startBroker(t, net, &memStore{})
	startNode(t, net, "n1")
	_, stop2 := startNode(t, net, "n2")
	await(t, "two in sync", func() bool { return inSync(b) == 2 })
	if text := b.Forget("n2"); !strings.HasPrefix(text, "ERR ") {
		t.Errorf("a node in service was forgotten: %q", text)
	}
	stop2()
	await(t, "n2 left", func() bool { return inSync(b) == 1 })
	if n := len(b.Status().Nodes); n != 2 {
		t.Errorf("a node that left is to be listed until it is forgotten; listed: %d", n)
	}
	if text := b.Forget("n2"); text != "" {
		t.Fatal(text)
	}
	if n := len(b.Status().Nodes); n != 1 {
		t.Errorf("listed: %d", n)
	}
}
