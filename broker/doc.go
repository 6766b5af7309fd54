// Package broker runs the ordering core: one goroutine owns it and the ROUTER socket, feeds it what
// clients submit and nodes send, and performs what it puts out. Nothing is decided here; that is
// broker/replication's. What a client's bytes mean is package server's, which hands over batches
// through Submit; clients that speak RESP inside ZeroMQ reach it as virtual connections.
package broker
