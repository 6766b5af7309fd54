// Package replica is one copy of the data: it applies entries strictly in order, answers reads behind
// them, keeps the replies that may still be asked for, gives snapshots as a donor and takes one as a
// joiner. It obeys the highest epoch that it has promised, in the session that it has opened, and
// nothing else. It has no clock, no goroutine and no socket: package node feeds it frames and sends
// what it puts into Out. What a command means is internal/command's, where the data lies
// internal/keyspace's.
package replica
