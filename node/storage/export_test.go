package storage

import (
	"encoding/binary"
	"hash/crc32"
)

// AppendSum completes a file's beginning.
func AppendSum(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}
