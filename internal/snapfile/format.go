package snapfile

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
)

// Format is the version of files that this program writes, and the highest that it reads.
const Format = 1

const (
	headMagic = 0x184D2A50 // zstd: skippable frames are 0x184D2A50 to 0x184D2A5F
	tailMagic = 0x184D2A5B
	tailMark  = "BRAINER."
	tailBytes = 8 + len(tailMark) + 3*8 + 4
	headMax   = 64 << 10
)

// Head says what a file has.
type Head struct {
	Brainer  int    `json:"brainer_snapshot"` // the format
	Software string `json:"software"`
	Cluster  string `json:"cluster,omitempty"`
	Epoch    uint64 `json:"epoch"`
	Index    uint64 `json:"index"`   // of the state
	TimeMs   int64  `json:"time_ms"` // when it was so, as Unix time
}

// Tail says how much there was.
type Tail struct {
	Bytes    uint64 // of commands
	Commands uint64
	Keys     uint64 // those that had expired and were not reclaimed included
}

// What may be wrong with a file.
var (
	ErrForeign   = errors.New("not a snapshot of Brainer")
	ErrTruncated = errors.New("the snapshot is cut off: its end is missing")
	ErrDamaged   = errors.New("the snapshot is damaged")
)

// ErrNewer: the file is of a later program.
type ErrNewer int

func (e ErrNewer) Error() string {
	return fmt.Sprintf("the snapshot has format %d, and this program knows %d: a newer one has written it", int(e), Format)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frame is a zstd frame that is skipped.
func frame(magic uint32, payload []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, magic)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)+4))
	b = append(b, payload...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// unframe returns a whole frame's payload.
func unframe(b []byte) (payload []byte, ok bool) {
	if len(b) < 12 {
		return nil, false
	}
	end := len(b) - 4
	return b[8:end], binary.LittleEndian.Uint32(b[end:]) == crc32.Checksum(b[:end], castagnoli)
}

func (h Head) encode() ([]byte, error) {
	h.Brainer = Format
	text, err := json.Marshal(h)
	return frame(headMagic, text), err
}

func (t Tail) encode() []byte {
	b := []byte(tailMark)
	for _, n := range []uint64{t.Bytes, t.Commands, t.Keys} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return frame(tailMagic, b)
}

func decodeTail(b []byte) (t Tail, err error) {
	if len(b) < tailBytes || binary.LittleEndian.Uint32(b) != tailMagic {
		return t, ErrTruncated
	}
	payload, ok := unframe(b)
	if !ok || string(payload[:len(tailMark)]) != tailMark {
		return t, ErrDamaged
	}
	n := payload[len(tailMark):]
	return Tail{Bytes: binary.LittleEndian.Uint64(n), Commands: binary.LittleEndian.Uint64(n[8:]), Keys: binary.LittleEndian.Uint64(n[16:])}, nil
}
