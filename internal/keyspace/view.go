package keyspace

// ViewsMax is how many views may be open at once.
const ViewsMax = 16

// View is the keys of a database, or the fields of a big hash, as they were when it was opened, for a
// reader that goes through them piece by piece while changes go on. As with a snapshot every segment
// is marked, and one that is about to change is copied first; unlike one it keeps the order of the
// hash, so that it shows what a walk at once would have shown.
type View struct {
	m     *memory
	slot  int
	bit   uint32
	t     *table
	nowMs int64
	first uint64 // hashes below are left out

	heads  []*segment              // of the ranges that are left, in order
	chains map[*segment][]*segment // the ranges of several segments, by their head
	saved  map[*segment]*segment   // copies of those that have changed since
	cur    []*segment              // the range at hand
	it     iterator                // within it
	step   scanStep                // ends a scan
	scans  bool
	closed bool
}

// ViewKeys opens a view of the keys that exist at nowMs, nil when too many are open.
func (k *Keyspace) ViewKeys(db int, nowMs int64) *View {
	return k.dbs[db].view(0, 0, nowMs)
}

// ViewScan opens a view of what Scan visits; Cursor is where the next one goes on.
func (k *Keyspace) ViewScan(db int, cursor uint64, count int, nowMs int64) *View {
	return k.dbs[db].view(cursor, max(count, 1), nowMs)
}

// View opens a view of the fields, nil when too many are open or the hash is a small one.
func (h Hash) View() *View {
	if h.fields == nil {
		return nil
	}
	return h.fields.view(0, 0, 0)
}

// ViewScan opens a view of what Scan visits.
func (h Hash) ViewScan(cursor uint64, count int) *View {
	if h.fields == nil {
		return nil
	}
	return h.fields.view(cursor, max(count, 1), 0)
}

// view opens a view from a cursor on, of count entries or (0) of all.
func (t *table) view(cursor uint64, count int, nowMs int64) *View {
	if cursor >= 1<<(64-cursorShift) {
		return nil
	}
	v := &View{m: t.m, t: t, nowMs: nowMs, first: cursor << cursorShift, scans: count > 0,
		step: scanStep{cursor: cursor, count: count}}
	for t.m.views[v.slot] != nil {
		if v.slot++; v.slot == ViewsMax {
			return nil
		}
	}
	v.bit = 1 << (SnapshotsMax + v.slot)
	t.m.views[v.slot] = v
	t.retain()
	found := 0 // behind the first range, of which a part may be left out
	for pos := v.first; ; {
		head := t.head(pos)
		v.heads = append(v.heads, head)
		for s := head; s != nil; s = s.next {
			s.pending |= v.bit
			if head.next != nil {
				if v.chains == nil {
					v.chains = map[*segment][]*segment{}
				}
				v.chains[head] = append(v.chains[head], s)
			}
			if len(v.heads) > 1 {
				found += int(s.n)
			}
		}
		width := uint64(1) << (64 - head.depth)
		pos = pos&^(width-1) + width
		if pos == 0 || head.depth == 0 || count > 0 && found > count {
			break
		}
	}
	return v
}

// Next goes to the next entry and tells whether there is one.
func (v *View) Next() bool {
	for !v.closed {
		if !v.it.next() {
			if !v.nextRange() {
				return false
			}
			continue
		}
		if v.scans && v.step.full(v.it.hash) {
			return false
		}
		if !v.it.e.expired(v.nowMs) {
			return true
		}
	}
	return false
}

// Key is the key, or the field, at hand. Like Value it is valid until the keyspace changes.
func (v *View) Key() []byte { return v.it.e.key(v.it.s) }

// Value is the value of the key at hand, and Field that of a field.
func (v *View) Value() Value  { return valueOf(v.t, v.it.s, &v.it.e) }
func (v *View) Field() []byte { return v.it.e.value(v.it.s) }

// Cursor is where the next scan goes on once Next has found no more, 0 at the end.
func (v *View) Cursor() uint64 { return v.step.cursorAfter() }

func (v *View) nextRange() bool {
	v.leaveRange()
	if len(v.heads) == 0 {
		return false
	}
	head := v.heads[0]
	v.heads = v.heads[1:]
	if chain, ok := v.chains[head]; ok {
		v.cur = append(v.cur, chain...)
		v.it = iterator{t: v.t, first: v.first}
		for _, s := range chain {
			s = v.asItWas(s)
			for i := range int(s.n) {
				v.it.add(s, i)
			}
		}
		v.it.sort()
		return true
	}
	v.cur = append(v.cur, head)
	v.it = iterator{t: v.t, first: v.first, head: v.asItWas(head)}
	return true
}

func (v *View) asItWas(s *segment) *segment {
	if c, ok := v.saved[s]; ok {
		return c
	}
	return s
}

// leaveRange lets go of the range at hand.
func (v *View) leaveRange() {
	for _, s := range v.cur {
		v.release(s)
	}
	v.cur, v.it = v.cur[:0], iterator{}
}

func (v *View) release(s *segment) {
	if c, ok := v.saved[s]; ok {
		v.t.freeSegment(c)
		delete(v.saved, s)
		return
	}
	s.pending &^= v.bit
}

// save copies a segment that is about to change.
func (v *View) save(t *table, s *segment) {
	if t != v.t {
		panic("keyspace: a view's mark in another table")
	}
	c := s.clone(v.m)
	if v.saved == nil {
		v.saved = map[*segment]*segment{}
	}
	v.saved[s] = c
	if v.it.head == s {
		v.it.head = c
	}
	for i := range v.it.group {
		if p := &v.it.group[i]; p.s == s {
			p.s = c
		}
	}
}

// Close ends the view; the keyspace keeps nothing for it any more.
func (v *View) Close() {
	if v.closed {
		return
	}
	v.closed = true
	v.leaveRange()
	for _, head := range v.heads {
		if chain, ok := v.chains[head]; ok {
			for _, s := range chain {
				v.release(s)
			}
			continue
		}
		v.release(head)
	}
	v.heads, v.chains = nil, nil
	v.m.views[v.slot] = nil
	v.t.drop(v.m)
}
