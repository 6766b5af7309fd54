package keyspace

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// packed is a small hash: the number of fields in two bytes, then length and bytes of each field and
// its value. As a listpack its fields stand in the order of insertion, else in the order of their hash.
type packed []byte

// Limits of the listpack encoding, as Redis 7.0 sets them by default.
const (
	listpackFieldsMax = 512
	listpackBytesMax  = 64
)

// A hashtable stays packed up to these limits. That is not seen outside.
const (
	packedFieldsMax = 128
	packedBytesMax  = pageBytes
)

func (p packed) len() int {
	if len(p) == 0 {
		return 0
	}
	return int(binary.LittleEndian.Uint16(p))
}

func (p packed) setLen(n int) { binary.LittleEndian.PutUint16(p, uint16(n)) }

// pair reads the field that begins at i; lenAt is where the length of its value stands.
func (p packed) pair(i int) (field, value []byte, lenAt, next int) {
	n, w := uvarint(p[i:])
	i += w
	field = p[i : i+n : i+n]
	i += n
	lenAt = i
	n, w = uvarint(p[i:])
	i += w
	return field, p[i : i+n : i+n], lenAt, i + n
}

func uvarint(b []byte) (n, width int) {
	if b[0] < 0x80 {
		return int(b[0]), 1
	}
	x, w := binary.Uvarint(b)
	return int(x), w
}

func (p packed) each(visit func(field, value []byte) bool) {
	for i := 2; i < len(p); {
		field, value, _, next := p.pair(i)
		if !visit(field, value) {
			return
		}
		i = next
	}
}

// find returns the span of a field, and of its value with the length.
func (p packed) find(field []byte) (at, lenAt, end int, value []byte, ok bool) {
	for i := 2; i < len(p); {
		f, v, l, next := p.pair(i)
		if bytes.Equal(f, field) {
			return i, l, next, v, true
		}
		i = next
	}
	return len(p), 0, 0, nil, false
}

// sortedPlace is where a new field belongs in hash order.
func (p packed) sortedPlace(m *memory, field []byte) int {
	hash := m.hashOf(field)
	i := 2
	for i < len(p) {
		f, _, _, next := p.pair(i)
		if h := m.hashOf(f); h > hash || h == hash && bytes.Compare(f, field) > 0 {
			break
		}
		i = next
	}
	return i
}

func appendString(to, s []byte) []byte {
	return append(binary.AppendUvarint(to, uint64(len(s))), s...)
}

// inHashOrder appends the fields of p in the order of their hash.
func (p packed) inHashOrder(m *memory, to []byte) []byte {
	type place struct {
		hash     uint64
		field    []byte
		from, to int
	}
	all := make([]place, 0, p.len())
	for i := 2; i < len(p); {
		f, _, _, next := p.pair(i)
		all = append(all, place{m.hashOf(f), f, i, next})
		i = next
	}
	slices.SortFunc(all, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), bytes.Compare(a.field, b.field))
	})
	to = append(to, p[:2]...)
	for _, x := range all {
		to = append(to, p[x.from:x.to]...)
	}
	return to
}
