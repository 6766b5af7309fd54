package psync

import (
	"bufio"
	"bytes"
	"io"
)

const markBytes = 40

// marked is an RDB file whose length was not known when it began (repl-diskless-sync): a mark, drawn for it, ends it.
type marked struct {
	r    *bufio.Reader
	mark []byte
	over bool
}

func (m *marked) Read(b []byte) (int, error) {
	for need := 1; !m.over; {
		if _, err := m.r.Peek(need); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		arrived, _ := m.r.Peek(m.r.Buffered())
		n := bytes.Index(arrived, m.mark)
		if n == 0 {
			m.over = true
			_, err := m.r.Discard(markBytes)
			if err != nil {
				return 0, err
			}
			break
		}
		if n < 0 { // the last bytes may be the beginning of the mark
			n = len(arrived) - markBytes + 1
		}
		if n > 0 {
			return m.r.Read(b[:min(n, len(b))])
		}
		need = len(arrived) + 1
	}
	return 0, io.EOF
}
