// Package node runs a replica: one goroutine owns it, the session's socket and the node's own
// endpoint; a second one sends heartbeats on a socket of its own, so that a long command is seen as
// busy and not as dead; a third gives the node's storage what is to be kept, so that the owner waits for no disk. Under
// Fsync.Always what the replica answers is held back until it is kept. It dials the broker and keeps dialling. What a
// frame means is decided in node/replica, what is kept how in node/storage.
package node
