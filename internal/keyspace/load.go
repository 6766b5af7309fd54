package keyspace

// Reserve prepares a database for about keys keys that come in the order of their hash, as Load's do.
func (k *Keyspace) Reserve(db, keys int) { k.dbs[db].reserve(keys) }

// Load puts a record of a snapshot into the keyspace. Once all have been loaded the keyspace is equal
// to the one that the snapshot was taken of. Hooks are not told.
func (k *Keyspace) Load(r Record) {
	p, ok := k.find(r.DB, r.Key)
	mt := meta{r.Type, r.Form, r.AccessSec, r.DeadlineMs}
	switch r.Type {
	case TypeString:
		k.setString(&p, ok, r.Key, r.Value, mt)
	case TypeHash:
		if !ok {
			k.createForLoad(&p, r, mt)
		}
		for i := 0; i+1 < len(r.Fields); i += 2 {
			k.setField(&p, r.Key, r.Fields[i], r.Fields[i+1])
			p.find(r.Key)
		}
	}
}

// createForLoad makes an empty hash in the form that suits the whole.
func (k *Keyspace) createForLoad(p *spot, r Record, mt meta) {
	mt.form = formListpack
	if r.Encoding == EncodingHashtable {
		mt.form = formHashtable
	}
	k.create(p, r.Key, mt)
	if mt.form == formHashtable && r.Total > packedFieldsMax {
		k.toTable(p, r.Key)
		p.e.object(p.s).(*table).reserve(r.Total)
	}
}
