package command

import "brainer/internal/keyspace"

func lcsRows() []Row {
	return []Row{
		{
			Name: "lcs", Arity: -3, Flags: ReadOnly,
			KeySpec: []string{"RO access @1:1"},
			ACL:     "string",
			Group:   "string", Since: "7.0.0", Complexity: "O(N*M) where N and M are the lengths of s1 and s2, respectively",
			Summary: "Find longest common substring",
			ArgSpec: "key1<key>#0 key2<key>#0 len=LEN? idx=IDX? len<integer>!MINMATCHLEN? withmatchlen=WITHMATCHLEN?",
			Run:     runLCS,
		},
	}
}

// lcsOptions are LCS's.
type lcsOptions struct {
	length, index, withLength bool
	lengthMin                 int64
}

func runLCS(c *Ctx) {
	a, foundA := c.get(c.Args[1])
	b, foundB := c.get(c.Args[2])
	if foundA && a.Type != keyspace.TypeString || foundB && b.Type != keyspace.TypeString {
		c.W.Error(ErrLCSTypes)
		return
	}
	o, ok := parseLCSOptions(c)
	if !ok {
		return
	}
	const cellBytes = 4
	if cells := (len(a.String) + 1) * (len(b.String) + 1); cells > stringBytesMax/cellBytes {
		c.W.Error(ErrLCSMemory)
		return
	}
	t := newLCSTable(a.String, b.String)
	if o.length && !o.index {
		c.W.Int(int64(t.length()))
		return
	}
	common, matches := t.walk(o.lengthMin)
	if !o.index {
		c.W.Bulk(common)
		return
	}
	c.W.Map(2)
	c.W.BulkString("matches")
	c.W.Array(len(matches))
	for _, m := range matches {
		m.write(c, o.withLength)
	}
	c.W.BulkString("len")
	c.W.Int(int64(t.length()))
}

// parseLCSOptions answers the error itself.
func parseLCSOptions(c *Ctx) (o lcsOptions, ok bool) {
	for i := 3; i < len(c.Args); i++ {
		switch {
		case c.is(i, "idx"):
			o.index = true
		case c.is(i, "len"):
			o.length = true
		case c.is(i, "withmatchlen"):
			o.withLength = true
		case c.is(i, "minmatchlen") && i+1 < len(c.Args):
			i++
			if o.lengthMin, ok = c.int(i); !ok {
				return o, false
			}
		default:
			c.W.Error(ErrSyntax)
			return o, false
		}
	}
	if o.index && o.length {
		c.W.Error(ErrLCSLenAndIdx)
		return o, false
	}
	return o, true
}

// lcsTable has in cell (i, j) the length of the longest common subsequence of a[:i] and b[:j].
type lcsTable struct {
	a, b  []byte
	cells []uint32
}

func newLCSTable(a, b []byte) *lcsTable {
	t := &lcsTable{a, b, make([]uint32, (len(a)+1)*(len(b)+1))}
	width := len(b) + 1
	for i := range a {
		above, row := t.cells[i*width:(i+1)*width], t.cells[(i+1)*width:(i+2)*width]
		for j := range b {
			if a[i] == b[j] {
				row[j+1] = above[j] + 1
			} else {
				row[j+1] = max(above[j+1], row[j])
			}
		}
	}
	return t
}

func (t *lcsTable) at(i, j int) uint32 { return t.cells[i*(len(t.b)+1)+j] }

func (t *lcsTable) length() uint32 { return t.at(len(t.a), len(t.b)) }

// lcsMatch is a run of the subsequence that is contiguous in both strings, ends included.
type lcsMatch struct{ aStart, aEnd, bStart, bEnd int }

func (m lcsMatch) length() int { return m.aEnd - m.aStart + 1 }

func (m lcsMatch) write(c *Ctx, withLength bool) {
	if withLength {
		c.W.Array(3)
	} else {
		c.W.Array(2)
	}
	for _, ends := range [2][2]int{{m.aStart, m.aEnd}, {m.bStart, m.bEnd}} {
		c.W.Array(2)
		c.W.Int(int64(ends[0]))
		c.W.Int(int64(ends[1]))
	}
	if withLength {
		c.W.Int(int64(m.length()))
	}
}

// walk goes from the last cell to the first and returns the subsequence and its runs of at least
// lengthMin, last first. It finds the runs that Redis's lcsCommand finds, which leaves out the byte
// that ends a run by beginning another.
func (t *lcsTable) walk(lengthMin int64) (common []byte, matches []lcsMatch) {
	common = make([]byte, t.length())
	left := len(common)
	var m lcsMatch
	open := false
	for i, j := len(t.a), len(t.b); i > 0 && j > 0; {
		emit := false
		if t.a[i-1] == t.b[j-1] {
			left--
			common[left] = t.a[i-1]
			switch {
			case !open:
				m, open = lcsMatch{i - 1, i - 1, j - 1, j - 1}, true
			case m.aStart == i && m.bStart == j:
				m.aStart--
				m.bStart--
			default:
				emit = true
			}
			emit = emit || m.aStart == 0 || m.bStart == 0
			i--
			j--
		} else {
			if t.at(i-1, j) > t.at(i, j-1) {
				i--
			} else {
				j--
			}
			emit = open
		}
		if emit {
			if int64(m.length()) >= lengthMin {
				matches = append(matches, m)
			}
			open = false
		}
	}
	return common, matches
}
