// Package wire is the only language spoken between a broker and its nodes (and between brokers).
// One message is one frame: a header of 52 bytes, little endian,
//
//	magic u16 | version u8 | type u8 | flags u16 | part u16 | epoch u64 | session u64 |
//	seq u64 | time u64 (ms) | whole u32 | length u32 | crc32c u32 (of body, then header up to here)
//
// and a body that its type describes. A long message travels in several frames, of which each says how
// long the whole body is. Every frame names the epoch and the session it belongs to, so
// that what comes late from an earlier life is recognised. The package encodes and decodes; who may
// say what, and what follows from it, is decided in broker/replication and node/replica.
//
// This package speaks its Version and the one before. A node opens a session in the newer one; a broker
// that does not know it says so (Reject), and the node's next session is in the older one. Both sides
// write a session's frames in the version that its Hello came in. To add a field: raise Version and
// VersionBefore, append the field to its message, write and read it unless the frame's version is the one
// before, drop the conditions on older ones, move testdata/golden.txt to testdata/before.txt and write it anew.
//
// A frame's first byte is never a letter, '*' or white space: that tells it from RESP, which clients
// send to the same endpoint.
package wire
