package keyspace

// How a hash lies in memory is in its entry's form.
const (
	formListpack  Form = iota // packed, in the order of insertion
	formHashtable             // packed in hash order, or a table of its own
)

// Hash is a hash as a reader sees it, valid until the next mutation of the keyspace. The zero Hash is empty.
type Hash struct {
	packed packed
	fields *table // instead of packed
	form   Form
	m      *memory
}

func hashAt(m *memory, s *segment, e *entry) Hash {
	h := Hash{form: e.form(), m: m}
	switch o := e.object(s).(type) {
	case nil:
		h.packed = packed(e.value(s))
	case *blob:
		h.packed = packed(o.b)
	case *table:
		h.fields = o
	}
	return h
}

// Encoding is listpack or hashtable.
func (h Hash) Encoding() Encoding {
	if h.form == formHashtable {
		return EncodingHashtable
	}
	return EncodingListpack
}

// Len is the number of fields.
func (h Hash) Len() int {
	if h.fields != nil {
		return h.fields.n
	}
	return h.packed.len()
}

// Bytes is about what the fields and their values count.
func (h Hash) Bytes() int64 { return h.weight() }

func (h Hash) weight() int64 {
	if h.fields != nil {
		return h.fields.weight
	}
	var n int64
	for i := 2; i < len(h.packed); {
		field, value, _, next := h.packed.pair(i)
		n += fieldBytes(field, value)
		i = next
	}
	return n
}

func fieldBytes(field, value []byte) int64 { return fieldWeight + int64(len(field)+len(value)) }

// Get returns the value of a field.
func (h Hash) Get(field []byte) ([]byte, bool) {
	if h.fields == nil {
		_, _, _, value, ok := h.packed.find(field)
		return value, ok
	}
	s, i, ok := h.fields.find(h.m.hashOf(field), field)
	if !ok {
		return nil, false
	}
	e := h.fields.decode(s.at(i))
	return e.value(s), true
}

// At returns the i-th field in the order of Each.
func (h Hash) At(i int) (field, value []byte) {
	if h.fields != nil {
		return h.fields.fieldAt(i)
	}
	h.packed.each(func(f, v []byte) bool {
		field, value = f, v
		i--
		return i >= 0
	})
	return field, value
}

func (t *table) fieldAt(i int) (field, value []byte) {
	for d := 0; d < len(t.dir); {
		head := t.dir[d]
		n := 0
		for s := head; s != nil; s = s.next {
			n += int(s.n)
		}
		if i >= n {
			i -= n
			d += t.span(head)
			continue
		}
		it := t.from(uint64(d) << (64 - t.global))
		if head.next == nil {
			it.skipTo(i)
			i -= it.skipped
		}
		for it.next() && i > 0 {
			i--
		}
		return it.e.key(it.s), it.e.value(it.s)
	}
	panic("keyspace: field index beyond the hash")
}

// Each visits the fields until visit returns false: in the order of insertion while the encoding is
// listpack, then in the order of the fields' hash.
func (h Hash) Each(visit func(field, value []byte) bool) {
	if h.fields == nil {
		h.packed.each(visit)
		return
	}
	for it := h.fields.from(0); it.next(); {
		if !visit(it.e.key(it.s), it.e.value(it.s)) {
			return
		}
	}
}

// Scan visits about count fields from the cursor on, with Keyspace.Scan's guarantee. All fields of a
// listpack come at once.
func (h Hash) Scan(cursor uint64, count int, visit func(field, value []byte)) (next uint64) {
	if h.form == formListpack {
		h.packed.each(func(f, v []byte) bool { visit(f, v); return true })
		return 0
	}
	if h.fields != nil {
		return h.fields.scan(cursor, count, func(s *segment, e *entry) { visit(e.key(s), e.value(s)) })
	}
	seen := scanStep{cursor: cursor, count: count}
	h.packed.each(func(f, v []byte) bool {
		hash := h.m.hashOf(f)
		if hash>>cursorShift < cursor {
			return true
		}
		if seen.full(hash) {
			return false
		}
		visit(f, v)
		return true
	})
	return seen.cursorAfter()
}
