package command

import (
	"runtime/debug"
	"strconv"

	"brainer/internal/keyspace"
	"brainer/resp"
)

// Later is a read of very many elements that has begun and is executed piece by piece, with other
// commands in between: it shows the keyspace as it was when it began. Close it when it is done, or
// not wanted any more.
type Later struct {
	Faults []Fault

	command string
	view    *keyspace.View
	each    func(w *resp.Writer) (elements int) // writes what the view has at hand
	head    func(w *resp.Writer, elements int)  // of the reply
	w       resp.Writer
	n       int
	max     int
}

// headRoom is what the head of a reply may take; it is written when the elements have been counted.
const headRoom = 64

// begin makes a long read a Later, if the caller takes one and there is room for it. v is nil when
// there is none.
func (c *Ctx) begin(v *keyspace.View, each func(w *resp.Writer, v *keyspace.View) int, head func(w *resp.Writer, v *keyspace.View, n int)) bool {
	if v == nil {
		return false
	}
	c.Later = &Later{
		command: c.cmd.Name, view: v, max: c.replyBytes(),
		each: func(w *resp.Writer) int { return each(w, v) },
		head: func(w *resp.Writer, n int) { head(w, v, n) },
		w:    resp.Writer{Proto: c.W.Proto, B: make([]byte, headRoom)},
	}
	return true
}

// takesLong says whether a read that visits so many elements, of so many bytes, is to be a Later.
func (c *Ctx) takesLong(elements int, bytes int64) bool {
	return c.LaterFrom > 0 && (elements > c.LaterFrom || bytes > laterBytes)
}

// laterBytes is how long a reply of few elements may be before it is made piece by piece.
const laterBytes = 1 << 20

// Step goes on for about that many elements, or bytes of reply, and tells whether that was all.
func (l *Later) Step(elements, bytes int) (done bool) {
	defer func() {
		if fault := recover(); fault != nil {
			l.Faults = append(l.Faults, Fault{l.command, fault, debug.Stack()})
			l.fail(ErrInternal)
			done = true
		}
	}()
	for until := len(l.w.B) + bytes; elements > 0 && len(l.w.B) < until; elements-- {
		if !l.view.Next() {
			end := len(l.w.B)
			l.head(&l.w, l.n)
			var head [headRoom]byte
			n := copy(head[:], l.w.B[end:])
			if n != len(l.w.B)-end {
				panic("command: a reply's head is longer than its room")
			}
			l.w.B = l.w.B[:end]
			copy(l.w.B[headRoom-n:], head[:n])
			l.w.B = l.w.B[headRoom-n:]
			return true
		}
		l.n += l.each(&l.w)
		if len(l.w.B)-headRoom > l.max {
			l.fail(ErrReplyTooLarge)
			return true
		}
	}
	return false
}

func (l *Later) fail(text string) {
	l.w.B = nil
	l.w.Error(text)
}

// Reply is the reply once Step has said that it is done.
func (l *Later) Reply() []byte { return l.w.B }

// Close lets go of what the read has kept.
func (l *Later) Close() { l.view.Close() }

func bulkKey(w *resp.Writer, v *keyspace.View) int {
	w.Bulk(v.Key())
	return 1
}

func bulkField(w *resp.Writer, v *keyspace.View) int {
	w.Bulk(v.Field())
	return 1
}

func bulkPair(w *resp.Writer, v *keyspace.View) int {
	w.Bulk(v.Key())
	w.Bulk(v.Field())
	return 1
}

func arrayHead(w *resp.Writer, _ *keyspace.View, n int) { w.Array(n) }

func mapHead(w *resp.Writer, _ *keyspace.View, n int) { w.Map(n) }

// scanHead answers the next cursor; every element is of that many strings.
func scanHead(strings int) func(*resp.Writer, *keyspace.View, int) {
	return func(w *resp.Writer, v *keyspace.View, n int) {
		var digits [20]byte
		w.Array(2)
		w.Bulk(strconv.AppendUint(digits[:0], v.Cursor(), 10))
		w.Array(n * strings)
	}
}
