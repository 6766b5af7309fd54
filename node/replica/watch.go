package replica

import (
	"slices"

	"brainer/internal/keyspace"
)

// watches is what connections watch, the same on every copy. A token becomes dirty when a watched
// key is changed, and stays so until it is released.
type watches struct {
	byToken map[uint64]*watcher
	byKey   map[watchedKey][]*watcher
}

type watcher struct {
	token uint64
	dirty bool
	keys  []watchedKey
	lived []bool // whether the key existed when it was first watched
}

type watchedKey struct {
	db  int
	key string
}

// watcher is the connection with a token, a new one if it watches nothing yet.
func (w *watches) watcher(token uint64) *watcher {
	if w.byToken == nil {
		w.byToken, w.byKey = map[uint64]*watcher{}, map[watchedKey][]*watcher{}
	}
	t := w.byToken[token]
	if t == nil {
		t = &watcher{token: token}
		w.byToken[token] = t
	}
	return t
}

// add starts tracking keys for a connection.
func (w *watches) add(ks *keyspace.Keyspace, token uint64, db int, keys [][]byte, nowMs int64) {
	t := w.watcher(token)
	for _, key := range keys {
		k := watchedKey{db, string(key)}
		if slices.Contains(t.keys, k) {
			continue
		}
		_, lives := ks.Peek(db, key, nowMs)
		t.keys = append(t.keys, k)
		t.lived = append(t.lived, lives)
		w.byKey[k] = append(w.byKey[k], t)
	}
}

// take releases what token watches and reports whether its transaction may run.
func (w *watches) take(ks *keyspace.Keyspace, token uint64, nowMs int64) bool {
	t := w.byToken[token]
	if t == nil {
		return true
	}
	clean := !t.dirty
	for i, k := range t.keys {
		if clean && t.lived[i] {
			_, clean = ks.Peek(k.db, []byte(k.key), nowMs) // it may have expired
		}
	}
	w.release(token)
	return clean
}

func (w *watches) release(token uint64) {
	t := w.byToken[token]
	if t == nil {
		return
	}
	delete(w.byToken, token)
	for _, k := range t.keys {
		rest := slices.DeleteFunc(w.byKey[k], func(x *watcher) bool { return x == t })
		if len(rest) == 0 {
			delete(w.byKey, k)
		} else {
			w.byKey[k] = rest
		}
	}
}

func (w *watches) releaseAll() { *w = watches{} }

func (w *watches) changed(db int, key []byte) {
	if len(w.byKey) == 0 {
		return
	}
	for _, t := range w.byKey[watchedKey{db, string(key)}] {
		t.dirty = true
	}
}

func (w *watches) flushed(db int) {
	for _, t := range w.byToken {
		for i, k := range t.keys {
			if k.db == db && t.lived[i] {
				t.dirty = true
			}
		}
	}
}

func (w *watches) swapped(ks *keyspace.Keyspace, a, b int, nowMs int64) {
	for _, t := range w.byToken {
		for i, k := range t.keys {
			if k.db != a && k.db != b {
				continue
			}
			if _, lives := ks.Peek(k.db, []byte(k.key), nowMs); lives || t.lived[i] {
				t.dirty = true
			}
		}
	}
}

// list returns the watchers in the order of their tokens.
func (w *watches) list() []*watcher {
	var ts []*watcher
	for _, t := range w.byToken {
		ts = append(ts, t)
	}
	slices.SortFunc(ts, func(a, b *watcher) int {
		if a.token < b.token {
			return -1
		}
		return 1
	})
	return ts
}

// restore puts one watched key of a snapshot back.
func (w *watches) restore(token uint64, db int, key string, lived, dirty bool) {
	t := w.watcher(token)
	k := watchedKey{db, key}
	t.dirty = t.dirty || dirty
	t.keys = append(t.keys, k)
	t.lived = append(t.lived, lived)
	w.byKey[k] = append(w.byKey[k], t)
}
