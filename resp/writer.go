package resp

import (
	"math"
	"runtime"
	"strconv"
)

// Writer appends replies to B in the RESP version Proto (2 or 3). The zero value writes RESP2.
type Writer struct {
	B     []byte
	Proto int
}

// Reset empties the buffer, keeping its memory.
func (w *Writer) Reset(proto int) { w.B, w.Proto = w.B[:0], proto }

func (w *Writer) head(c byte, n int64) {
	w.B = append(w.B, c)
	w.B = strconv.AppendInt(w.B, n, 10)
	w.B = append(w.B, '\r', '\n')
}

// Simple writes a simple string ("+OK"); s holds no CR or LF.
func (w *Writer) Simple(s string) {
	w.B = append(w.B, '+')
	w.B = append(w.B, s...)
	w.B = append(w.B, '\r', '\n')
}

// OK writes +OK.
func (w *Writer) OK() { w.B = append(w.B, "+OK\r\n"...) }

// Error writes an error; s begins with its code ("ERR ..."). CR and LF become spaces.
func (w *Writer) Error(s string) {
	w.B = append(w.B, '-')
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == '\r' || c == '\n' {
			w.B = append(w.B, ' ')
		} else {
			w.B = append(w.B, c)
		}
	}
	w.B = append(w.B, '\r', '\n')
}

func (w *Writer) Int(n int64) { w.head(':', n) }

// BulkHead writes what stands before a bulk of n bytes.
func (w *Writer) BulkHead(n int) { w.head('$', int64(n)) }

func (w *Writer) Bulk(b []byte) {
	w.BulkHead(len(b))
	if len(b) > bulkStep && cap(w.B)-len(w.B) < len(b)+2 {
		grown := make([]byte, len(w.B), len(w.B)+len(b)+2)
		copy(grown, w.B)
		w.B = grown
	}
	for ; len(b) > bulkStep; b = b[bulkStep:] {
		w.B = append(w.B, b[:bulkStep]...)
		runtime.Gosched()
	}
	w.B = append(w.B, b...)
	w.B = append(w.B, '\r', '\n')
}

func (w *Writer) BulkString(s string) {
	w.head('$', int64(len(s)))
	w.B = append(w.B, s...)
	w.B = append(w.B, '\r', '\n')
}

// Null writes the null of a missing value: $-1 or _.
func (w *Writer) Null() {
	if w.Proto >= 3 {
		w.B = append(w.B, "_\r\n"...)
	} else {
		w.B = append(w.B, "$-1\r\n"...)
	}
}

// NullArray writes the null of a missing array: *-1 or _.
func (w *Writer) NullArray() {
	if w.Proto >= 3 {
		w.B = append(w.B, "_\r\n"...)
	} else {
		w.B = append(w.B, "*-1\r\n"...)
	}
}

// Array announces n elements.
func (w *Writer) Array(n int) { w.head('*', int64(n)) }

// Map announces n pairs: a map in RESP3, a flat array of 2n in RESP2.
func (w *Writer) Map(n int) {
	if w.Proto >= 3 {
		w.head('%', int64(n))
	} else {
		w.head('*', int64(2*n))
	}
}

// Set announces n elements of a set: an array in RESP2.
func (w *Writer) Set(n int) {
	if w.Proto >= 3 {
		w.head('~', int64(n))
	} else {
		w.head('*', int64(n))
	}
}

// Push announces an out-of-band message of n elements: an array in RESP2.
func (w *Writer) Push(n int) {
	if w.Proto >= 3 {
		w.head('>', int64(n))
	} else {
		w.head('*', int64(n))
	}
}

// bulkStep is what is copied in one go: a goroutine that copies cannot be interrupted, and half a
// gigabyte takes longer than a process may be silent.
const bulkStep = 4 << 20

// Bool writes #t/#f, or 1/0 in RESP2.
func (w *Writer) Bool(b bool) {
	switch {
	case w.Proto >= 3 && b:
		w.B = append(w.B, "#t\r\n"...)
	case w.Proto >= 3:
		w.B = append(w.B, "#f\r\n"...)
	case b:
		w.Int(1)
	default:
		w.Int(0)
	}
}

// Double writes a double in RESP3, a bulk string in RESP2.
func (w *Writer) Double(f float64) {
	s := FormatDouble(f)
	if w.Proto >= 3 {
		w.B = append(w.B, ',')
		w.B = append(w.B, s...)
		w.B = append(w.B, '\r', '\n')
	} else {
		w.BulkString(s)
	}
}

// Verbatim writes a verbatim string in RESP3 (format has three letters), a bulk string in RESP2.
func (w *Writer) Verbatim(format, s string) {
	if w.Proto < 3 {
		w.BulkString(s)
		return
	}
	w.head('=', int64(len(s)+4))
	w.B = append(w.B, format...)
	w.B = append(w.B, ':')
	w.B = append(w.B, s...)
	w.B = append(w.B, '\r', '\n')
}

// Raw appends RESP that is already encoded.
func (w *Writer) Raw(b []byte) { w.B = append(w.B, b...) }

// FormatDouble is Redis's %.17g with inf and nan in lower case.
func FormatDouble(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	return strconv.FormatFloat(f, 'g', 17, 64)
}

// AppendCommand appends args as an array of bulk strings: the canonical form of a command.
func AppendCommand(b []byte, args ...[]byte) []byte {
	b = append(b, '*')
	b = strconv.AppendInt(b, int64(len(args)), 10)
	b = append(b, '\r', '\n')
	for _, a := range args {
		b = append(b, '$')
		b = strconv.AppendInt(b, int64(len(a)), 10)
		b = append(b, '\r', '\n')
		b = append(b, a...)
		b = append(b, '\r', '\n')
	}
	return b
}

// Reply writes a decoded reply anew, in this writer's version.
func (w *Writer) Reply(r Reply) {
	switch r.Kind {
	case SimpleKind:
		w.Simple(string(r.Str))
	case ErrorKind:
		w.Error(string(r.Str))
	case IntKind:
		w.Int(r.Int)
	case NullKind:
		w.Null()
	case BoolKind:
		w.Bool(r.Int == 1)
	case DoubleKind:
		w.Double(r.Double)
	case VerbatimKind:
		w.Verbatim("txt", string(r.Str))
	case ArrayKind, SetKind, PushKind, MapKind:
		switch r.Kind {
		case SetKind:
			w.Set(len(r.Elems))
		case MapKind:
			w.Map(len(r.Elems) / 2)
		case PushKind:
			w.Push(len(r.Elems))
		default:
			w.Array(len(r.Elems))
		}
		for _, e := range r.Elems {
			w.Reply(e)
		}
	default: // a string, or a number that is none in RESP2
		w.Bulk(r.Str)
	}
}
