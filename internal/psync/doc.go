// Package psync reads a Redis's data and all its later changes as a replica does: PSYNC gives an RDB file as of one place in the
// source's stream of commands, and then that stream (replication.c). What becomes of them is the caller's business. The
// source is told how far the stream has been put away, so that WAIT and INFO there say something true.
package psync
