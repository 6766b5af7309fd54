// Package keyspace holds the data of one node: sixteen databases of keys, their values and their
// deadlines. It has no clock, no lock and no goroutine: time is an argument, one goroutine owns a
// Keyspace, and two keyspaces that got the same calls are equal, iterate in the same order and count
// the same memory. What a command means, and what it answers, is package command's.
package keyspace
