package snapfile

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Reader reads a snapshot's commands.
type Reader struct {
	Head Head
	Tail Tail // once Read has returned io.EOF

	zstd *zstd.Decoder
	end  *lastBytes
	n    uint64
	err  error // of Read
}

// Begins says whether a file may be a snapshot, by its first four bytes.
func Begins(start []byte) bool {
	return len(start) >= 4 && binary.LittleEndian.Uint32(start) == headMagic
}

// NewReader reads the head.
func NewReader(from io.Reader) (*Reader, error) {
	b := bufio.NewReaderSize(from, 256<<10)
	start, err := b.Peek(8)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(start) < 8 || !Begins(start) {
		return nil, ErrForeign
	}
	size := int(binary.LittleEndian.Uint32(start[4:]))
	if size < 4 || size > headMax {
		return nil, ErrForeign
	}
	whole := make([]byte, 8+size)
	if _, err := io.ReadFull(b, whole); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, ErrTruncated
		}
		return nil, err
	}
	text, intact := unframe(whole)
	r := &Reader{}
	if err := json.Unmarshal(text, &r.Head); (err != nil || r.Head.Brainer == 0) && intact {
		return nil, ErrForeign
	}
	switch {
	case !intact:
		return nil, ErrDamaged
	case r.Head.Brainer > Format:
		return nil, ErrNewer(r.Head.Brainer)
	}
	r.end = &lastBytes{from: b}
	r.zstd, err = zstd.NewReader(r.end, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20), zstd.WithDecoderLowmem(true))
	return r, err
}

// Read returns commands; io.EOF says that all of them have come, unharmed.
func (r *Reader) Read(b []byte) (n int, err error) {
	if r.err == nil && len(b) > 0 {
		n, r.err = r.read(b)
	}
	return n, r.err
}

func (r *Reader) read(b []byte) (n int, err error) {
	for n == 0 && err == nil {
		n, err = r.zstd.Read(b)
	}
	r.n += uint64(n)
	switch {
	case err == nil:
		return n, nil
	case r.end.err != nil && r.end.err != io.EOF:
		return n, r.end.err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return n, ErrTruncated
	case !errors.Is(err, io.EOF):
		return n, ErrDamaged
	}
	if r.Tail, err = decodeTail(r.end.last); err != nil {
		return n, err
	}
	if r.Tail.Bytes != r.n {
		return n, ErrDamaged
	}
	return n, io.EOF
}

// Close lets go of memory.
func (r *Reader) Close() { r.zstd.Close() }

// lastBytes remembers the end of what is read: the tail, which zstd skips.
type lastBytes struct {
	from io.Reader
	last []byte
	err  error
}

func (l *lastBytes) Read(b []byte) (int, error) {
	n, err := l.from.Read(b)
	l.err = err
	if n >= tailBytes {
		l.last = append(l.last[:0], b[n-tailBytes:n]...)
	} else {
		l.last = append(l.last, b[:n]...)
		l.last = l.last[max(0, len(l.last)-tailBytes):]
	}
	return n, err
}
