// Package node runs a replica: one goroutine owns it, the session's socket and the node's own
// endpoint; a second one sends heartbeats on a socket of its own, so that a long command is seen as
// busy and not as dead. It dials the broker and keeps dialling. What a frame means is decided in
// node/replica.
package node
