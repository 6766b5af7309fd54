package rdb

import (
	"errors"
	"hash/crc64"
	"io"
)

// jones is Redis's polynomial, reversed as hash/crc64 has it.
var jones = crc64.MakeTable(0x95ac9329ac4bc9b5)

// source is the bytes of a file, with the checksum of those that were taken.
type source struct {
	from     io.Reader
	buf      []byte
	pos, end int
	summed   int // in buf, up to where crc has been
	crc      uint64
	taken    int64
}

func newSource(from io.Reader) *source { return &source{from: from, buf: make([]byte, 64<<10)} }

// sum is the checksum of all that was taken.
func (s *source) sum() uint64 {
	s.crc = ^crc64.Update(^s.crc, jones, s.buf[s.summed:s.pos])
	s.summed = s.pos
	return s.crc
}

func (s *source) fill() error {
	s.sum()
	s.pos, s.end, s.summed = 0, 0, 0
	for range 100 {
		n, err := s.from.Read(s.buf)
		if n > 0 {
			s.end = n
			return nil
		}
		if errors.Is(err, io.EOF) {
			return ErrTruncated
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

func (s *source) byte() (byte, error) {
	if s.pos == s.end {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	b := s.buf[s.pos]
	s.pos++
	s.taken++
	return b, nil
}

// bytes takes n bytes, into memory of their own.
func (s *source) bytes(n uint64) ([]byte, error) {
	if n > stringMax {
		return nil, ErrDamaged
	}
	var out []byte
	for uint64(len(out)) < n {
		if s.pos == s.end {
			if err := s.fill(); err != nil {
				return nil, err
			}
		}
		k := min(int(n)-len(out), s.end-s.pos)
		if out == nil && k == int(n) {
			out = make([]byte, 0, n)
		}
		out = append(out, s.buf[s.pos:s.pos+k]...)
		s.pos += k
		s.taken += int64(k)
	}
	return out, nil
}

func (s *source) skip(n uint64) error {
	for n > 0 {
		if s.pos == s.end {
			if err := s.fill(); err != nil {
				return err
			}
		}
		k := min(n, uint64(s.end-s.pos))
		s.pos += int(k)
		s.taken += int64(k)
		n -= k
	}
	return nil
}

// little is an unsigned number of n bytes, the lowest first.
func (s *source) little(n int) (v uint64, err error) {
	for i := range n {
		b, err := s.byte()
		if err != nil {
			return 0, err
		}
		v |= uint64(b) << (8 * i)
	}
	return v, nil
}

// big is one with the highest byte first.
func (s *source) big(n int) (v uint64, err error) {
	for range n {
		b, err := s.byte()
		if err != nil {
			return 0, err
		}
		v = v<<8 | uint64(b)
	}
	return v, nil
}
