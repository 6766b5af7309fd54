package wire

import (
	"bytes"
	"strconv"
)

// Copies are compared range by range of the keys' hashes. The broker asks each for the digest of one
// range, at the same place in the order and the same time, with a command that no client can send;
// what it is asked and answers is opaque to the ordering core but for these two forms.

// RangeCommand is the name of that command; its only argument is the question.
const RangeCommand = "_digest"

// Databases is how many databases are compared.
const Databases = 16

// RangeQuestion names part Part of 2^Bits equal parts of the hash space: of the keys of a database, or
// of the fields of one large hash.
type RangeQuestion struct {
	DB     uint8
	OfHash bool
	Key    []byte // of the hash
	Bits   uint8
	Part   uint64
	Each   bool // answer the digest of each key, too
}

// Body is the question as a command.
func (q RangeQuestion) Body() []byte {
	b := putU8(nil, q.DB)
	b = putBool(b, q.OfHash)
	b = putBytes(b, q.Key)
	b = putU8(b, q.Bits)
	b = putU64(b, q.Part)
	b = putBool(b, q.Each)
	body := append([]byte("*2\r\n$"+strconv.Itoa(len(RangeCommand))+"\r\n"+RangeCommand+"\r\n$"+strconv.Itoa(len(b))+"\r\n"), b...)
	return append(body, "\r\n"...)
}

// DecodeRangeQuestion reads the argument of a RangeCommand.
func DecodeRangeQuestion(b []byte) (q RangeQuestion, err error) {
	r := reader{b: b}
	q = RangeQuestion{DB: r.u8(), OfHash: r.bool(), Key: r.bytes(), Bits: r.u8(), Part: r.u64(), Each: r.bool()}
	if err = r.done(); err == nil && (q.DB >= Databases || q.Bits > 63 || q.Part>>q.Bits != 0) {
		err = ErrCorrupt
	}
	return q, err
}

// RangeAnswer is what a copy holds in a range.
type RangeAnswer struct {
	Total  uint64 // keys of the whole database (fields of the whole hash), those that have expired included
	Count  uint64 // in the range
	Digest uint64
	Hashes [][]byte    // keys of large hashes in the range: of these the digest has only the number of fields
	Each   []RangeItem // when asked for
}

// RangeItem is one key, or field, and the digest of what it holds.
type RangeItem struct {
	Name   []byte
	Digest uint64
}

// Append appends the answer, which is a bulk string's content.
func (a RangeAnswer) Append(b []byte) []byte {
	b = putU64(b, a.Total)
	b = putU64(b, a.Count)
	b = putU64(b, a.Digest)
	b = putU32(b, uint32(len(a.Hashes)))
	for _, key := range a.Hashes {
		b = putBytes(b, key)
	}
	b = putU32(b, uint32(len(a.Each)))
	for _, item := range a.Each {
		b = putBytes(b, item.Name)
		b = putU64(b, item.Digest)
	}
	return b
}

// DecodeRangeReply reads the reply to a RangeCommand; a copy that does not know it answers an error.
func DecodeRangeReply(reply []byte) (a RangeAnswer, err error) {
	head, rest, ok := bytes.Cut(reply, []byte("\r\n"))
	if !ok || len(head) < 2 || head[0] != '$' {
		return a, ErrCorrupt
	}
	n, err := strconv.Atoi(string(head[1:]))
	if err != nil || n < 0 || len(rest) != n+2 {
		return a, ErrCorrupt
	}
	r := reader{b: rest[:n]}
	a = RangeAnswer{Total: r.u64(), Count: r.u64(), Digest: r.u64()}
	for k := r.u32(); k > 0 && !r.bad; k-- {
		a.Hashes = append(a.Hashes, r.bytes())
	}
	for k := r.u32(); k > 0 && !r.bad; k-- {
		a.Each = append(a.Each, RangeItem{r.bytes(), r.u64()})
	}
	return a, r.done()
}

// Equal reports whether two copies hold the same in the range.
func (a *RangeAnswer) Equal(b *RangeAnswer) bool {
	if a.Count != b.Count || a.Digest != b.Digest || len(a.Hashes) != len(b.Hashes) {
		return false
	}
	for i := range a.Hashes {
		if !bytes.Equal(a.Hashes[i], b.Hashes[i]) {
			return false
		}
	}
	return true
}

// Differing names the items, at most max, that only one of two copies has or that differ.
func (a *RangeAnswer) Differing(b *RangeAnswer, max int) (names [][]byte) {
	have := make(map[string]uint64, len(b.Each))
	for _, item := range b.Each {
		have[string(item.Name)] = item.Digest
	}
	for _, item := range a.Each {
		digest, ok := have[string(item.Name)]
		if (!ok || digest != item.Digest) && len(names) < max {
			names = append(names, item.Name)
		}
		delete(have, string(item.Name))
	}
	for _, item := range b.Each { // in their order, not the map's
		if _, only := have[string(item.Name)]; only && len(names) < max {
			names = append(names, item.Name)
		}
	}
	return names
}
