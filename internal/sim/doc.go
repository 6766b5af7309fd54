// Package sim runs the real ordering core (broker/replication) and the real replicas (node/replica,
// with keyspace and command table) under a simulated network, clock, view store and set of clients,
// breaks what can break, and checks what must hold: the invariants at the end of ARCHITECTURE.md. There is no
// goroutine and no clock; everything follows from the seed, so that a failure is a number.
//
// What is simulated are the shells, package broker's and package node's: world.go has the clock,
// network.go the links (one connection per socket, as ZeroMQ has it), broker.go and node.go the
// loops around the cores, client.go the workload, faults.go what goes wrong, check.go what is
// checked at every step, history.go what is checked of the whole run: oracle.go executes the order again for it. Sockets, files and threads
// themselves are left to the tests of those packages and to integration/.
package sim
