package snapfile

import (
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"

	"brainer/internal/newfile"
)

// Writer writes a snapshot.
type Writer struct {
	to   io.Writer
	zstd *zstd.Encoder
	tail Tail
}

// NewWriter begins a snapshot.
func NewWriter(to io.Writer, head Head) (*Writer, error) {
	b, err := head.encode()
	if err != nil {
		return nil, err
	}
	if _, err := to.Write(b); err != nil {
		return nil, err
	}
	const window = 1 << 20 // zstd's default is 8 MB; what it finds further back is little
	z, err := zstd.NewWriter(to, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1),
		zstd.WithZeroFrames(true))
	if err != nil {
		return nil, err
	}
	return &Writer{to: to, zstd: z}, nil
}

// Write appends so many commands, in RESP.
func (w *Writer) Write(commands []byte, n int) error {
	w.tail.Bytes += uint64(len(commands))
	w.tail.Commands += uint64(n)
	_, err := w.zstd.Write(commands)
	return err
}

// End makes it whole; keys is how many there were.
func (w *Writer) End(keys int64) error {
	w.tail.Keys = uint64(keys)
	if err := w.zstd.Close(); err != nil {
		return err
	}
	_, err := w.to.Write(w.tail.encode())
	return err
}

// File is a snapshot on its way to a file. What was there before stays until the new one is whole and durable.
type File struct {
	*Writer
	to *newfile.File
}

// Create begins a file.
func Create(path string, head Head) (*File, error) {
	to, err := newfile.Create(path)
	if err != nil {
		return nil, err
	}
	f := &File{to: to}
	if f.Writer, err = NewWriter(to, head); err != nil {
		return nil, errors.Join(err, f.Abandon())
	}
	return f, nil
}

// Commit makes it whole, durable, and what path names. It returns how long it is.
func (f *File) Commit(keys int64) (bytes int64, err error) {
	err = f.End(keys)
	if err == nil {
		bytes, err = f.to.Seek(0, io.SeekCurrent)
	}
	if err != nil {
		return 0, errors.Join(err, f.Abandon())
	}
	return bytes, f.to.Commit()
}

// Abandon removes what was written.
func (f *File) Abandon() error { return f.to.Abandon() }
