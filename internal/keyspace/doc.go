// Package keyspace holds the data of one node: sixteen databases of keys, their values and their
// deadlines. It has no clock, no lock and no goroutine: time is an argument, one goroutine owns a
// Keyspace, and two keyspaces that got the same calls are equal, iterate in the same order and count
// the same memory. What a command means, and what it answers, is package command's.
//
// # Order
//
// Everything that is seen in an order is seen in one that follows from the state alone, never from its
// history or from memory: keys by their hash (then by their bytes), the fields of a hashtable likewise,
// those of a listpack as they were inserted. So SCAN's cursors, RANDOMKEY and HGETALL agree on a copy
// that was loaded from a snapshot. The hash is SipHash with a seed (SetSeed), which all copies of one
// history share and no client knows: nobody can make keys that collide. Were there any, each access to them would
// be slow, not wrong, and the directory would stay small.
//
// # Memory
//
// A database is an extendible hash (table.go). The leading bits of a key's hash choose, through a
// directory, a segment of at most 64 KiB and 1024 entries; there a sorted array of four bytes an entry
// leads to the packed entry (entry.go). The 16 bits of the hash that order this array are uniform, so
// its middle need not be searched: a guess is some ten slots off. A segment splits by one more bit of
// the hash, and joins its neighbour when little is left of both. Values of more than about a kilobyte
// lie outside in blocks of their own size (blob.go); spans of blocks that deletions leave
// sparse are emptied into others of their size (compact.go), so that what is evicted gives memory back; a hash is a packed value while small, and a table of its
// own after that (hash.go). Deadlines are sorted pages of (deadline, hash) (deadlines.go).
//
// All of it lies in pages that are mapped outside Go's heap (memory.go), what describes those blocks too (heads.go). Its
// collector has nothing to mark but the segments, and does not let the process grow to twice the data before it runs; pages that stay free go
// back to the system. GOMEMLIMIT does not see these pages.
//
// One million keys of 16 bytes with 64-byte values cost this process 101 resident bytes a key, 112
// after each was overwritten twice with 40 to 88 bytes, and 23 more with a deadline; redis-server
// 7.0.15 costs 172 to 186 and 222 to 233 (go test -bench BytesPerKey). Transparent huge pages made reads a
// tenth to a sixth faster; they are not asked for, because they fault in for longer and give freed pages back late.
//
// # Use
//
// Each key remembers in four bytes when it was last accessed and, as Redis's LFU does, the logarithm of how often
// (recency.go); both at once, so that the policy of evictions may change at any time. Reads change it without a word to
// anybody: it differs between copies, and no digest has it.
//
// # Snapshots
//
// A snapshot marks every segment and walks them, while changes go on: an entry of a marked segment that is about
// to change is copied first (snapshot.go). Nothing else is copied, and nothing waits. The marks of a big
// hash are set when the walk, or a change, comes to its key. A view (view.go) does the same for one reader, but
// copies the whole segment, because it keeps the order. A write to a million keys of which a snapshot is being
// taken costs 0.7 µs; when snapshots copied segments it was 55 µs until all had been copied, which the first tenths
// of a second of a busy donor saw to (go test -bench SetDuringSnapshot).
package keyspace
