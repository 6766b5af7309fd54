package keyspace

// SetString makes key a string as SET would, replacing whatever was there. deadlineMs 0 means none.
// value must not be storage of this keyspace, unless it lies in what was offered (Region): then it is taken.
func (k *Keyspace) SetString(db int, key, value []byte, deadlineMs, nowMs int64) {
	k.SetStringForm(db, key, value, FormSet, deadlineMs, nowMs)
}

// SetStringForm is SetString for a string that was made another way than by SET.
func (k *Keyspace) SetStringForm(db int, key, value []byte, form Form, deadlineMs, nowMs int64) {
	p, ok := k.open(db, key, nowMs)
	mt := meta{TypeString, form, fresh(nowMs), deadlineMs}
	if ok {
		mt.access = k.m.accessed(p.e.recency(), 1, nowMs)
	}
	k.setString(&p, ok, key, value, mt)
	k.changed(changeSet, db, key, p.hash, contentHash(value)+uint64(deadlineMs)+uint64(form)<<62)
}

func (k *Keyspace) setString(p *spot, exists bool, key, value []byte, mt meta) {
	weight := keyWeight + int64(len(key)+len(value))
	var o object
	if b := k.m.adopt(value); b != nil {
		o = b
	}
	var to []byte // with an object there is nothing to copy
	if !exists {
		p.t.weight += weight
		p.t.setDue(p.hash, 0, mt.due)
		to = p.t.insert(p.hash, key, mt, len(value), o)
	} else {
		p.t.weight += weight - p.t.weightOf(p.s, &p.e)
		p.t.setDue(p.hash, p.e.due(), mt.due)
		to = p.t.rewrite(p.hash, p.s, p.i, mt, len(value), o, false)
	}
	if o == nil {
		copyLong(to, value)
	}
}

// AppendString appends tail to the string at key and returns the new length. A missing key becomes
// tail as SET would make it; the deadline stays. The key must not hold another type.
func (k *Keyspace) AppendString(db int, key, tail []byte, nowMs int64) int {
	p, ok := k.open(db, key, nowMs)
	if !ok {
		k.SetString(db, key, tail, 0, nowMs)
		return len(tail)
	}
	old := len(p.string())
	copyLong(k.edit(&p, old+len(tail), nowMs)[old:], tail)
	k.changed(changeAppend, db, key, p.hash, contentHash(tail))
	return old + len(tail)
}

// SetRange overwrites the string at key from offset on, padding with zero bytes, and returns the new
// length. A missing key counts as empty; the deadline stays. The key must not hold another type.
func (k *Keyspace) SetRange(db int, key []byte, offset int, part []byte, nowMs int64) int {
	p, ok := k.open(db, key, nowMs)
	n := offset + len(part)
	var value []byte
	if ok {
		n = max(n, len(p.string()))
		value = k.edit(&p, n, nowMs)
	} else {
		p.t.weight += keyWeight + int64(len(key)+n)
		value = p.t.insert(p.hash, key, meta{typ: TypeString, form: FormEdited, access: fresh(nowMs)}, n, nil)
		clear(value)
	}
	copy(value[offset:], part)
	k.changed(changeRange, db, key, p.hash, contentHash(part)+uint64(offset))
	return n
}

// edit makes the string n bytes long and returns it to be changed.
func (k *Keyspace) edit(p *spot, n int, nowMs int64) []byte {
	p.t.weight += int64(n - len(p.string()))
	mt := p.e.meta()
	mt.form, mt.access = FormEdited, k.m.accessed(mt.access, 1, nowMs)
	return p.t.rewrite(p.hash, p.s, p.i, mt, n, nil, true)
}

func (p *spot) string() []byte {
	mustBe(p.e.typ(), TypeString)
	return p.e.value(p.s)
}

func mustBe(have, want Type) {
	if have != want {
		panic("keyspace: " + want.String() + " operation on a " + have.String())
	}
}
