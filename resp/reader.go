package resp

import (
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"unsafe"
)

// Limits bound what a client may make the reader keep.
type Limits struct {
	BulkMax    int64 // bytes of one argument (proto-max-bulk-len)
	ArgsMax    int   // arguments of one command
	CommandMax int64 // bytes of one command with its framing (client-query-buffer-limit)
}

// DefaultLimits are Redis's.
func DefaultLimits() Limits {
	return Limits{BulkMax: 512 << 20, ArgsMax: 1 << 20, CommandMax: 1 << 30}
}

const (
	inlineMax     = 64 << 10 // bytes of an inline command, or of a length's line
	unauthArgsMax = 10
	unauthBulkMax = 16 << 10

	bufferMin  = 4 << 10
	bufferFill = 64 << 10  // a pipeline that fills the buffer makes it grow up to here
	smallReads = 256       // after so many small reads it shrinks again
	bufferKeep = 256 << 10 // a larger one is given back once it is empty enough
	argsKeep   = 16 << 10  // and so are more argument slots than these

	lastingBytes = 256 << 10 // a command of as many keeps its buffer
	trustFactor  = 16        // an announced argument gets its room when a sixteenth has arrived
)

// ProtocolError is what a client is told before its connection is closed.
type ProtocolError string

// Error is the reply's text, with its code.
func (e ProtocolError) Error() string { return "ERR Protocol error: " + string(e) }

// ErrTooLarge: a command is larger than Limits.CommandMax. Redis closes without a word.
var ErrTooLarge = errors.New("resp: command exceeds the query buffer limit")

// Command is one command of a client. It lives until the next Fill of the Reader that returned it.
type Command struct {
	Raw  []byte   // canonical RESP, as AppendCommand writes it
	Args [][]byte // never empty; aliases Raw

	// Lasting: Raw is not used again when the command is gone, and may be kept. Large ones are such.
	Lasting bool
}

// Reader reads commands: arrays of bulk strings, and inline commands. Fill reads once from the
// source, Next returns the commands that are complete, until it says that there is no more. A
// command that is still incomplete is continued where it broke off, never parsed again, and memory
// grows with the bytes that have arrived, never with what a length announces.
type Reader struct {
	Limits Limits
	// Unauthenticated holds the client to Redis's limits before AUTH. It may change between two
	// calls of Next.
	Unauthenticated bool

	src io.Reader
	buf []byte // [start, end) has arrived and belongs to no returned command
	err error  // a protocol error lasts

	filled bool // the last read took all the room there was
	small  int  // reads since then that took little of it

	start, end int
	pos        int // parsed up to here; start <= pos <= end
	searched   int // no line end in [pos, searched)

	argsLeft  int    // of the array being read; 0: none has begun
	bulkLen   int    // of the argument being read; -1: its length has not been read
	spans     []span // the arguments so far, from start, of the command being read
	canonical bool   // every line so far ended in CR LF
	inline    bool   // it is a line of words: spans are of scratch

	// What backs the commands returned since the last Fill.
	args      [][]byte
	converted []byte
	scratch   []byte
	given     bool // buf belongs to a command that lasts
}

// span is [from, to) of a command's bytes, which are fewer than 4 GiB.
type span struct{ from, to uint32 }

func (s span) size() int { return int(s.to - s.from) }

// NewReader returns a reader with Redis's limits.
func NewReader(src io.Reader) *Reader {
	return &Reader{src: src, Limits: DefaultLimits(), bulkLen: -1, canonical: true}
}

// Partial says whether bytes have arrived that are not a complete command yet.
// It is meaningful once Next has said that there is no more.
func (r *Reader) Partial() bool { return r.end > r.start }

// Filled says whether the last Fill took all the room there was: there may be more to read.
func (r *Reader) Filled() bool { return r.filled }

// Buffered is how many bytes have arrived that no returned command holds.
func (r *Reader) Buffered() int { return r.end - r.start }

// Fill reads once from the source. Commands returned before are gone.
func (r *Reader) Fill() error {
	if r.err != nil {
		return r.err
	}
	if int64(r.end-r.start) > min(r.Limits.CommandMax, math.MaxUint32/2) {
		return ErrTooLarge
	}
	r.release()
	r.makeRoom()
	n, err := r.src.Read(r.buf[r.end:])
	r.end += n
	r.filled = r.end == len(r.buf)
	if r.small++; n > len(r.buf)/8 {
		r.small = 0
	}
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// release forgets the returned commands and moves what is left to the front: once per command,
// since the next incomplete one then begins there.
func (r *Reader) release() {
	if cap(r.args) > argsKeep {
		r.args = nil
	}
	if cap(r.converted) > bufferKeep {
		r.converted = nil
	}
	if cap(r.scratch) > bufferKeep {
		r.scratch = nil
	}
	if cap(r.spans) > argsKeep && len(r.spans) == 0 {
		r.spans = nil
	}
	clear(r.args)
	r.args, r.converted = r.args[:0], r.converted[:0]
	if r.start == 0 {
		return
	}
	left := r.buf[r.start:r.end]
	if r.given {
		r.given = false
		r.buf = make([]byte, max(bufferFill, 2*len(left))) // another large one is likely
	}
	tooLarge := len(r.buf) > bufferKeep || r.small >= smallReads && len(r.buf) > bufferMin
	if tooLarge && len(left) <= bufferFill || r.buf == nil {
		r.small = 0
		r.buf = make([]byte, max(bufferMin, 2*len(left)))
	}
	copy(r.buf, left)
	r.pos -= r.start
	r.searched -= r.start
	r.start, r.end = 0, len(left)
}

func (r *Reader) makeRoom() {
	size := len(r.buf)
	if r.end < size && (!r.filled || size >= bufferFill) {
		return
	}
	next := max(bufferMin, 2*size)
	if size >= bufferFill && r.bulkLen >= size/2 {
		// The last step for a large argument is what it will take.
		if need := r.pos + r.bulkLen + 2 + bufferMin; need > size && need <= trustFactor*r.end {
			next = need
		}
	}
	grown := uncleared(next)
	copy(grown, r.buf[:r.end])
	r.buf = grown
}

// uncleared is make for memory that is written before it is read: clearing a megabyte takes as long as copying it.
func uncleared(n int) []byte {
	if n < bufferKeep {
		return make([]byte, n)
	}
	var b strings.Builder
	b.Grow(n)
	b.WriteByte(0)
	return unsafe.Slice(unsafe.StringData(b.String()), n)
}

// Next returns the next complete command; ok is false when more bytes are needed first.
// An error is a ProtocolError and lasts: answer the commands before it, tell it, and close.
func (r *Reader) Next() (cmd Command, ok bool, err error) {
	if r.err != nil {
		return Command{}, false, r.err
	}
	for r.pos < r.end {
		var progress bool
		switch {
		case r.argsLeft > 0:
			progress = r.readArgs()
		case r.buf[r.pos] == '*':
			progress = r.readCount()
		default:
			progress = r.readInline()
		}
		if r.err != nil {
			return Command{}, false, r.err
		}
		if !progress {
			break
		}
		if r.argsLeft == 0 {
			if len(r.spans) > 0 {
				return r.finish(), true, nil
			}
			r.begin() // nothing was asked: an empty line, *0 or *-1
		}
	}
	return Command{}, false, nil
}

// finish hands out the command whose arguments are complete.
func (r *Reader) finish() Command {
	n := len(r.spans)
	first := len(r.args)
	r.args = slices.Grow(r.args, n)
	var cmd Command
	switch {
	case r.inline:
		cmd.Raw = r.convert(r.scratch)
	case !r.canonical:
		cmd.Raw = r.convert(r.buf[r.start:r.pos])
	default:
		cmd.Raw = r.buf[r.start:r.pos:r.pos]
		if len(cmd.Raw) >= lastingBytes {
			cmd.Lasting, r.given = true, true
		}
		for _, s := range r.spans {
			from, to := r.start+int(s.from), r.start+int(s.to)
			r.args = append(r.args, r.buf[from:to:to])
		}
	}
	cmd.Args = r.args[first : first+n : first+n]
	r.begin()
	return cmd
}

// convert writes the arguments that the spans mark in text as canonical RESP.
func (r *Reader) convert(text []byte) []byte {
	size := 16
	for _, s := range r.spans {
		size += s.size() + 16
	}
	if cap(r.converted)-len(r.converted) < size {
		// What was handed out keeps its own memory.
		r.converted = make([]byte, 0, max(bufferMin, 2*cap(r.converted), 2*size))
	}
	b := r.converted
	first := len(b)
	b = appendHead(b, '*', len(r.spans))
	for _, s := range r.spans {
		b = appendHead(b, '$', s.size())
		from := len(b)
		b = append(b, text[s.from:s.to]...)
		r.args = append(r.args, b[from:len(b):len(b)])
		b = append(b, '\r', '\n')
	}
	r.converted = b
	return b[first:len(b):len(b)]
}

// begin starts the next command at pos.
func (r *Reader) begin() {
	r.start, r.searched = r.pos, r.pos
	r.spans = r.spans[:0]
	r.bulkLen, r.canonical, r.inline = -1, true, false
}

func (r *Reader) fail(text string) bool {
	r.err = ProtocolError(text)
	return false
}

// line finds the line of a length at pos: r.buf[pos+1:cr] is the number. Redis looks for CR and
// skips the byte behind it unseen.
func (r *Reader) line(tooBig string) (cr int, ok bool) {
	i := max(r.searched, r.pos)
	for i < r.end && r.buf[i] != '\r' {
		i++
	}
	r.searched = i
	if i-r.pos > inlineMax {
		return 0, r.fail(tooBig)
	}
	if i+1 >= r.end {
		return 0, false
	}
	if r.buf[i+1] != '\n' {
		r.canonical = false
	}
	return i, true
}

func (r *Reader) readCount() bool {
	cr, ok := r.line("too big mbulk count string")
	if !ok {
		return false
	}
	n, ok := parseLength(r.buf[r.pos+1 : cr])
	switch {
	case !ok || n > int64(r.Limits.ArgsMax):
		return r.fail("invalid multibulk length")
	case n > unauthArgsMax && r.Unauthenticated:
		return r.fail("unauthenticated multibulk length")
	}
	r.pos, r.searched = cr+2, cr+2
	r.argsLeft = int(max(n, 0))
	return true
}

// readArgs reads arguments as far as they have arrived.
func (r *Reader) readArgs() bool {
	for r.argsLeft > 0 {
		if r.bulkLen < 0 && !r.readBulkLen() {
			return false
		}
		to := r.pos + r.bulkLen
		if to+2 > r.end {
			return false
		}
		if r.buf[to] != '\r' || r.buf[to+1] != '\n' {
			r.canonical = false
		}
		r.spans = append(r.spans, span{uint32(r.pos - r.start), uint32(to - r.start)})
		r.pos, r.searched = to+2, to+2
		r.bulkLen = -1
		r.argsLeft--
	}
	return true
}

func (r *Reader) readBulkLen() bool {
	if r.pos >= r.end {
		return false
	}
	cr, ok := r.line("too big bulk count string")
	if !ok {
		return false
	}
	if c := r.buf[r.pos]; c != '$' {
		return r.fail("expected '$', got '" + string([]byte{c}) + "'")
	}
	n, ok := parseLength(r.buf[r.pos+1 : cr])
	switch {
	case !ok || n < 0 || n > r.Limits.BulkMax:
		return r.fail("invalid bulk length")
	case n > unauthBulkMax && r.Unauthenticated:
		return r.fail("unauthenticated bulk length")
	}
	r.pos, r.searched = cr+2, cr+2
	r.bulkLen = int(n)
	return true
}

// readInline reads one line of words.
func (r *Reader) readInline() bool {
	i := max(r.searched, r.pos)
	for i < r.end && r.buf[i] != '\n' {
		i++
	}
	r.searched = i
	if i-r.pos > inlineMax {
		return r.fail("too big inline request")
	}
	if i == r.end {
		return false
	}
	line := r.buf[r.pos:i]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	text, spans, ok := splitInline(line, r.scratch[:0], r.spans[:0])
	r.scratch, r.spans = text, spans
	if !ok {
		return r.fail("unbalanced quotes in request")
	}
	if len(spans) > 0 {
		r.inline = true
	}
	r.pos, r.searched = i+1, i+1
	return true
}

// Free is how many bytes of the buffer are unused.
func (r *Reader) Free() int { return len(r.buf) - r.end }
