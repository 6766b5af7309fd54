// Package snapfile reads and writes saved snapshots: the data as commands in RESP, compressed by zstd, between two
// frames that zstd skips. So `zstd -dc FILE | redis-cli --pipe` loads one into any Redis.
//
//	head  "0x184D2A50" length u32 | JSON (Head) | crc32c u32
//	data  zstd frame with its own checksum
//	tail  "0x184D2A5B" length u32 | "BRAINER." bytes u64 commands u64 keys u64 | crc32c u32
//
// The head says what it is before anything is believed, the tail that it is whole. Which data, and what becomes of it, is
// other packages' business.
package snapfile
