package keyspace

// HashWriter changes one hash. It is valid until another mutator of the keyspace is called.
type HashWriter struct {
	k       *Keyspace
	db      int
	key     []byte
	nowMs   int64
	touched bool
}

// HashForWrite opens the hash at key for changes. The first Set creates a missing key, removing the
// last field deletes it. The key must not hold another type.
func (k *Keyspace) HashForWrite(db int, key []byte, nowMs int64) HashWriter {
	return HashWriter{k: k, db: db, key: key, nowMs: nowMs}
}

// Hash is the hash as it is now; it is valid until the next Set or Delete.
func (w *HashWriter) Hash() Hash {
	p, ok := w.k.find(w.db, w.key)
	if !ok || p.e.expired(w.nowMs) {
		return Hash{}
	}
	mustBe(p.e.typ(), TypeHash)
	return hashAt(w.k.m, p.s, &p.e)
}

// Set gives field a value and tells whether the field is new. Neither may be storage of this keyspace.
func (w *HashWriter) Set(field, value []byte) bool {
	p, ok := w.k.open(w.db, w.key, w.nowMs)
	if !ok {
		w.k.create(&p, w.key, meta{typ: TypeHash, access: fresh(w.nowMs)})
		w.touched = true
	}
	mustBe(p.e.typ(), TypeHash)
	w.touch(&p)
	isNew := w.k.setField(&p, w.key, field, value)
	w.k.changed(changeField, w.db, w.key, p.hash, mix(contentHash(field), contentHash(value)))
	return isNew
}

// Delete removes a field and tells whether it was there.
func (w *HashWriter) Delete(field []byte) bool {
	p, ok := w.k.open(w.db, w.key, w.nowMs)
	if !ok {
		return false
	}
	mustBe(p.e.typ(), TypeHash)
	w.touch(&p)
	if !w.k.deleteField(&p, field) {
		return false
	}
	w.k.changed(changeFieldGone, w.db, w.key, p.hash, contentHash(field))
	return true
}

// touch counts as one access whatever is changed.
func (w *HashWriter) touch(p *spot) {
	if !w.touched {
		w.touched = true
		p.e.touch(w.k.m, w.nowMs)
	}
}

// create makes an empty hash and points p at it.
func (k *Keyspace) create(p *spot, key []byte, mt meta) {
	p.t.weight += keyWeight + int64(len(key))
	p.t.setDue(p.hash, 0, mt.due)
	packed(p.t.insert(p.hash, key, mt, 2, nil)).setLen(0)
	p.find(key)
}

// find looks the key up again, after its entry may have moved.
func (p *spot) find(key []byte) {
	p.s, p.i, _ = p.t.find(p.hash, key)
	p.e = p.t.decode(p.s.at(p.i))
}

// setField gives a field of the hash at p a value; it turns the hash into a larger form where it must.
func (k *Keyspace) setField(p *spot, key, field, value []byte) bool {
	h := hashAt(k.m, p.s, &p.e)
	if h.fields != nil {
		p.t.beforeChange(p.s, p.hash)
		old, exists := h.fields.setField(field, value)
		p.t.weight += fieldDelta(field, value, old, exists)
		return !exists
	}
	at, lenAt, end, old, exists := h.packed.find(field)
	delta := fieldDelta(field, value, int64(len(old)), exists)
	fields := h.packed.len()
	if !exists {
		fields++
	}
	if h.form == formListpack && (fields > listpackFieldsMax || len(field) > listpackBytesMax || len(value) > listpackBytesMax) {
		k.toHashtable(p, key, len(field)+len(value))
		return k.setField(p, key, field, value)
	}
	if h.form == formHashtable && (fields > packedFieldsMax || len(h.packed)+len(field)+len(value)+10 > packedBytesMax) {
		k.toTable(p, key)
		return k.setField(p, key, field, value)
	}
	b := k.scratch[:0]
	if exists {
		b = append(b, h.packed[:lenAt]...)
		b = appendString(b, value)
		b = append(b, h.packed[end:]...)
	} else {
		if h.form == formHashtable {
			at = h.packed.sortedPlace(k.m, field)
		}
		b = append(b, h.packed[:at]...)
		b = appendString(appendString(b, field), value)
		b = append(b, h.packed[at:]...)
	}
	packed(b).setLen(fields)
	k.scratch = b
	p.t.weight += delta
	copy(p.t.rewrite(p.hash, p.s, p.i, p.e.meta(), len(b), nil, true), b)
	return !exists
}

func fieldDelta(field, value []byte, oldBytes int64, exists bool) int64 {
	if exists {
		return int64(len(value)) - oldBytes
	}
	return fieldBytes(field, value)
}

// toHashtable ends the listpack encoding; room is what is about to be added.
func (k *Keyspace) toHashtable(p *spot, key []byte, room int) {
	h := hashAt(k.m, p.s, &p.e)
	if h.packed.len() >= packedFieldsMax || len(h.packed)+room+10 > packedBytesMax {
		k.toTable(p, key)
		return
	}
	k.scratch = h.packed.inHashOrder(k.m, k.scratch[:0])
	mt := p.e.meta()
	mt.form = formHashtable
	copy(p.t.rewrite(p.hash, p.s, p.i, mt, len(k.scratch), nil, true), k.scratch)
	p.find(key)
}

// toTable gives the hash a table of its own.
func (k *Keyspace) toTable(p *spot, key []byte) {
	t := newTable(k.m, false)
	h := hashAt(k.m, p.s, &p.e)
	h.packed.each(func(field, value []byte) bool {
		t.setField(field, value)
		return true
	})
	mt := p.e.meta()
	mt.form = formHashtable
	p.t.rewrite(p.hash, p.s, p.i, mt, 0, t, false)
	p.find(key)
}

// setField returns the length of the old value.
func (t *table) setField(field, value []byte) (oldBytes int64, exists bool) {
	hash := t.m.hashOf(field)
	s, i, exists := t.find(hash, field)
	if !exists {
		copy(t.insert(hash, field, meta{}, len(value), nil), value)
	} else {
		e := t.decode(s.at(i))
		oldBytes = int64(len(e.value(s)))
		copy(t.rewrite(hash, s, i, meta{}, len(value), nil, false), value)
	}
	t.weight += fieldDelta(field, value, oldBytes, exists)
	return oldBytes, exists
}

func (k *Keyspace) deleteField(p *spot, field []byte) bool {
	h := hashAt(k.m, p.s, &p.e)
	if h.fields != nil {
		hash := k.m.hashOf(field)
		s, i, ok := h.fields.find(hash, field)
		if !ok {
			return false
		}
		if h.fields.n == 1 {
			k.remove(p)
			return true
		}
		e := h.fields.decode(s.at(i))
		n := fieldBytes(field, e.value(s))
		p.t.beforeChange(p.s, p.hash)
		h.fields.remove(hash, s, i)
		h.fields.weight -= n
		p.t.weight -= n
		return true
	}
	at, _, end, old, ok := h.packed.find(field)
	if !ok {
		return false
	}
	if h.packed.len() == 1 {
		k.remove(p)
		return true
	}
	p.t.weight -= fieldBytes(field, old)
	b := append(k.scratch[:0], h.packed[:at]...)
	b = append(b, h.packed[end:]...)
	packed(b).setLen(h.packed.len() - 1)
	k.scratch = b
	copy(p.t.rewrite(p.hash, p.s, p.i, p.e.meta(), len(b), nil, true), b)
	return true
}

// copy returns a table with the same entries; large values are shared until one side changes them.
func (t *table) copy() *table {
	c := newTable(t.m, t.keyed)
	c.global, c.n, c.segs, c.room, c.weight = t.global, t.n, t.segs, t.room, t.weight
	c.dir = make([]*segment, len(t.dir))
	for d := 0; d < len(t.dir); {
		head := t.dir[d]
		copied := head.clone(t.m)
		for to, s := copied, head.next; s != nil; s = s.next {
			to.next = s.clone(t.m)
			to = to.next
		}
		for range t.span(head) {
			c.dir[d] = copied
			d++
		}
	}
	return c
}
