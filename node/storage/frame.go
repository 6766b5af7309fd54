package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/s2"
)

// A file begins with: magic (8 bytes) | format u32 | number u64 | crc u32. A frame is:
//
//	magic u32 | number u32 | synced u64 | stored u32 | raw u32 | crc u32 | records
//
// number counts from 0 in the file; up to synced bytes of it were known to be on the disk when the frame was
// written; stored is the bytes that follow, raw what they are once unpacked (the same: they were not packed).
// The checksum is of all before it and all behind it. A record is its length (uvarint) and its bytes.
const (
	magicLog      = "BRAINLOG"
	magicSnapshot = "BRAINSNP"
	format        = 1 // raised when a run_node that does not know it could not read the files

	fileHead   = 8 + 4 + 8 + 4
	frameHead  = 4 + 4 + 8 + 4 + 4 + 4
	frameMagic = 0x6d724662 // bytes "bFrm"
	rawMax     = 4<<30 - 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendFileHead(b []byte, magic string, number uint64) []byte {
	start := len(b)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, format)
	b = binary.LittleEndian.AppendUint64(b, number)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

var (
	errForeign = errors.New("is no file of a node's storage: move it away")
	errTorn    = errors.New("its beginning is damaged")
)

// checkFileHead reads a file's beginning.
func checkFileHead(b []byte, magic string, number uint64) error {
	if len(b) < fileHead {
		return errTorn
	}
	le := binary.LittleEndian
	switch {
	case crc32.Checksum(b[:fileHead-4], castagnoli) != le.Uint32(b[fileHead-4:]):
		if string(b[:8]) != magic && !bytes.Equal(b[:8], make([]byte, 8)) {
			return errForeign
		}
		return errTorn
	case string(b[:8]) != magic:
		return errForeign
	case le.Uint32(b[8:]) > format:
		return fmt.Errorf("was written by a newer run_node (format %d, this one knows %d): run that one", le.Uint32(b[8:]), format)
	case le.Uint64(b[12:]) != number:
		return fmt.Errorf("is number %d of another place: its name was changed", le.Uint64(b[12:]))
	}
	return nil
}

// packer makes frames; its buffers are used again.
type packer struct {
	raw, packed, frame []byte
}

// frameOf returns the frame of the records, valid until the next call.
func (p *packer) frameOf(number uint32, synced int64, records ...[]byte) ([]byte, error) {
	p.raw = p.raw[:0]
	for _, r := range records {
		p.raw = binary.AppendUvarint(p.raw, uint64(len(r)))
		p.raw = append(p.raw, r...)
	}
	if len(p.raw) > rawMax {
		return nil, fmt.Errorf("%d bytes are too many for one frame", len(p.raw))
	}
	need := frameHead + max(s2.MaxEncodedLen(len(p.raw)), len(p.raw))
	if cap(p.packed) < need {
		p.packed = make([]byte, need)
	}
	body := s2.Encode(p.packed[:cap(p.packed)], p.raw)
	if len(body) >= len(p.raw) {
		body = p.raw
	}
	p.frame = appendFrame(p.frame[:0], number, synced, len(p.raw), body)
	frame := p.frame
	if cap(p.raw)+cap(p.packed)+cap(p.frame) > 16<<20 {
		*p = packer{} // after a large value
	}
	return frame, nil
}

func appendFrame(b []byte, number uint32, synced int64, raw int, body []byte) []byte {
	le := binary.LittleEndian
	start := len(b)
	b = le.AppendUint32(b, frameMagic)
	b = le.AppendUint32(b, number)
	b = le.AppendUint64(b, uint64(synced))
	b = le.AppendUint32(b, uint32(len(body)))
	b = le.AppendUint32(b, uint32(raw))
	sum := crc32.Update(crc32.Checksum(b[start:], castagnoli), castagnoli, body)
	b = le.AppendUint32(b, sum)
	return append(b, body...)
}

// frame is one that was read.
type frame struct {
	number uint32
	synced int64
	stored int
	raw    int
	sum    uint32
	head   []byte // what the checksum covers of it
}

// parseFrameHead reads a head; ok says whether it can be one.
func parseFrameHead(b []byte) (f frame, ok bool) {
	le := binary.LittleEndian
	if len(b) < frameHead || le.Uint32(b) != frameMagic {
		return f, false
	}
	f = frame{number: le.Uint32(b[4:]), synced: int64(le.Uint64(b[8:])), stored: int(le.Uint32(b[16:])), raw: int(le.Uint32(b[20:])),
		sum: le.Uint32(b[24:]), head: b[:frameHead-4]}
	return f, f.synced >= 0
}

func (f *frame) fits(body []byte) bool {
	return crc32.Update(crc32.Checksum(f.head, castagnoli), castagnoli, body) == f.sum
}

// unpack hands the frame's records over.
func (f *frame) unpack(body []byte, take func(record []byte) error) error {
	if f.stored != f.raw {
		n, err := s2.DecodedLen(body)
		if err != nil || n != f.raw {
			return errors.New("its compression is damaged")
		}
		if body, err = s2.Decode(make([]byte, n), body); err != nil {
			return errors.New("its compression is damaged")
		}
	}
	for len(body) > 0 {
		n, k := binary.Uvarint(body)
		if k <= 0 || n > uint64(len(body)-k) {
			return errors.New("its records are damaged")
		}
		end := k + int(n)
		if err := take(body[k:end:end]); err != nil {
			return taken{err}
		}
		body = body[end:]
	}
	return nil
}

// taken is an error of whoever takes the records.
type taken struct{ error }

func (t taken) Unwrap() error { return t.error }
