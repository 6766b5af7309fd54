package metrics

import "net/http"

// NodeStatus is what a node knows about itself at one moment.
type NodeStatus struct {
	ID            string
	Connected     bool   // it has a session with a broker
	State         string // one of ReplicaStates
	InSync        bool
	Epoch         uint64
	Applied, Safe uint64
	Keys          int64
	UsedMemory    int64
	CommandPanics uint64

	LoadKeysDone, LoadKeysTotal int64 // while a snapshot is loaded, else 0
}

// ReplicaStates are the values of NodeStatus.State: a snapshot is being loaded; it catches up with
// the order, or has lost its place in the in-sync set; it serves.
var ReplicaStates = []string{"loading", "replay", "live"}

// NodeHandler is a node's /metrics. status is called once per scrape, from any goroutine.
func NodeHandler(build Build, status func() NodeStatus) http.Handler {
	return handler(
		newCollector(nodeRows, func() *NodeStatus { s := status(); return &s }),
		newCollector(buildRows, func() Build { return build }))
}
