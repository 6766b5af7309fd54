package keyspace

import "encoding/binary"

// An entry is a key with its value, packed into a page:
//
//	flags   1    type 3 bits, form 2 bits, then the flags below
//	access  4    in a table of keys: its recency
//	due     8    with flagDue: the deadline in milliseconds
//	key          its length as uvarint; with flagKeyOut 4 bytes, a place in the segment's side
//	value        its length as uvarint; with flagOut 4 bytes, a place in the segment's side
//	key bytes, value bytes
const (
	flagDue    = 1 << 5
	flagOut    = 1 << 6
	flagKeyOut = 1 << 7

	entryBytesMax = pageBytes / 4 // larger ones have their value outside
	keyBytesMax   = 512           // longer keys lie outside
)

// meta is what an entry says about its value besides the bytes.
type meta struct {
	typ    Type
	form   Form
	access recency
	due    int64
}

// entry is a decoded entry; b begins at its first byte.
type entry struct {
	b             []byte
	flags         byte
	keyAt, keyLen int // keyLen is the place in the side with flagKeyOut
	valAt, valLen int // valLen is the place in the side with flagOut
}

func (t *table) decode(b []byte) entry {
	e := entry{b: b, flags: b[0]}
	at := 1
	if t.keyed {
		at = 5
		if e.flags&flagDue != 0 {
			at = 13
		}
	}
	if e.flags&(flagKeyOut|flagOut) == 0 && b[at] < 0x80 && b[at+1] < 0x80 {
		e.keyLen, e.valLen = int(b[at]), int(b[at+1])
		e.keyAt = at + 2
		e.valAt = e.keyAt + e.keyLen
		return e
	}
	if e.flags&flagKeyOut != 0 {
		e.keyLen = int(binary.LittleEndian.Uint32(b[at:]))
		at += 4
	} else {
		n, w := shortUvarint(b[at:])
		e.keyLen = n
		at += w
	}
	if e.flags&flagOut != 0 {
		e.valLen = int(binary.LittleEndian.Uint32(b[at:]))
		at += 4
	} else {
		n, w := shortUvarint(b[at:])
		e.valLen = n
		at += w
	}
	e.keyAt = at
	e.valAt = at
	if e.flags&flagKeyOut == 0 {
		e.valAt += e.keyLen
	}
	return e
}

// shortUvarint reads a length below 1<<14.
func shortUvarint(b []byte) (n, width int) {
	if b[0] < 0x80 {
		return int(b[0]), 1
	}
	return int(b[0]&0x7f) | int(b[1])<<7, 2
}

func putShortUvarint(b []byte, n int) int {
	if n < 0x80 {
		b[0] = byte(n)
		return 1
	}
	b[0] = byte(n) | 0x80
	b[1] = byte(n >> 7)
	return 2
}

func shortUvarintBytes(n int) int {
	if n < 0x80 {
		return 1
	}
	return 2
}

func (e *entry) size() int {
	if e.flags&flagOut != 0 {
		return e.valAt
	}
	return e.valAt + e.valLen
}

func (e *entry) key(s *segment) []byte {
	if e.flags&flagKeyOut != 0 {
		return s.side[e.keyLen].(*blob).b
	}
	return e.b[e.keyAt : e.keyAt+e.keyLen : e.keyAt+e.keyLen]
}

// value is the bytes of a value that is not an object of its own.
func (e *entry) value(s *segment) []byte {
	if e.flags&flagOut != 0 {
		return s.side[e.valLen].(*blob).b
	}
	return e.b[e.valAt : e.valAt+e.valLen : e.valAt+e.valLen]
}

// object is what lies outside, or nil.
func (e *entry) object(s *segment) object {
	if e.flags&flagOut != 0 {
		return s.side[e.valLen]
	}
	return nil
}

func (e *entry) typ() Type  { return Type(e.flags & 7) }
func (e *entry) form() Form { return Form(e.flags >> 3 & 3) }

// due is of a table of keys only.
func (e *entry) due() int64 {
	if e.flags&flagDue == 0 {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(e.b[5:]))
}

func (e *entry) expired(nowMs int64) bool {
	return e.flags&flagDue != 0 && e.due() <= nowMs
}

func (e *entry) meta() meta { return meta{e.typ(), e.form(), e.recency(), e.due()} }

// shape is how an entry is going to be laid out.
type shape struct {
	flags byte
	head  int // bytes before key and value
	size  int // bytes in the page
}

func (t *table) shapeOf(keyLen, valLen int, out bool, mt meta) shape {
	s := shape{flags: byte(mt.typ) | byte(mt.form)<<3, head: 1}
	if t.keyed {
		s.head = 5
		if mt.due != 0 {
			s.head = 13
			s.flags |= flagDue
		}
	}
	if keyLen > keyBytesMax {
		s.flags |= flagKeyOut
		s.head += 4
		keyLen = 0
	} else {
		s.head += shortUvarintBytes(keyLen)
	}
	if n := s.head + shortUvarintBytes(valLen) + keyLen + valLen; !out && n <= entryBytesMax {
		s.head += shortUvarintBytes(valLen)
		s.size = n
		return s
	}
	s.flags |= flagOut
	s.head += 4
	s.size = s.head + keyLen
	return s
}

// encodeHead writes what comes before the key; keyLen and valLen are places in the side where the flags say so.
func (t *table) encodeHead(b []byte, flags byte, mt meta, keyLen, valLen int) int {
	b[0] = flags
	at := 1
	if t.keyed {
		binary.LittleEndian.PutUint32(b[1:], uint32(mt.access))
		at = 5
		if flags&flagDue != 0 {
			binary.LittleEndian.PutUint64(b[5:], uint64(mt.due))
			at = 13
		}
	}
	if flags&flagKeyOut != 0 {
		binary.LittleEndian.PutUint32(b[at:], uint32(keyLen))
		at += 4
	} else {
		at += putShortUvarint(b[at:], keyLen)
	}
	if flags&flagOut != 0 {
		binary.LittleEndian.PutUint32(b[at:], uint32(valLen))
		return at + 4
	}
	return at + putShortUvarint(b[at:], valLen)
}
