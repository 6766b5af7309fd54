package wire

import "encoding/binary"

// AskMemory asks a node what its data takes and, unless WantBytes is 0, for keys to evict.
type AskMemory struct {
	TimeMs    int64
	Policy    uint8 // an eviction.Policy
	Samples   uint16
	WantBytes uint32 // that the keys are to give back together
	// Nominations are of the keys that Salts[Own] gives the highest weight (eviction.Mine).
	Salts []uint64
	Own   uint16
}

// saltsMax bounds the nodes that are asked at once.
const saltsMax = 1 << 10

// AppendMemoryItem adds it to a turn. The receiver must speak version 5.
func AppendMemoryItem(b []byte, m *AskMemory) []byte {
	b = putU8(b, uint8(ItemMemory))
	b = putU64(b, uint64(m.TimeMs))
	b = putU8(b, m.Policy)
	b = putU16(b, m.Samples)
	b = putU32(b, m.WantBytes)
	b = putU16(b, m.Own)
	b = putU16(b, uint16(len(m.Salts)))
	for _, s := range m.Salts {
		b = putU64(b, s)
	}
	return b
}

func (r *reader) askMemory() (m AskMemory) {
	m = AskMemory{TimeMs: r.i64(), Policy: r.u8(), Samples: r.u16(), WantBytes: r.u32(), Own: r.u16()}
	n := int(r.u16())
	if n > saltsMax || len(r.b) < 8*n {
		r.bad = true
		return AskMemory{}
	}
	for range n {
		m.Salts = append(m.Salts, r.u64())
	}
	return m
}

// Nomination is a key that a node names for eviction, and about what that gives back.
type Nomination struct {
	DB    uint8
	Hash  uint64 // by which operations name the key (command.KeyHash)
	Bytes uint32
	Key   []byte
}

// AppendNomination adds one to a ReplyMemory.
func AppendNomination(b []byte, n Nomination) []byte {
	b = putU8(b, n.DB)
	b = putU64(b, n.Hash)
	b = putU32(b, n.Bytes)
	return putBytes(b, n.Key)
}

// NextNomination takes the first off b; its key aliases b.
func NextNomination(b []byte) (n Nomination, rest []byte, err error) {
	const head = 1 + 8 + 4 + 4
	if len(b) < head {
		return n, nil, ErrCorrupt
	}
	le := binary.LittleEndian
	size := int(le.Uint32(b[13:]))
	if size > len(b)-head || size < 0 {
		return n, nil, ErrCorrupt
	}
	return Nomination{DB: b[0], Hash: le.Uint64(b[1:]), Bytes: le.Uint32(b[9:]), Key: b[head : head+size : head+size]}, b[head+size:], nil
}
