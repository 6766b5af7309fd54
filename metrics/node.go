package metrics

import "net/http"

// NodeStatus is what a node knows about itself at one moment.
type NodeStatus struct {
	ID             string
	Session        string // one of SessionStates
	Sessions       uint64 // opened since the start
	Epoch          uint64
	Applied        uint64
	EntriesApplied uint64
	Reads          uint64
	CommandPanics  uint64
	BusySeconds    float64 // of the entry that is being applied; 0 when none is
	Keys           int64
	UsedMemory     int64
	IDs            int64  // outcomes of writes with an id that are kept
	IDsAnswered    uint64 // writes that were answered with one

	Disk *Disk // nil: it keeps nothing

	// While a snapshot is loaded, else 0.
	LoadKeysDone, LoadKeysTotal int64
	LoadBytesDone               int64
}

// SessionStates are the values of NodeStatus.Session.
var SessionStates = []string{"down", "hello", "loading", "replay", "live"}

// NodeHandler is a node's /metrics. status is called once per scrape, from any goroutine.
func NodeHandler(build Build, status func() NodeStatus) http.Handler {
	return handler(
		newCollector(nodeRows, func() *NodeStatus { s := status(); return &s }),
		newCollector(diskRows, func() *Disk { return status().Disk }),
		newCollector(buildRows, func() Build { return build }))
}
