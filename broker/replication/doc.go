// Package replication decides what is replicated where: it orders writes, routes reads, counts
// acknowledgements, keeps the in-sync set and the log window, and leads joins and recovery. It has
// no clock, no goroutine, no socket and no randomness of its own, and it does not know Redis: an
// operation is opaque bytes with key hashes. Package broker owns it, feeds it (Submit, Receive,
// Unreachable, ViewStored, Tick) and performs what it puts into Outputs.
//
// Four rules carry everything:
//
//   - A write is given the next index and sent to every node in that order. A node's acknowledgement
//     is cumulative: applied up to here.
//   - The safe index is the lowest acknowledged index of all that are required: the members of the
//     durable view, and joiners that are being added. The set of those required grows before the
//     view is stored with a new member, and shrinks only after it is stored without one.
//   - A read travels in the same stream as the writes, so that any in-sync node gives a fresh answer;
//     its reply is kept until the last write to its keys that was ordered before it is safe.
//   - Whatever the transport loses is sent again by index; a node drops what it has applied.
package replication
