package command

import (
	"math"
	"math/bits"

	"brainer/internal/keyspace"
)

func hashRandomRows() []Row {
	return []Row{
		{
			Name: "hrandfield", Arity: -2, Flags: ReadOnly | Random,
			KeySpec: []string{"RO access @1"},
			ACL:     "hash",
			Tips:    []string{"nondeterministic_output"},
			Group:   "hash", Since: "6.2.0", Complexity: "O(N) where N is the number of fields returned",
			Summary: "Get one or multiple random fields from a hash",
			ArgSpec: "key<key>#0 options<block>?(count<integer> withvalues=WITHVALUES?)",
			Run:     runHRandField,
		},
	}
}

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

// few says whether n picks are so few that each may look its field up by number, which takes the
// longer the larger the hash is. Many go through the hash once.
func (r randomFields) few(n int) bool {
	const lookupCost = 32 // in steps of going through
	return n < r.h.Len()/lookupCost
}

// repeated answers n independent picks.
func (r randomFields) repeated(n int64) {
	start := len(r.c.W.B)
	const pickBytesMin = 6 // of an empty field
	if n > replyBytesMax/pickBytesMin {
		r.c.W.Error(ErrReplyTooLarge)
		return
	}
	at := r.h.At
	if !r.few(int(n)) {
		at = r.all()
	}
	r.head(int(n))
	for range n {
		r.field(at(r.c.below(r.h.Len())))
		if r.c.replyTooLarge(start) {
			return
		}
	}
}

// all returns Hash.At for many calls.
func (r randomFields) all() (at func(int) (field, value []byte)) {
	pairs := make([][2][]byte, 0, r.h.Len())
	r.h.Each(func(field, value []byte) bool {
		pairs = append(pairs, [2][]byte{field, value})
		return true
	})
	return func(i int) (field, value []byte) { return pairs[i][0], pairs[i][1] }
}

// distinct answers n different fields.
func (r randomFields) distinct(n int) {
	r.head(n)
	if r.few(n) {
		r.distinctFew(n)
		return
	}
	// Knuth, volume 2, 3.4.2, algorithm S.
	left := r.h.Len()
	r.h.Each(func(field, value []byte) bool {
		if r.c.below(left) < n {
			r.field(field, value)
			n--
		}
		left--
		return n > 0
	})
}

// distinctFew is Floyd's algorithm (Bentley, Programming Pearls, 1987): n steps, whatever the size.
func (r randomFields) distinctFew(n int) {
	picked := make(map[int]bool, n)
	for size := r.h.Len() - n + 1; size <= r.h.Len(); size++ {
		i := r.c.below(size)
		if picked[i] {
			i = size - 1
		}
		picked[i] = true
		r.field(r.h.At(i))
	}
}

func (r randomFields) head(n int) {
	if r.withValues && r.c.W.Proto < 3 {
		n *= 2
	}
	r.c.W.Array(n)
}

func (r randomFields) field(field, value []byte) {
	if r.withValues && r.c.W.Proto >= 3 {
		r.c.W.Array(2)
	}
	r.c.W.Bulk(field)
	if r.withValues {
		r.c.W.Bulk(value)
	}
}
