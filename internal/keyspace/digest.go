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
		if it.e.expired(nowMs) {
			continue
		}
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
			v.Hash.digest(d)
		}
		sum += d.Sum64()
	}
	return sum
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
