package keyspace

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/dchest/siphash"
)

// model is what a keyspace should be, said in the plainest way.
type model [Databases]map[string]*modelValue

type modelValue struct {
	typ      Type
	form     Form
	str      string
	fields   []modelField // in the order of insertion
	big      bool
	due      int64
	accessed int64 // seconds
}

type modelField struct{ name, value string }

func newModel() *model {
	m := &model{}
	for db := range m {
		m[db] = map[string]*modelValue{}
	}
	return m
}

func (v *modelValue) clone() *modelValue {
	c := *v
	c.fields = slices.Clone(v.fields)
	return &c
}

func (m *model) clone() *model {
	c := newModel()
	for db := range m {
		for key, v := range m[db] {
			c[db][key] = v.clone()
		}
	}
	return c
}

func (m *model) get(db int, key string, nowMs int64) *modelValue {
	v := m[db][key]
	if v == nil || v.due != 0 && v.due <= nowMs {
		return nil
	}
	return v
}

// anyAccess makes check ignore access times: a read refreshes them even where a snapshot has not come yet.
func (m *model) anyAccess() *model {
	for db := range m {
		for _, v := range m[db] {
			v.accessed = -1
		}
	}
	return m
}

// open drops an expired key, as mutators do.
func (m *model) open(db int, key string, nowMs int64) *modelValue {
	v := m.get(db, key, nowMs)
	if v == nil {
		delete(m[db], key)
	}
	return v
}

func (v *modelValue) set(name, value string) bool {
	isNew := true
	for i := range v.fields {
		if v.fields[i].name == name {
			v.fields[i].value = value
			isNew = false
		}
	}
	if isNew {
		v.fields = append(v.fields, modelField{name, value})
	}
	if len(v.fields) > 512 || len(name) > 64 || len(value) > 64 {
		v.big = true
	}
	return isNew
}

func (v *modelValue) unset(name string) bool {
	n := len(v.fields)
	v.fields = slices.DeleteFunc(v.fields, func(f modelField) bool { return f.name == name })
	return len(v.fields) < n
}

// ordered is the fields in the order in which a hash shows them.
func (v *modelValue) ordered() []modelField {
	fields := slices.Clone(v.fields)
	if v.big {
		slices.SortFunc(fields, func(a, b modelField) int {
			return compareKeys([]byte(a.name), []byte(b.name))
		})
	}
	return fields
}

// testMask is what tests that want collisions leave of a hash.
var testMask = ^uint64(0)

// hashOf is the hash of a keyspace without a seed.
func hashOf(key []byte) uint64 { return siphash.Hash(0, 0, key) & testMask }

func compareKeys(a, b []byte) int {
	if x, y := hashOf(a), hashOf(b); x != y {
		if x < y {
			return -1
		}
		return 1
	}
	return bytes.Compare(a, b)
}

func (v *modelValue) weight(key string) int64 {
	n := int64(keyWeight + len(key) + len(v.str))
	for _, f := range v.fields {
		n += int64(fieldWeight + len(f.name) + len(f.value))
	}
	if v.due != 0 {
		n += deadlineWeight
	}
	return n
}

func (m *model) weight() (n int64) {
	for db := range m {
		for key, v := range m[db] {
			n += v.weight(key)
		}
	}
	return n
}

// sorted is the keys of a database in hash order.
func (m *model) sorted(db int) []string {
	return slices.SortedFunc(maps.Keys(m[db]), func(a, b string) int { return compareKeys([]byte(a), []byte(b)) })
}

// checkValue compares a value with the model's.
func checkValue(t *testing.T, what string, got Value, want *modelValue) {
	t.Helper()
	if got.Type != want.typ || got.DeadlineMs != want.due || want.accessed >= 0 && int64(got.access&secondMask) != want.accessed&secondMask {
		t.Fatalf("%s: type %v due %d access %d, want %v %d %d", what, got.Type, got.DeadlineMs, got.access&secondMask, want.typ, want.due, want.accessed)
	}
	switch want.typ {
	case TypeString:
		if string(got.String) != want.str {
			t.Fatalf("%s: %d bytes %.40q, want %d bytes %.40q", what, len(got.String), got.String, len(want.str), want.str)
		}
		if e := stringEncoding([]byte(want.str), want.form); got.Encoding() != e {
			t.Fatalf("%s: encoding %v, want %v", what, got.Encoding(), e)
		}
	case TypeHash:
		if (got.Encoding() == EncodingHashtable) != want.big {
			t.Fatalf("%s: encoding %v, want hashtable: %v", what, got.Encoding(), want.big)
		}
		fields := want.ordered()
		if got.Hash.Len() != len(fields) {
			t.Fatalf("%s: %d fields, want %d", what, got.Hash.Len(), len(fields))
		}
		i := 0
		got.Hash.Each(func(name, value []byte) bool {
			if string(name) != fields[i].name || string(value) != fields[i].value {
				t.Fatalf("%s: field %d is %.20q=%.20q, want %.20q=%.20q", what, i, name, value, fields[i].name, fields[i].value)
			}
			i++
			return true
		})
		if i != len(fields) {
			t.Fatalf("%s: visited %d of %d fields", what, i, len(fields))
		}
	}
}

// check compares all that can be seen of a keyspace with the model.
func (m *model) check(t *testing.T, k *Keyspace, nowMs int64) {
	t.Helper()
	if got, want := k.UsedBytes(), m.weight(); got != want {
		t.Fatalf("used bytes %d, want %d", got, want)
	}
	for db := range m {
		var live, expiring int
		var order []string
		for _, key := range m.sorted(db) {
			v := m.get(db, key, nowMs)
			if v == nil {
				continue
			}
			live++
			if v.due != 0 {
				expiring++
			}
			order = append(order, key)
		}
		if got := k.Len(db, nowMs); got != live {
			t.Fatalf("db %d: %d keys, want %d", db, got, live)
		}
		if got, _ := k.Expires(db, nowMs); got != expiring {
			t.Fatalf("db %d: %d keys expire, want %d", db, got, expiring)
		}
		i := 0
		k.Each(db, nowMs, func(key []byte, v Value) bool {
			if i >= len(order) || string(key) != order[i] {
				t.Fatalf("db %d: key %d in hash order is %.40q", db, i, key)
			}
			checkValue(t, fmt.Sprintf("db %d key %.40q", db, key), v, m[db][order[i]])
			i++
			return true
		})
		if i != len(order) {
			t.Fatalf("db %d: visited %d of %d keys", db, i, len(order))
		}
	}
	k.checkLayout(t)
}

// checkLayout checks what must hold inside, and that no page is lost.
func (k *Keyspace) checkLayout(t *testing.T) {
	t.Helper()
	for len(k.m.graves) > 0 {
		k.m.sweep(1000)
	}
	pages := len(k.m.blobs.heads.pages)
	blobs := map[*blob]bool{}
	var walk func(tb *table)
	walk = func(tb *table) {
		n, segs := 0, 0
		pages += len(tb.due.leaves)
		for d := 0; d < len(tb.dir); d += tb.span(tb.dir[d]) {
			head := tb.dir[d]
			for s := head; s != nil; s = s.next {
				segs++
				n += int(s.n)
				pages += int(s.memory() / pageBytes)
				for _, o := range s.side {
					if b, ok := o.(*blob); ok {
						blobs[b] = true
					}
				}
				live := int32(0)
				for i := range int(s.n) {
					e := tb.decode(s.at(i))
					live += int32(e.size())
					hash := hashOf(e.key(s))
					if s.slots[i]>>16 != s.tag(hash) || i > 0 && s.slots[i]>>16 < s.slots[i-1]>>16 {
						t.Fatalf("slot %d of a segment of %d is out of place", i, s.n)
					}
					if tb.head(hash) != head {
						t.Fatalf("an entry lies in another's range")
					}
					if fields, ok := e.object(s).(*table); ok {
						walk(fields)
					}
				}
				if live != s.live || s.garbage() < 0 {
					t.Fatalf("segment counts %d live bytes of %d and %d at ends, has %d", s.live, s.used(), s.ends, live)
				}
			}
		}
		if n != tb.n || segs != tb.segs {
			t.Fatalf("table counts %d entries in %d segments, has %d in %d", tb.n, tb.segs, n, segs)
		}
	}
	for _, tb := range k.dbs {
		walk(tb)
	}
	for _, sn := range k.m.snaps {
		if sn != nil {
			return // it may hold pages of its own
		}
	}
	for _, v := range k.m.views {
		if v != nil {
			return // so may a view
		}
	}
	if pages != k.m.used {
		t.Fatalf("%d pages in use, memory has handed out %d", pages, k.m.used)
	}
	checkBlobs(t, &k.m.blobs, blobs)
	if len(blobs) != k.m.blobs.live {
		t.Fatalf("%d blobs in use, memory has handed out %d", len(blobs), k.m.blobs.live)
	}
}
