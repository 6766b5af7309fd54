package keyspace

import "fmt"

// Load puts a record of a snapshot into the keyspace. Once all have been loaded the keyspace is equal
// to the one that the snapshot was taken of. Hooks are not told. A record that cannot come from a
// snapshot is refused.
func (k *Keyspace) Load(r Record) error {
	if r.DB < 0 || r.DB >= Databases {
		return fmt.Errorf("load key %.100q: no database %d", r.Key, r.DB)
	}
	p, exists := k.find(r.DB, r.Key)
	if exists && p.e.typ() != r.Type {
		return fmt.Errorf("load key %.100q: it is a %v and a %v", r.Key, p.e.typ(), r.Type)
	}
	mt := meta{r.Type, r.Form, recency(r.Recency), r.DeadlineMs}
	switch {
	case r.Type == TypeString && r.Whole > 0:
		return k.loadPart(&p, exists, r, mt)
	case r.Type == TypeString && r.Form <= FormEdited:
		k.setString(&p, exists, r.Key, r.Value, mt)
	case r.Type == TypeHash && len(r.Fields) > 0 && len(r.Fields)%2 == 0:
		k.loadHash(&p, exists, r, mt)
	default:
		return fmt.Errorf("load key %.100q: type %d, form %d, %d fields and values", r.Key, r.Type, r.Form, len(r.Fields))
	}
	return nil
}

// loadPart puts a part of a long string where it belongs. What the others bring is undefined until they come.
func (k *Keyspace) loadPart(p *spot, exists bool, r Record, mt meta) error {
	end := r.Offset + len(r.Value)
	if r.Form > FormEdited || r.Offset < 0 || end > r.Whole || exists != (r.Offset > 0) || exists && len(p.e.value(p.s)) != r.Whole {
		return fmt.Errorf("load key %.100q: bytes %d to %d of %d do not fit", r.Key, r.Offset, end, r.Whole)
	}
	if exists {
		copy(p.e.value(p.s)[r.Offset:], r.Value)
		return nil
	}
	p.t.weight += keyWeight + int64(len(r.Key)+r.Whole)
	p.t.setDue(p.hash, 0, mt.due)
	copy(p.t.insert(p.hash, r.Key, mt, r.Whole, nil), r.Value)
	return nil
}

func (k *Keyspace) loadHash(p *spot, exists bool, r Record, mt meta) {
	mt.form = formListpack
	if r.Encoding == EncodingHashtable {
		mt.form = formHashtable
	}
	if !exists && k.maybePack(r.Fields, mt.form) {
		p.t.weight += keyWeight + int64(len(r.Key))
		p.t.setDue(p.hash, 0, mt.due)
		copy(p.t.insert(p.hash, r.Key, mt, len(k.scratch), nil), k.scratch)
		p.find(r.Key)
		p.t.weight += hashAt(k.m, p.s, &p.e).weight()
		return
	}
	if !exists {
		k.create(p, r.Key, mt)
		if mt.form == formHashtable && r.Total > packedFieldsMax {
			k.toTable(p, r.Key)
			p.e.object(p.s).(*table).reserve(r.Total)
		}
	}
	for i := 0; i < len(r.Fields); i += 2 {
		k.setField(p, r.Key, r.Fields[i], r.Fields[i+1])
		p.find(r.Key)
	}
}

// maybePack packs all fields of a hash into scratch if they fit a packed hash of that form.
func (k *Keyspace) maybePack(fields [][]byte, form Form) bool {
	n, bytes := len(fields)/2, 2
	for _, f := range fields {
		if form == formListpack && len(f) > listpackBytesMax {
			return false
		}
		bytes += len(f) + 5
	}
	if form == formListpack && n > listpackFieldsMax || form == formHashtable && (n > packedFieldsMax || bytes > packedBytesMax) {
		return false
	}
	b := append(k.scratch[:0], 0, 0)
	for _, f := range fields {
		b = appendString(b, f)
	}
	packed(b).setLen(n)
	if form == formHashtable {
		b = packed(b).inHashOrder(k.m, nil)
	}
	k.scratch = b
	return true
}
