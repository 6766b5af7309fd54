package keyspace

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// contentHash is of what is compared between copies, not of what is looked up.
func contentHash(b []byte) uint64 { return xxhash.Sum64(b) }

// StateDigest is a digest of everything that exists at nowMs: keys, types, encodings, values,
// deadlines. It does not depend on layout or history, nor on access times.
func (k *Keyspace) StateDigest(nowMs int64) uint64 {
	var sum uint64
	for db := range k.dbs {
		sum += k.RangeDigest(db, 0, ^uint64(0), nowMs)
	}
	return sum
}

// RangeDigest is the part of StateDigest that belongs to the keys of a database with fromHash <= hash <= toHash.
func (k *Keyspace) RangeDigest(db int, fromHash, toHash uint64, nowMs int64) uint64 {
	var sum uint64
	d := xxhash.New()
	for it := k.dbs[db].from(fromHash); it.next() && it.hash <= toHash; {
		if !it.e.expired(nowMs) {
			sum += it.keyDigest(d, db, true)
		}
	}
	return sum
}

// keyDigest is of the key that the iterator is at; without whole it has only the number of fields of a
// hash that lies in a table of its own.
func (it *iterator) keyDigest(d *xxhash.Digest, db int, whole bool) uint64 {
	var head [11]byte
	v := valueOf(it.t, it.s, &it.e)
	head[0], head[1], head[2] = byte(db), byte(v.Type), byte(v.Encoding())
	binary.LittleEndian.PutUint64(head[3:], uint64(v.DeadlineMs))
	d.Reset()
	d.Write(head[:])
	writeString(d, it.e.key(it.s))
	switch v.Type {
	case TypeString:
		d.Write(v.String)
	case TypeHash:
		if v.Hash.fields != nil && !whole {
			binary.LittleEndian.PutUint64(head[3:], uint64(v.Hash.Len()))
			d.Write(head[3:])
			break
		}
		v.Hash.digest(d)
	}
	return d.Sum64()
}

// VisitKeys visits the keys of a database that exist at nowMs and whose hash lies in the given part of
// 2^bits equal ones, in the order of their hash, with a digest of each. apart says that it leaves out the
// fields of a large hash: VisitFields visits those. total is how many keys the database holds.
func (k *Keyspace) VisitKeys(db int, part uint64, bits uint8, nowMs int64, visit func(key []byte, digest uint64, apart bool)) (total int) {
	t := k.dbs[db]
	d := xxhash.New()
	from, to := hashSpan(part, bits)
	for it := t.from(from); it.next() && it.hash <= to; {
		if it.e.expired(nowMs) {
			continue
		}
		_, apart := it.e.object(it.s).(*table)
		visit(it.e.key(it.s), it.keyDigest(d, db, false), apart)
	}
	return t.n
}

// VisitFields is VisitKeys for the fields of a large hash; any other key has none.
func (k *Keyspace) VisitFields(db int, key []byte, part uint64, bits uint8, nowMs int64, visit func(field []byte, digest uint64)) (total int) {
	p, ok := k.find(db, key)
	if !ok || p.e.expired(nowMs) || p.e.typ() != TypeHash {
		return 0
	}
	h := hashAt(k.m, p.s, &p.e)
	if h.fields == nil {
		return 0
	}
	d := xxhash.New()
	from, to := hashSpan(part, bits)
	for it := h.fields.from(from); it.next() && it.hash <= to; {
		d.Reset()
		writeString(d, it.e.key(it.s))
		writeString(d, it.e.value(it.s))
		visit(it.e.key(it.s), d.Sum64())
	}
	return h.fields.n
}

// hashSpan is the hashes of a part of 2^bits, both ends included.
func hashSpan(part uint64, bits uint8) (from, to uint64) {
	if bits == 0 {
		return 0, ^uint64(0)
	}
	from = part << (64 - bits)
	return from, from + 1<<(64-bits) - 1
}

func (h Hash) digest(d *xxhash.Digest) {
	h.Each(func(field, value []byte) bool {
		writeString(d, field)
		writeString(d, value)
		return true
	})
}

func writeString(d *xxhash.Digest, s []byte) {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(s)))
	d.Write(n[:])
	d.Write(s)
}

// Damage flips a bit of a string's value, as no entry does: the first from a hash on that has one and
// exists. Tests call it, to see what finds out.
func (k *Keyspace) Damage(fromHash uint64, nowMs int64) bool {
	for it := k.dbs[0].from(fromHash); it.next(); {
		if v := it.e.value(it.s); it.e.typ() == TypeString && !it.e.expired(nowMs) && len(v) > 0 {
			v[0] ^= 1
			return true
		}
	}
	return false
}
