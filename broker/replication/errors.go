package replication

// Every text that a client can see from the core. The prefixes that client libraries retry by
// themselves (LOADING, CLUSTERDOWN, NOREPLICAS, TRYAGAIN) are used only when nothing was ordered.
const (
	errLoading          = "LOADING Redis is loading the dataset in memory"
	errClusterDown      = "CLUSTERDOWN The cluster is down"
	errTryAgain         = "TRYAGAIN Write queue is full, try again"
	errNoRoomYet        = "TRYAGAIN Nodes are slow to make room below 'maxmemory', try again"
	errNoReplicas       = "NOREPLICAS Not enough good replicas to write."
	errTooLarge         = "ERR the command exceeds 1 GiB"
	errReadLost         = "ERR the read did not get an answer: the nodes that executed it died"
	errReadTimeout      = "CLUSTERDOWN No node answers reads at the moment"
	errUncertain        = "UNCERTAIN write may or may not have been applied (epoch %d index %d): applied on %d of %d"
	errRepliesTooLarge  = "ERR the replies of one pipeline are too large together: ask for less at once"
	errNothingToCompare = "ERR fewer than two copies are in sync: there is nothing to compare"
	errReadersMax       = "TRYAGAIN other snapshots are being read, try again when they are done"
	errReadStalled      = "ERR the snapshot was given up: it did not move for too long"
	errReadLostDonor    = "ERR the snapshot was given up: the node that gave it is gone; begin again"
	errReadGap          = "ERR the snapshot was given up: a part of it was lost on its way; begin again"
	errReplyGone        = "UNCERTAIN write was applied, its reply is lost (epoch %d index %d)"
	errOOM              = "OOM command not allowed when used memory > 'maxmemory'."
	errExecOOM          = "EXECABORT Transaction discarded because of: " + errOOM
)
