package command

import (
	"math"
	"math/bits"

	"brainer/internal/keyspace"
)

func runHRandField(c *Ctx) {
	if len(c.Args) == 2 {
		h, found, ok := c.hash()
		if !ok {
			return
		}
		if !found {
			c.W.Null()
			return
		}
		field, _ := h.At(c.below(h.Len()))
		c.W.Bulk(field)
		return
	}
	count, withValues, ok := parseRandomCount(c)
	if !ok {
		return
	}
	h, found, ok := c.hash()
	if !ok {
		return
	}
	r := randomFields{c, h, withValues}
	switch n := int64(h.Len()); {
	case !found || count == 0:
		c.W.Array(0)
	case count < 0:
		r.repeated(-count)
	default:
		r.distinct(int(min(count, n)))
	}
}

// parseRandomCount reads "count [WITHVALUES]" from argument 2 on; it answers the error itself.
func parseRandomCount(c *Ctx) (count int64, withValues, ok bool) {
	count, ok = c.int(2)
	if !ok {
		return 0, false, false
	}
	if count == math.MinInt64 {
		c.W.Error(ErrRange(-math.MaxInt64, math.MaxInt64))
		return 0, false, false
	}
	withValues = len(c.Args) == 4 && c.is(3, "withvalues")
	switch {
	case len(c.Args) > 3 && !withValues:
		c.W.Error(ErrSyntax)
		return 0, false, false
	case withValues && (count < -math.MaxInt64/2 || count > math.MaxInt64/2):
		c.W.Error(ErrOutOfRange)
		return 0, false, false
	}
	return count, withValues, true
}

// below returns a random number in [0, n).
func (c *Ctx) below(n int) int {
	high, _ := bits.Mul64(c.Rand(), uint64(n))
	return int(high)
}

// randomFields answers HRANDFIELD with a count.
type randomFields struct {
	c          *Ctx
	h          keyspace.Hash
	withValues bool
}

// repeated answers n independent picks.
func (r randomFields) repeated(n int64) {
	start := len(r.c.W.B)
	const pickBytesMin = 6 // of an empty field
	if n > replyBytesMax/pickBytesMin {
		r.c.W.Error(ErrReplyTooLarge)
		return
	}
	r.head(int(n))
	for range n {
		r.field(r.c.below(r.h.Len()))
		if r.c.replyTooLarge(start) {
			return
		}
	}
}

// distinct answers n different fields in the hash's order (Knuth, volume 2, 3.4.2, algorithm S).
func (r randomFields) distinct(n int) {
	r.head(n)
	size := r.h.Len()
	for i := 0; n > 0; i++ {
		if r.c.below(size-i) < n {
			r.field(i)
			n--
		}
	}
}

func (r randomFields) head(n int) {
	if r.withValues && r.c.W.Proto < 3 {
		n *= 2
	}
	r.c.W.Array(n)
}

func (r randomFields) field(i int) {
	field, value := r.h.At(i)
	if r.withValues && r.c.W.Proto >= 3 {
		r.c.W.Array(2)
	}
	r.c.W.Bulk(field)
	if r.withValues {
		r.c.W.Bulk(value)
	}
}
