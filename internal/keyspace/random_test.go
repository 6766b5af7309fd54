package keyspace

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var seedFlag = flag.Uint64("seed", 0, "run TestRandomOperationsMatchTheModel with this seed only")

// run is a random walk over all mutators, with the model and a twin that must stay equal.
type run struct {
	t     *testing.T
	r     *rand.Rand
	k     *Keyspace
	twin  *Keyspace
	m     *model
	now   int64
	keys  int // how many different keys
	step  int
	snaps []*runningSnapshot
	scans []*runningScan
	views []*runningView

	changed, expired int
}

type runningSnapshot struct {
	sn   *Snapshot
	want *model
	at   int64
	got  *Keyspace
}

type runningScan struct {
	db     int
	cursor uint64
	must   map[string]bool // there since the scan began
	seen   map[string]bool
}

func TestRandomOperationsMatchTheModel(t *testing.T) {
	for _, shape := range []struct {
		name        string
		seeds       int
		keys, steps int
	}{{"few keys", 10, 60, 4000}, {"many keys", 2, 20000, 40000}} {
		for seed := range uint64(shape.seeds) {
			if *seedFlag != 0 {
				seed = *seedFlag - 1
			}
			t.Run(fmt.Sprintf("%s seed %d", shape.name, seed+1), func(t *testing.T) {
				(&run{t: t, r: rand.New(rand.NewPCG(seed, 7)), keys: shape.keys, now: 1_700_000_000_000}).walk(shape.steps)
			})
			if *seedFlag != 0 {
				break
			}
		}
	}
}

func (r *run) walk(steps int) {
	r.k, r.twin, r.m = New(), New(), newModel()
	r.k.SetHooks(Hooks{
		Changed: func(int, []byte) { r.changed++ },
		Expired: func(int, []byte) { r.expired++ },
	})
	defer func() {
		if p := recover(); p != nil {
			r.t.Errorf("step %d", r.step)
			panic(p)
		}
	}()
	checkEvery := max(steps/8, 400)
	for r.step = 1; r.step <= steps; r.step++ {
		r.now += int64(r.r.IntN(40))
		r.operation()
		r.advanceSnapshots()
		r.advanceScans()
		if len(r.views) < 4 && r.r.IntN(200) == 0 {
			r.openView()
		}
		r.advanceViews()
		if r.step%checkEvery == 0 {
			r.check()
		}
	}
	for len(r.snaps) > 0 {
		r.advanceSnapshots()
	}
	for len(r.views) > 0 {
		r.advanceViews()
	}
	r.check()
	r.k.FlushAll()
	r.m = newModel()
	r.twin.FlushAll()
	r.check()
	if r.k.UsedBytes() != 0 {
		r.t.Fatalf("%d bytes used after FLUSHALL", r.k.UsedBytes())
	}
}

func (r *run) check() {
	r.t.Helper()
	r.m.check(r.t, r.k, r.now)
	if a, b := r.k.StateDigest(r.now), r.twin.StateDigest(r.now); a != b {
		r.t.Fatalf("step %d: digests of two copies differ", r.step)
	}
	if a, b := r.k.ChangeHash(), r.twin.ChangeHash(); a != b {
		r.t.Fatalf("step %d: change hashes of two copies differ", r.step)
	}
	for db := range Databases {
		rnd := r.r.Uint64()
		a, okA := r.k.RandomKey(db, rnd, r.now)
		b, okB := r.twin.RandomKey(db, rnd, r.now)
		if string(a) != string(b) || okA != okB || okA != (r.k.Len(db, r.now) > 0) {
			r.t.Fatalf("step %d: random keys %q and %q", r.step, a, b)
		}
	}
}

func (r *run) db() int {
	if r.r.IntN(10) > 0 {
		return 0
	}
	return 1 + r.r.IntN(2)
}

func (r *run) key() string {
	n := r.r.IntN(r.keys)
	if n%50 == 49 {
		return strings.Repeat("long key ", 70) + fmt.Sprint(n)
	}
	return fmt.Sprintf("key:%d", n)
}

func (r *run) bytes() string {
	n := r.r.IntN(60)
	switch r.r.IntN(100) {
	case 0:
		n = r.r.IntN(30000)
	case 1, 2, 3, 4, 5:
		n = r.r.IntN(3000)
	case 6, 7, 8, 9, 10, 11, 12:
		return fmt.Sprint(r.r.IntN(1000))
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + r.r.IntN(26))
	}
	return string(b)
}

func (r *run) deadline() int64 {
	switch r.r.IntN(3) {
	case 0:
		return r.now + int64(1+r.r.IntN(20000))
	case 1:
		return r.now - r.now%1000 + 3000 // many of the same
	}
	return 0
}

// both calls the same on the keyspace and its twin, and compares what they return.
func both[T comparable](r *run, call func(k *Keyspace) T, want T) {
	r.t.Helper()
	if got := call(r.k); got != want {
		r.t.Fatalf("step %d: got %v, want %v", r.step, got, want)
	}
	if got := call(r.twin); got != want {
		r.t.Fatalf("step %d: the twin got %v, want %v", r.step, got, want)
	}
}

func (r *run) operation() {
	db, key, now := r.db(), r.key(), r.now
	sec := now / 1000
	m := r.m[db]
	switch n := r.r.IntN(200); {
	case n < 40:
		v, due, form := r.bytes(), r.deadline(), Form(0)
		if r.r.IntN(5) == 0 {
			form = FormPlain
		}
		m[key] = &modelValue{typ: TypeString, str: v, due: due, form: form, accessed: sec}
		both(r, func(k *Keyspace) int { k.SetStringForm(db, []byte(key), []byte(v), form, due, now); return 0 }, 0)
	case n < 60:
		want := r.m.get(db, key, now)
		if want != nil {
			want.accessed = sec
		}
		for _, k := range []*Keyspace{r.k, r.twin} {
			v, ok := k.Get(db, []byte(key), now)
			if ok != (want != nil) {
				r.t.Fatalf("step %d: get %q: %v", r.step, key, ok)
			}
			if ok {
				checkValue(r.t, key, v, want)
			}
		}
	case n < 70:
		want := r.m.open(db, key, now)
		if want != nil && want.typ != TypeString {
			return
		}
		tail := r.bytes()
		if want == nil {
			want = &modelValue{typ: TypeString}
			m[key] = want
		} else {
			want.form = FormEdited
		}
		want.str += tail
		want.accessed = sec
		both(r, func(k *Keyspace) int { return k.AppendString(db, []byte(key), []byte(tail), now) }, len(want.str))
	case n < 80:
		want := r.m.open(db, key, now)
		if want != nil && want.typ != TypeString {
			return
		}
		part, offset := r.bytes(), r.r.IntN(50)
		if r.r.IntN(20) == 0 {
			offset = r.r.IntN(9000)
		}
		if want == nil {
			want = &modelValue{typ: TypeString}
			m[key] = want
		}
		s := []byte(want.str)
		if need := offset + len(part); need > len(s) {
			s = append(s, make([]byte, need-len(s))...)
		}
		copy(s[offset:], part)
		want.str, want.form, want.accessed = string(s), FormEdited, sec
		both(r, func(k *Keyspace) int { return k.SetRange(db, []byte(key), offset, []byte(part), now) }, len(s))
	case n < 95:
		want := r.m.open(db, key, now) != nil
		delete(m, key)
		both(r, func(k *Keyspace) bool { return k.Delete(db, []byte(key), now) }, want)
	case n < 105:
		want, due := r.m.open(db, key, now), r.deadline()
		if want != nil {
			want.due = due
		}
		both(r, func(k *Keyspace) bool { return k.SetDeadline(db, []byte(key), due, now) }, want != nil)
	case n < 120:
		r.moveOrCopy(db, key)
	case n < 165:
		r.hashSet(db, key)
	case n < 185:
		r.hashDelete(db, key)
	case n < 190:
		r.reclaim()
	case n == 190 && r.r.IntN(4) == 0:
		a, b := r.r.IntN(3), r.r.IntN(3)
		r.m[a], r.m[b] = r.m[b], r.m[a]
		r.scans = nil
		both(r, func(k *Keyspace) int { k.Swap(a, b); return 0 }, 0)
	case n == 191 && r.r.IntN(20) == 0:
		r.m[db] = map[string]*modelValue{}
		r.scans = nil
		both(r, func(k *Keyspace) int { k.Flush(db); return 0 }, 0)
	case n == 192 && len(r.snaps) < 3 && (r.keys < 1000 || r.r.IntN(30) == 0):
		s := &runningSnapshot{sn: r.k.BeginSnapshot(r.r.IntN(2) * (50 + r.r.IntN(2000))), want: r.m.clone(), at: now, got: New()}
		r.snaps = append(r.snaps, s)
	case n == 193 && len(r.snaps) > 0 && r.r.IntN(5) == 0:
		r.snaps[0].sn.Close()
		r.snaps = r.snaps[1:]
	case n == 194 && (r.keys < 1000 || r.r.IntN(30) == 0):
		s := &runningScan{db: db, must: map[string]bool{}, seen: map[string]bool{}}
		for key := range m {
			s.must[key] = true
		}
		r.scans = append(r.scans, s)
	case n >= 198 && r.step%3000 < 700: // a time of deletions, so that segments join
		for key := range m {
			delete(m, key)
			both(r, func(k *Keyspace) bool { k.Delete(db, []byte(key), now); return true }, true)
			if r.r.IntN(300) == 0 {
				break
			}
		}
	}
}

func (r *run) moveOrCopy(db int, key string) {
	db2, key2 := r.db(), r.key()
	src := r.m.open(db, key, r.now)
	copied := r.r.IntN(2) == 0
	if src != nil && (db != db2 || key != key2) {
		dst := src
		if copied {
			dst = src.clone()
			dst.accessed = r.now / 1000
		} else {
			delete(r.m[db], key)
		}
		r.m[db2][key2] = dst
	}
	both(r, func(k *Keyspace) bool {
		if copied {
			return k.Copy(db, []byte(key), db2, []byte(key2), r.now)
		}
		return k.Rename(db, []byte(key), db2, []byte(key2), r.now)
	}, src != nil)
}

func (r *run) hashSet(db int, key string) {
	want := r.m.open(db, key, r.now)
	if want != nil && want.typ != TypeHash {
		return
	}
	if want == nil {
		want = &modelValue{typ: TypeHash}
		r.m[db][key] = want
	}
	many := 1
	if r.r.IntN(30) == 0 {
		many = r.r.IntN(400)
		if r.r.IntN(10) == 0 {
			many = r.r.IntN(4000)
		}
	}
	for i := range many + 1 {
		name, value := fmt.Sprintf("field:%d", r.r.IntN(3*many+5)), r.bytes()
		if i == 0 && r.r.IntN(30) == 0 {
			name = strings.Repeat("long field ", r.r.IntN(120)) + name
		}
		if r.r.IntN(3) > 0 && len(value) > 64 {
			value = value[:64]
		}
		isNew := want.set(name, value)
		want.accessed = r.now / 1000
		both(r, func(k *Keyspace) bool {
			w := k.HashForWrite(db, []byte(key), r.now)
			return w.Set([]byte(name), []byte(value))
		}, isNew)
	}
}

func (r *run) hashDelete(db int, key string) {
	want := r.m.get(db, key, r.now)
	if want == nil || want.typ != TypeHash {
		return
	}
	many := 1
	if r.r.IntN(10) == 0 {
		many = len(want.fields)
	}
	for range many {
		name := "field:3"
		if len(want.fields) > 0 && r.r.IntN(5) > 0 {
			fields := want.ordered()
			i := r.r.IntN(len(fields))
			name = fields[i].name
			v, _ := r.k.Peek(db, []byte(key), r.now)
			field, value := v.Hash.At(i)
			if string(field) != name || string(value) != fields[i].value {
				r.t.Fatalf("step %d: field %d is %q, want %q", r.step, i, field, name)
			}
			if got, ok := v.Hash.Get([]byte(name)); !ok || string(got) != fields[i].value {
				r.t.Fatalf("step %d: get %q", r.step, name)
			}
			if many > 200 && i > 20 {
				continue
			}
		}
		had := want.unset(name)
		want.accessed = r.now / 1000
		if len(want.fields) == 0 {
			delete(r.m[db], key)
		}
		both(r, func(k *Keyspace) bool {
			w := k.HashForWrite(db, []byte(key), r.now)
			return w.Delete([]byte(name))
		}, had)
		if len(want.fields) == 0 {
			return
		}
	}
}

func (r *run) reclaim() {
	type dueKey struct {
		due int64
		db  int
		key string
	}
	var all []dueKey
	for db := range r.m {
		for key, v := range r.m[db] {
			if v.due != 0 && v.due <= r.now {
				all = append(all, dueKey{v.due, db, key})
			}
		}
	}
	slices.SortFunc(all, func(a, b dueKey) int {
		if a.due != b.due {
			return int(a.due - b.due)
		}
		if a.db != b.db {
			return a.db - b.db
		}
		return compareKeys([]byte(a.key), []byte(b.key))
	})
	limit := r.r.IntN(30)
	all = all[:min(limit, len(all))]
	for _, x := range all {
		delete(r.m[x.db], x.key)
	}
	before := r.expired
	both(r, func(k *Keyspace) int { return k.Reclaim(r.now, limit) }, len(all))
	if r.expired-before != len(all) {
		r.t.Fatalf("step %d: reclaimed %d, told of %d", r.step, len(all), r.expired-before)
	}
}

func (r *run) advanceSnapshots() {
	for i := 0; i < len(r.snaps); i++ {
		s := r.snaps[i]
		if r.keys > 1000 && r.r.IntN(4) > 0 {
			continue
		}
		done := s.sn.Next(1+r.r.IntN(4000), func(rec Record) { s.got.Load(rec) })
		if !done {
			continue
		}
		s.want.anyAccess().check(r.t, s.got, s.at)
		if s.sn.KeysDone() != s.sn.TotalKeys() {
			r.t.Fatalf("step %d: %d of %d keys done", r.step, s.sn.KeysDone(), s.sn.TotalKeys())
		}
		if s.sn.EarlyBytes() != 0 {
			r.t.Fatalf("step %d: %d bytes still held", r.step, s.sn.EarlyBytes())
		}
		r.snaps = slices.Delete(r.snaps, i, i+1)
		i--
	}
}

func (r *run) advanceScans() {
	for i := 0; i < len(r.scans); i++ {
		s := r.scans[i]
		for key := range s.must {
			if r.m.get(s.db, key, r.now) == nil {
				delete(s.must, key)
			}
		}
		visited := 0
		s.cursor = r.k.Scan(s.db, s.cursor, 10+r.keys/50, r.now, func(key []byte, v Value) {
			visited++
			s.seen[string(key)] = true
			checkValue(r.t, string(key), v, r.m[s.db][string(key)])
		})
		if visited > 10+r.keys/50 {
			r.t.Fatalf("step %d: one step of a scan visited %d keys", r.step, visited)
		}
		if s.cursor != 0 {
			continue
		}
		for key := range s.must {
			if !s.seen[key] {
				r.t.Fatalf("step %d: the scan missed %q", r.step, key)
			}
		}
		r.scans = slices.Delete(r.scans, i, i+1)
		i--
	}
}
