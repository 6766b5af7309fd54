package keyspace

import (
	"bytes"
	"encoding/binary"
	"sort"

	"github.com/cespare/xxhash/v2"
)

// Databases is how many databases a keyspace has.
const Databases = 16

// Limits of the listpack encoding, as Redis 7.0 sets them by default.
const (
	listpackFieldsMax = 128
	listpackBytesMax  = 64
)

type item struct {
	key      []byte
	hash     uint64
	typ      Type
	form     Form
	str      []byte
	fields   *fieldTable
	deadline int64
	access   uint32
}

type fieldTable struct {
	list  [][2][]byte // insertion order, or hash order once big
	big   bool
	index map[string]int
}

// Keyspace is the data of one node.
type Keyspace struct {
	dbs    [Databases]map[string]*item
	hooks  Hooks
	change uint64
}

// New returns an empty keyspace.
func New() *Keyspace {
	k := &Keyspace{}
	for i := range k.dbs {
		k.dbs[i] = map[string]*item{}
	}
	return k
}

// SetHooks installs who is told of changes.
func (k *Keyspace) SetHooks(h Hooks) { k.hooks = h }

func (it *item) value() Value {
	v := Value{Type: it.typ, DeadlineMs: it.deadline, AccessSec: it.access, String: it.str, form: it.form}
	if it.typ == TypeHash {
		v.Hash = Hash{it.fields}
	}
	return v
}

func (k *Keyspace) find(db int, key []byte, nowMs int64) *item {
	it := k.dbs[db][string(key)]
	if it == nil || it.deadline != 0 && it.deadline <= nowMs {
		return nil
	}
	return it
}

func (k *Keyspace) changed(db int, key []byte, parts ...[]byte) {
	var b [8]byte
	d := xxhash.New()
	binary.LittleEndian.PutUint64(b[:], k.change)
	d.Write(b[:])
	d.Write([]byte{byte(db)})
	d.Write(key)
	for _, p := range parts {
		d.Write(p)
	}
	k.change = d.Sum64()
	if k.hooks.Changed != nil {
		k.hooks.Changed(db, key)
	}
}

// ChangeHash accumulates everything that was changed since ResetChangeHash, in its order.
func (k *Keyspace) ChangeHash() uint64 { return k.change }

// ResetChangeHash starts a new accumulation.
func (k *Keyspace) ResetChangeHash() { k.change = 0 }

// Get returns the value of a key that exists at nowMs and refreshes its access time.
func (k *Keyspace) Get(db int, key []byte, nowMs int64) (Value, bool) {
	it := k.find(db, key, nowMs)
	if it == nil {
		return Value{}, false
	}
	it.access = uint32(nowMs / 1000)
	return it.value(), true
}

// Peek is Get without refreshing the access time.
func (k *Keyspace) Peek(db int, key []byte, nowMs int64) (Value, bool) {
	it := k.find(db, key, nowMs)
	if it == nil {
		return Value{}, false
	}
	return it.value(), true
}

// IdleSeconds is how long ago the key was last accessed.
func (k *Keyspace) IdleSeconds(db int, key []byte, nowMs int64) (int64, bool) {
	it := k.find(db, key, nowMs)
	if it == nil {
		return 0, false
	}
	return max(0, nowMs/1000-int64(it.access)), true
}

// dropExpired frees the key if its deadline has passed.
func (k *Keyspace) dropExpired(db int, key []byte, nowMs int64) {
	it := k.dbs[db][string(key)]
	if it != nil && it.deadline != 0 && it.deadline <= nowMs {
		delete(k.dbs[db], string(key))
		if k.hooks.Expired != nil {
			k.hooks.Expired(db, key)
		}
	}
}

func (k *Keyspace) put(db int, key []byte, it *item, nowMs int64) {
	it.key = bytes.Clone(key)
	it.hash = xxhash.Sum64(key)
	it.access = uint32(nowMs / 1000)
	k.dbs[db][string(key)] = it
}

// SetString makes key a string as SET would, replacing whatever was there. deadlineMs 0 means none.
func (k *Keyspace) SetString(db int, key, value []byte, deadlineMs, nowMs int64) {
	k.SetStringForm(db, key, value, FormSet, deadlineMs, nowMs)
}

// SetStringForm is SetString for a string that was made another way than by SET.
func (k *Keyspace) SetStringForm(db int, key, value []byte, form Form, deadlineMs, nowMs int64) {
	k.dropExpired(db, key, nowMs)
	k.put(db, key, &item{typ: TypeString, str: bytes.Clone(value), form: form, deadline: deadlineMs}, nowMs)
	k.changed(db, key, value)
}

// AppendString appends tail to the string at key and returns the new length. A missing key becomes
// tail as SET would make it; the deadline stays. The key must not hold another type.
func (k *Keyspace) AppendString(db int, key, tail []byte, nowMs int64) int {
	it := k.find(db, key, nowMs)
	if it == nil {
		k.SetString(db, key, tail, 0, nowMs)
		return len(tail)
	}
	mustBe(it.typ, TypeString)
	it.str = append(it.str, tail...)
	it.form = FormEdited
	it.access = uint32(nowMs / 1000)
	k.changed(db, key, tail)
	return len(it.str)
}

// SetRange overwrites the string at key from offset on, padding with zero bytes, and returns the new
// length. A missing key counts as empty; the deadline stays. The key must not hold another type.
func (k *Keyspace) SetRange(db int, key []byte, offset int, part []byte, nowMs int64) int {
	it := k.find(db, key, nowMs)
	if it == nil {
		k.dropExpired(db, key, nowMs)
		it = &item{typ: TypeString}
		k.put(db, key, it, nowMs)
	}
	mustBe(it.typ, TypeString)
	if need := offset + len(part); need > len(it.str) {
		it.str = append(it.str, make([]byte, need-len(it.str))...)
	}
	copy(it.str[offset:], part)
	it.form = FormEdited
	it.access = uint32(nowMs / 1000)
	k.changed(db, key, part)
	return len(it.str)
}

func mustBe(have, want Type) {
	if have != want {
		panic("keyspace: " + want.String() + " operation on a " + have.String())
	}
}

// Delete removes the key and tells whether it existed at nowMs.
func (k *Keyspace) Delete(db int, key []byte, nowMs int64) bool {
	if k.find(db, key, nowMs) == nil {
		k.dropExpired(db, key, nowMs)
		return false
	}
	delete(k.dbs[db], string(key))
	k.changed(db, key)
	return true
}

// SetDeadline gives the key a deadline, or none (0), and tells whether the key exists.
func (k *Keyspace) SetDeadline(db int, key []byte, deadlineMs, nowMs int64) bool {
	it := k.find(db, key, nowMs)
	if it == nil {
		return false
	}
	it.deadline = deadlineMs
	k.changed(db, key)
	return true
}

// Rename moves src with its deadline to dst, replacing what was there, and tells whether src exists.
// Nothing happens when both are the same key.
func (k *Keyspace) Rename(srcDB int, src []byte, dstDB int, dst []byte, nowMs int64) bool {
	it := k.find(srcDB, src, nowMs)
	if it == nil {
		return false
	}
	if srcDB == dstDB && bytes.Equal(src, dst) {
		return true
	}
	k.dropExpired(dstDB, dst, nowMs)
	delete(k.dbs[srcDB], string(src))
	k.changed(srcDB, src)
	access := it.access
	k.put(dstDB, dst, it, nowMs)
	it.access = access
	k.changed(dstDB, dst)
	return true
}

// Copy copies src with its deadline to dst, replacing what was there, and tells whether src exists.
func (k *Keyspace) Copy(srcDB int, src []byte, dstDB int, dst []byte, nowMs int64) bool {
	it := k.find(srcDB, src, nowMs)
	if it == nil {
		return false
	}
	if srcDB == dstDB && bytes.Equal(src, dst) {
		return true
	}
	k.dropExpired(dstDB, dst, nowMs)
	c := *it
	c.str = bytes.Clone(it.str)
	if it.fields != nil {
		c.fields = it.fields.clone()
	}
	k.put(dstDB, dst, &c, nowMs)
	k.changed(dstDB, dst)
	return true
}

// Swap lets two databases change places.
func (k *Keyspace) Swap(a, b int) {
	k.dbs[a], k.dbs[b] = k.dbs[b], k.dbs[a]
	if k.hooks.Swapped != nil {
		k.hooks.Swapped(a, b)
	}
}

// Flush empties a database.
func (k *Keyspace) Flush(db int) {
	k.dbs[db] = map[string]*item{}
	if k.hooks.Flushed != nil {
		k.hooks.Flushed(db)
	}
}

// FlushAll empties every database.
func (k *Keyspace) FlushAll() {
	for db := range k.dbs {
		k.Flush(db)
	}
}

// Len is how many keys of the database exist at nowMs.
func (k *Keyspace) Len(db int, nowMs int64) int {
	n := 0
	for _, it := range k.dbs[db] {
		if it.deadline == 0 || it.deadline > nowMs {
			n++
		}
	}
	return n
}

// Expires is how many keys that exist at nowMs have a deadline, and how far off it is on average.
func (k *Keyspace) Expires(db int, nowMs int64) (keys int, avgTTLMs int64) {
	var sum int64
	for _, it := range k.dbs[db] {
		if it.deadline > nowMs {
			keys++
			sum += it.deadline - nowMs
		}
	}
	if keys > 0 {
		avgTTLMs = sum / int64(keys)
	}
	return keys, avgTTLMs
}

func (k *Keyspace) sorted(db int) []*item {
	all := make([]*item, 0, len(k.dbs[db]))
	for _, it := range k.dbs[db] {
		all = append(all, it)
	}
	sort.Slice(all, func(i, j int) bool {
		a, b := all[i], all[j]
		return a.hash < b.hash || a.hash == b.hash && bytes.Compare(a.key, b.key) < 0
	})
	return all
}

// cursorShift leaves 48 bits for a cursor: clients keep it in a float64.
const cursorShift = 16

// Scan visits about count keys from the cursor on, in the order of their hash, and returns the cursor
// for the next call, 0 at the end. A key that exists during a whole scan is visited at least once.
// visit must not change the keyspace.
func (k *Keyspace) Scan(db int, cursor uint64, count int, nowMs int64, visit func(key []byte, v Value)) (next uint64) {
	seen := 0
	for _, it := range k.sorted(db) {
		p := it.hash >> cursorShift
		if p < cursor {
			continue
		}
		if seen >= count && p >= next {
			return next
		}
		seen++
		next = p + 1
		if it.deadline == 0 || it.deadline > nowMs {
			visit(it.key, it.value())
		}
	}
	return 0
}

// Each visits every key that exists at nowMs, in the order of their hash, until visit returns false.
// visit must not change the keyspace.
func (k *Keyspace) Each(db int, nowMs int64, visit func(key []byte, v Value) bool) {
	for _, it := range k.sorted(db) {
		if it.deadline == 0 || it.deadline > nowMs {
			if !visit(it.key, it.value()) {
				return
			}
		}
	}
}

// RandomKey picks a key that exists at nowMs by rnd.
func (k *Keyspace) RandomKey(db int, rnd uint64, nowMs int64) (key []byte, ok bool) {
	n := k.Len(db, nowMs)
	if n == 0 {
		return nil, false
	}
	i := int(rnd % uint64(n))
	k.Each(db, nowMs, func(kk []byte, _ Value) bool {
		key = kk
		i--
		return i >= 0
	})
	return key, true
}

// Reclaim frees at most max keys whose deadline is at or before nowMs, in the order of (deadline,
// database, key hash), and returns how many.
func (k *Keyspace) Reclaim(nowMs int64, max int) int {
	type due struct {
		db int
		it *item
	}
	var all []due
	for db := range k.dbs {
		for _, it := range k.dbs[db] {
			if it.deadline != 0 && it.deadline <= nowMs {
				all = append(all, due{db, it})
			}
		}
	}
	sort.Slice(all, func(i, j int) bool {
		a, b := all[i], all[j]
		if a.it.deadline != b.it.deadline {
			return a.it.deadline < b.it.deadline
		}
		if a.db != b.db {
			return a.db < b.db
		}
		return a.it.hash < b.it.hash
	})
	for i, d := range all {
		if i == max {
			return i
		}
		k.dropExpired(d.db, d.it.key, nowMs)
	}
	return len(all)
}

// UsedBytes is the logical size of the data, the same on every copy.
func (k *Keyspace) UsedBytes() int64 {
	var n int64
	for db := range k.dbs {
		for key, it := range k.dbs[db] {
			n += int64(len(key)+len(it.str)) + 16
			if it.fields != nil {
				for _, f := range it.fields.list {
					n += int64(len(f[0])+len(f[1])) + 8
				}
			}
		}
	}
	return n
}

// Hash is a hash as a reader sees it. The zero Hash is empty.
type Hash struct{ t *fieldTable }

// Encoding is listpack or hashtable.
func (h Hash) Encoding() Encoding {
	if h.t != nil && h.t.big {
		return EncodingHashtable
	}
	return EncodingListpack
}

// Len is the number of fields.
func (h Hash) Len() int {
	if h.t == nil {
		return 0
	}
	return len(h.t.list)
}

// Get returns the value of a field.
func (h Hash) Get(field []byte) ([]byte, bool) {
	if h.t == nil {
		return nil, false
	}
	i, ok := h.t.index[string(field)]
	if !ok {
		return nil, false
	}
	return h.t.list[i][1], true
}

// At returns the i-th field of the iteration order.
func (h Hash) At(i int) (field, value []byte) { return h.t.list[i][0], h.t.list[i][1] }

// Each visits the fields until visit returns false: in the order of insertion while the encoding is
// listpack, then in the order of the fields' hash.
func (h Hash) Each(visit func(field, value []byte) bool) {
	if h.t == nil {
		return
	}
	for _, f := range h.t.list {
		if !visit(f[0], f[1]) {
			return
		}
	}
}

// Scan visits about count fields from the cursor on, with Keyspace.Scan's guarantee. All fields of a
// listpack come at once.
func (h Hash) Scan(cursor uint64, count int, visit func(field, value []byte)) (next uint64) {
	if h.t == nil {
		return 0
	}
	if !h.t.big {
		for _, f := range h.t.list {
			visit(f[0], f[1])
		}
		return 0
	}
	seen := 0
	for _, f := range h.t.list {
		p := xxhash.Sum64(f[0]) >> cursorShift
		if p < cursor {
			continue
		}
		if seen >= count && p >= next {
			return next
		}
		seen++
		next = p + 1
		visit(f[0], f[1])
	}
	return 0
}

func (t *fieldTable) clone() *fieldTable {
	c := &fieldTable{big: t.big}
	for _, f := range t.list {
		c.list = append(c.list, [2][]byte{bytes.Clone(f[0]), bytes.Clone(f[1])})
	}
	c.reindex()
	return c
}

func (t *fieldTable) reindex() {
	t.index = make(map[string]int, len(t.list))
	if t.big {
		sort.Slice(t.list, func(i, j int) bool {
			a, b := xxhash.Sum64(t.list[i][0]), xxhash.Sum64(t.list[j][0])
			return a < b || a == b && bytes.Compare(t.list[i][0], t.list[j][0]) < 0
		})
	}
	for i, f := range t.list {
		t.index[string(f[0])] = i
	}
}

// HashWriter changes one hash. It is valid until another mutator of the keyspace is called.
type HashWriter struct {
	k     *Keyspace
	db    int
	key   []byte
	nowMs int64
	it    *item
}

// HashForWrite opens the hash at key for changes. The first Set creates a missing key, removing the
// last field deletes it. The key must not hold another type.
func (k *Keyspace) HashForWrite(db int, key []byte, nowMs int64) HashWriter {
	it := k.find(db, key, nowMs)
	if it != nil {
		mustBe(it.typ, TypeHash)
		it.access = uint32(nowMs / 1000)
	}
	return HashWriter{k, db, key, nowMs, it}
}

// Hash is the hash as it is now; it is valid until the next Set or Delete.
func (w *HashWriter) Hash() Hash {
	if w.it == nil {
		return Hash{}
	}
	return Hash{w.it.fields}
}

// Set gives field a value and tells whether the field is new.
func (w *HashWriter) Set(field, value []byte) bool {
	if w.it == nil {
		w.k.dropExpired(w.db, w.key, w.nowMs)
		w.it = &item{typ: TypeHash, fields: &fieldTable{index: map[string]int{}}}
		w.k.put(w.db, w.key, w.it, w.nowMs)
	}
	t := w.it.fields
	i, old := t.index[string(field)]
	if old {
		t.list[i][1] = bytes.Clone(value)
	} else {
		t.index[string(field)] = len(t.list)
		t.list = append(t.list, [2][]byte{bytes.Clone(field), bytes.Clone(value)})
	}
	if t.big && !old || !t.big && (len(t.list) > listpackFieldsMax || len(field) > listpackBytesMax || len(value) > listpackBytesMax) {
		t.big = true
		t.reindex()
	}
	w.k.changed(w.db, w.key, field, value)
	return !old
}

// Delete removes a field and tells whether it was there.
func (w *HashWriter) Delete(field []byte) bool {
	if w.it == nil {
		return false
	}
	t := w.it.fields
	i, ok := t.index[string(field)]
	if !ok {
		return false
	}
	t.list = append(t.list[:i:i], t.list[i+1:]...)
	t.reindex()
	if len(t.list) == 0 {
		delete(w.k.dbs[w.db], string(w.key))
		w.it = nil
	}
	w.k.changed(w.db, w.key, field)
	return true
}

// Record is one piece of a snapshot: a string, or a run of a hash's fields. Several runs of one key
// may come. Its slices are valid during emit.
type Record struct {
	DB         int
	Key        []byte
	Type       Type
	Form       Form     // of a string
	Encoding   Encoding // of a hash: listpack or hashtable
	DeadlineMs int64
	AccessSec  uint32
	Value      []byte   // of a string
	Fields     [][]byte // of a hash: field, value, field, value ...
}

// Bytes is about what the record weighs.
func (r *Record) Bytes() int {
	n := len(r.Key) + len(r.Value) + 32
	for _, f := range r.Fields {
		n += len(f) + 4
	}
	return n
}

// Load puts a record of a snapshot into the keyspace. Once all have been loaded the keyspace is equal
// to the one that the snapshot was taken of. Hooks are not told.
func (k *Keyspace) Load(r Record) {
	it := k.dbs[r.DB][string(r.Key)]
	if it == nil {
		it = &item{typ: r.Type}
		k.put(r.DB, r.Key, it, 0)
	}
	it.deadline, it.access, it.form = r.DeadlineMs, r.AccessSec, r.Form
	if r.Type == TypeString {
		it.str = bytes.Clone(r.Value)
		return
	}
	if it.fields == nil {
		it.fields = &fieldTable{}
	}
	it.fields.big = r.Encoding == EncodingHashtable
	for i := 0; i < len(r.Fields); i += 2 {
		it.fields.list = append(it.fields.list, [2][]byte{bytes.Clone(r.Fields[i]), bytes.Clone(r.Fields[i+1])})
	}
	it.fields.reindex()
}

// Snapshot is an iterator over the keyspace as it was at BeginSnapshot, while mutations go on.
type Snapshot struct {
	recs  []Record
	keys  int
	bytes int64
}

// BeginSnapshot starts an iteration over the state as it is now. Several may run at once. Close ends one early.
func (k *Keyspace) BeginSnapshot() *Snapshot {
	s := &Snapshot{}
	for db := range k.dbs {
		for _, it := range k.sorted(db) {
			r := Record{DB: db, Key: it.key, Type: it.typ, Form: it.form, DeadlineMs: it.deadline, AccessSec: it.access, Value: bytes.Clone(it.str)}
			if it.typ == TypeHash {
				r.Encoding = Hash{it.fields}.Encoding()
				for _, f := range it.fields.clone().list {
					r.Fields = append(r.Fields, f[0], f[1])
				}
			}
			s.recs = append(s.recs, r)
			s.keys++
			s.bytes += int64(r.Bytes())
		}
	}
	return s
}

// TotalKeys is how many keys the snapshot has.
func (s *Snapshot) TotalKeys() int { return s.keys }

// BytesEstimate is about how many bytes the records have.
func (s *Snapshot) BytesEstimate() int64 { return s.bytes }

// Next emits records of about maxBytes, at least one if any is left, and tells whether that was all.
func (s *Snapshot) Next(maxBytes int, emit func(Record)) (done bool) {
	for n := 0; len(s.recs) > 0 && n < maxBytes; s.recs = s.recs[1:] {
		n += s.recs[0].Bytes()
		emit(s.recs[0])
	}
	return len(s.recs) == 0
}

// Close ends the iteration; the keyspace keeps nothing for it any more.
func (s *Snapshot) Close() { s.recs = nil }

// StateDigest is a digest of everything that exists at nowMs: keys, types, encodings, values,
// deadlines. It does not depend on layout or history.
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
	for _, it := range k.sorted(db) {
		if it.hash < fromHash || it.hash > toHash || it.deadline != 0 && it.deadline <= nowMs {
			continue
		}
		d := xxhash.New()
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], uint64(it.deadline))
		d.Write([]byte{byte(db), byte(it.typ), byte(it.value().Encoding())})
		d.Write(b[:])
		d.Write(it.key)
		d.Write(it.str)
		if it.fields != nil {
			for _, f := range it.fields.list {
				binary.LittleEndian.PutUint64(b[:], uint64(len(f[0]))<<32|uint64(len(f[1])))
				d.Write(b[:])
				d.Write(f[0])
				d.Write(f[1])
			}
		}
		sum += d.Sum64()
	}
	return sum
}

// NextDeadlineMs is the earliest deadline of any key, 0 when there is none.
func (k *Keyspace) NextDeadlineMs() int64 {
	next := int64(0)
	for _, db := range k.dbs {
		for _, it := range db {
			if it.deadline != 0 && (next == 0 || it.deadline < next) {
				next = it.deadline
			}
		}
	}
	return next
}

// TotalKeys is how many keys all databases hold, expired ones too.
func (k *Keyspace) TotalKeys() int {
	n := 0
	for _, db := range k.dbs {
		n += len(db)
	}
	return n
}
