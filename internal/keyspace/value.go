package keyspace

// Type is what a value is. The zero Type is no value.
type Type uint8

const (
	TypeNone Type = iota
	TypeString
	TypeHash
)

// String is the name that TYPE answers.
func (t Type) String() string {
	switch t {
	case TypeString:
		return "string"
	case TypeHash:
		return "hash"
	}
	return "none"
}

// Encoding is what OBJECT ENCODING calls the representation of a value. It follows Redis 7.0's rules
// and is part of the state; how the bytes really lie in memory is this package's own business.
type Encoding uint8

const (
	EncodingNone Encoding = iota
	EncodingInt
	EncodingEmbstr
	EncodingRaw
	EncodingListpack
	EncodingHashtable
)

// String is the name that OBJECT ENCODING answers.
func (e Encoding) String() string {
	switch e {
	case EncodingInt:
		return "int"
	case EncodingEmbstr:
		return "embstr"
	case EncodingRaw:
		return "raw"
	case EncodingListpack:
		return "listpack"
	case EncodingHashtable:
		return "hashtable"
	}
	return "none"
}

// Form says how a string was made, which decides its encoding.
type Form uint8

const (
	FormSet    Form = iota // by SET and its like: int when canonical, else embstr or raw by length
	FormPlain              // by INCRBYFLOAT: never int
	FormEdited             // by APPEND, SETRANGE, SETBIT: raw
)

// embstrMax is the longest string that Redis embeds in its object.
const embstrMax = 44

// Value is a value as a reader sees it. Its slices alias storage: they are valid until the next
// mutation of the keyspace and must not be changed or passed back in.
type Value struct {
	Type       Type
	DeadlineMs int64  // 0: none
	String     []byte // of a TypeString
	Hash       Hash   // of a TypeHash
	form       Form
	access     recency
}

// Encoding tells how Redis would store the value.
func (v Value) Encoding() Encoding {
	switch v.Type {
	case TypeString:
		return stringEncoding(v.String, v.form)
	case TypeHash:
		return v.Hash.Encoding()
	}
	return EncodingNone
}

func stringEncoding(s []byte, form Form) Encoding {
	if form == FormEdited {
		return EncodingRaw
	}
	if form == FormSet && isCanonicalInt(s) {
		return EncodingInt
	}
	if len(s) <= embstrMax {
		return EncodingEmbstr
	}
	return EncodingRaw
}

// isCanonicalInt tells whether s is an int64 written the one way that strconv would write it.
func isCanonicalInt(s []byte) bool {
	digits := s
	limit := uint64(1<<63 - 1)
	if len(s) > 0 && s[0] == '-' {
		digits, limit = s[1:], 1<<63
	}
	if len(digits) == 0 || len(digits) > 19 {
		return false
	}
	if digits[0] == '0' {
		return len(s) == 1
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + uint64(c-'0')
	}
	return n <= limit
}
