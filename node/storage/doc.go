// Package storage is what a node keeps beside its memory, so that it comes back where it was: a log of
// records that may be replaced by a snapshot and what came after it. What the records mean is
// node/replica's; when they are synced, and what happens when the storage fails, is package node's.
//
// Memory keeps nothing. Disk keeps numbered segments of a log and one snapshot in a directory:
//
//	lock           held by the process that uses the directory
//	0000000007.log the log's segment 7: frames of records
//	0000000007.snap what there was before segment 7; earlier segments are then not needed
//	*.new          a snapshot that is being written
//	*.damaged      what --repair has put aside
//
// Each file begins with what it is, its format and its number; frames follow, each with its number, its lengths, the place up to
// which the file was known to be synced when it was written, a checksum, and its records, compressed. A
// snapshot is written beside, synced, renamed, and the directory is synced, before what it replaces goes.
//
// A frame that cannot be read is the log's torn tail, and is cut off with a warning, unless something behind it
// says that it had been synced: then the disk has lost what it had promised, and Load refuses.
//
// tidwall/wal, which would have been an existing library, has no checksums and no compression, and takes a
// flipped bit for data.
package storage
