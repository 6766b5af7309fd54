package keyspace

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// runningView is a view that a random walk has open, and what it has to show: what was there when it
// was opened, in that order.
type runningView struct {
	v      *View
	field  bool // of a hash
	scan   bool
	want   []string
	cursor uint64
	at     int
}

func (r *run) openView() {
	db := r.db()
	w := &runningView{}
	key := r.key()
	value, _ := r.k.Peek(db, []byte(key), r.now)
	cursor, count := uint64(0), 1+r.r.IntN(r.keys)
	if r.r.IntN(2) == 0 {
		cursor = r.r.Uint64() >> cursorShift
	}
	w.scan, w.field = r.r.IntN(2) == 0, value.Type == TypeHash && value.Hash.fields != nil
	keep := func(k []byte) { w.want = append(w.want, string(k)) }
	switch {
	case w.field && w.scan:
		w.v = value.Hash.ViewScan(cursor, count)
		w.cursor = value.Hash.Scan(cursor, count, func(f, v []byte) { keep(f); keep(v) })
	case w.field:
		w.v = value.Hash.View()
		value.Hash.Each(func(f, v []byte) bool { keep(f); keep(v); return true })
	case w.scan:
		w.v = r.k.ViewScan(db, cursor, count, r.now)
		w.cursor = r.k.Scan(db, cursor, count, r.now, func(k []byte, v Value) { keep(k); keep([]byte(v.Type.String())) })
	default:
		w.v = r.k.ViewKeys(db, r.now)
		r.k.Each(db, r.now, func(k []byte, v Value) bool { keep(k); keep([]byte(v.Type.String())); return true })
	}
	if w.v == nil {
		r.t.Fatalf("step %d: no view", r.step)
	}
	r.views = append(r.views, w)
}

func (r *run) advanceViews() {
	for i := 0; i < len(r.views); i++ {
		w := r.views[i]
		for range r.r.IntN(40) {
			if !w.v.Next() {
				if w.at != len(w.want) {
					r.t.Fatalf("step %d: a view ends after %d of %d", r.step, w.at, len(w.want))
				}
				if w.scan && w.v.Cursor() != w.cursor {
					r.t.Fatalf("step %d: cursor %d, want %d", r.step, w.v.Cursor(), w.cursor)
				}
				w.v.Close()
				r.views = slices.Delete(r.views, i, i+1)
				i--
				break
			}
			got := []string{string(w.v.Key())}
			if w.field {
				got = append(got, string(w.v.Field()))
			} else {
				got = append(got, w.v.Value().Type.String())
			}
			if w.at+2 > len(w.want) || got[0] != w.want[w.at] || got[1] != w.want[w.at+1] {
				r.t.Fatalf("step %d: a view shows %.100q at %d of %d", r.step, got, w.at, len(w.want))
			}
			w.at += 2
		}
	}
}

func TestAViewShowsWhatWasThereAndKeepsNothingBehind(t *testing.T) {
	k := New()
	const keys = 20_000
	for i := range keys {
		k.SetString(0, fmt.Append(nil, "key:", i), []byte("v"), 0, 1000)
		w := k.HashForWrite(1, []byte("hash"), 1000)
		w.Set(fmt.Append(nil, "field:", i), []byte("v"))
	}
	h, _ := k.Peek(1, []byte("hash"), 1000)
	var views []*View
	for v := k.ViewKeys(0, 1000); v != nil; v = k.ViewKeys(0, 1000) {
		views = append(views, v)
		if len(views) == ViewsMax-1 {
			views = append(views, h.Hash.View())
		}
	}
	if len(views) != ViewsMax {
		t.Fatalf("%d views", len(views))
	}
	used := k.m.used
	k.FlushAll()
	for i := range keys {
		k.SetString(0, fmt.Append(nil, "other:", i), []byte(strings.Repeat("w", 50)), 0, 1000)
	}
	for i, v := range views {
		n := 0
		for v.Next() {
			n++
		}
		if n != keys && i > 0 {
			t.Fatalf("view %d shows %d", i, n)
		}
		v.Close()
	}
	k.FlushAll()
	k.m.sweep(1 << 20)
	if k.m.used != 0 {
		t.Fatalf("%d pages used of %d", k.m.used, used)
	}
	for _, v := range k.m.views {
		if v != nil {
			t.Fatal("a view is still open")
		}
	}
}

func TestAViewCopiesOnlyWhatChanges(t *testing.T) {
	k := filled(50_000, make([]byte, 64))
	v := k.ViewKeys(0, 1000)
	used := k.m.used
	var b [16]byte
	k.SetString(0, benchKey(b[:], 7), []byte("x"), 0, 1000)
	k.SetString(0, benchKey(b[:], 7), []byte("y"), 0, 1000)
	if more := k.m.used - used; more < 1 || more > segmentPages+1 {
		t.Fatalf("one key that changes costs %d pages", more)
	}
	v.Close()
	if k.m.used != used {
		t.Fatalf("%d pages are kept", k.m.used-used)
	}
	for _, s := range k.dbs[0].dir {
		if s.pending != 0 {
			t.Fatal("a mark is left")
		}
	}
}
