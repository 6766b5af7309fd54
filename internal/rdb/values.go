package rdb

import "brainer/internal/transfer"

// value is how a type of RDB files is read, or passed over.
type value struct {
	name string
	read func(*reader) error // nil: it is passed over
	skip func(*reader) error
}

// values are rdb.h's RDB_TYPE_.
var values = map[byte]value{
	0:  {"string", (*reader).readString, (*reader).skipString},
	1:  {"list", nil, (*reader).skipStrings},
	2:  {"set", nil, (*reader).skipStrings},
	3:  {"zset", nil, (*reader).skipOldScores},
	4:  {"hash", (*reader).readHash, (*reader).skipPairs},
	5:  {"zset", nil, (*reader).skipScores},
	7:  {"module", nil, (*reader).skipModuleValue},
	9:  {"hash", packedHash(unpackZipmap), (*reader).skipString},
	10: {"list", nil, (*reader).skipString},
	11: {"set", nil, (*reader).skipString},
	12: {"zset", nil, (*reader).skipString},
	13: {"hash", packedHash(unpackZiplist), (*reader).skipString},
	14: {"list", nil, (*reader).skipStrings},
	15: {"stream", nil, func(r *reader) error { return r.skipStream(1) }},
	16: {"hash", packedHash(unpackListpack), (*reader).skipString},
	17: {"zset", nil, (*reader).skipString},
	18: {"list", nil, (*reader).skipQuicklist},
	19: {"stream", nil, func(r *reader) error { return r.skipStream(2) }},
	20: {"set", nil, (*reader).skipString},
	21: {"stream", nil, func(r *reader) error { return r.skipStream(3) }},
}

func (r *reader) readString() error {
	b, err := r.string()
	if err != nil {
		return err
	}
	return r.emit(b, nil, true)
}

func (r *reader) readHash() error {
	n, err := r.length()
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrDamaged
	}
	var fields [][]byte
	bytes := 0
	for i := range n {
		for range 2 {
			b, err := r.string()
			if err != nil {
				return err
			}
			fields = append(fields, b)
			bytes += len(b)
		}
		if bytes >= transfer.PieceBytes && i+1 < n {
			if err := r.emit(nil, fields, false); err != nil {
				return err
			}
			fields, bytes = fields[:0], 0
		}
	}
	return r.emit(nil, fields, true)
}

func packedHash(unpack func([]byte) ([][]byte, error)) func(*reader) error {
	return func(r *reader) error {
		b, err := r.string()
		if err != nil {
			return err
		}
		fields, err := unpack(b)
		if err != nil {
			return err
		}
		if len(fields) == 0 || len(fields)%2 != 0 {
			return ErrDamaged
		}
		return r.emit(nil, fields, true)
	}
}

func (r *reader) skipString() error {
	n, packed, err := r.lengthOrPacked()
	switch {
	case err != nil:
		return err
	case !packed:
		return r.skip(n)
	case n <= 2:
		return r.skip(1 << n)
	case n != 3:
		return ErrDamaged
	}
	compressed, err := r.length()
	if err != nil {
		return err
	}
	if err := r.skipLengths(1); err != nil {
		return err
	}
	return r.skip(compressed)
}

// counted passes over as many of something as a length says.
func (r *reader) counted(skip func() error) error {
	n, err := r.length()
	for ; err == nil && n > 0; n-- {
		err = skip()
	}
	return err
}

func (r *reader) skipStrings() error { return r.counted(r.skipString) }

func (r *reader) skipLengths(n int) error {
	for range n {
		if _, err := r.length(); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) skipPairs() error {
	return r.counted(func() error {
		if err := r.skipString(); err != nil {
			return err
		}
		return r.skipString()
	})
}

func (r *reader) skipScores() error {
	return r.counted(func() error {
		if err := r.skipString(); err != nil {
			return err
		}
		return r.skip(8)
	})
}

// skipOldScores: as text, with its length, where 253 to 255 are no number and the infinities.
func (r *reader) skipOldScores() error {
	return r.counted(func() error {
		if err := r.skipString(); err != nil {
			return err
		}
		n, err := r.byte()
		if err != nil || n >= 253 {
			return err
		}
		return r.skip(uint64(n))
	})
}

func (r *reader) skipQuicklist() error {
	return r.counted(func() error {
		if err := r.skipLengths(1); err != nil {
			return err
		}
		return r.skipString()
	})
}

// skipStream: rdb.c, rdbSaveObject; later forms have more of the same.
func (r *reader) skipStream(form int) error {
	if err := r.skipPairs(); err != nil { // the first id of a listpack, and it
		return err
	}
	lengths := 3 // elements, last id
	if form >= 2 {
		lengths += 5 // first id, highest deleted id, entries added
	}
	if err := r.skipLengths(lengths); err != nil {
		return err
	}
	return r.counted(func() error { return r.skipStreamGroup(form) })
}

func (r *reader) skipStreamGroup(form int) error {
	if err := r.skipString(); err != nil {
		return err
	}
	lengths := 2 // last id
	if form >= 2 {
		lengths++ // entries read
	}
	if err := r.skipLengths(lengths); err != nil {
		return err
	}
	err := r.counted(func() error { // pending: id, time, deliveries
		if err := r.skip(16 + 8); err != nil {
			return err
		}
		return r.skipLengths(1)
	})
	if err != nil {
		return err
	}
	return r.counted(func() error { // consumers
		if err := r.skipString(); err != nil {
			return err
		}
		times := uint64(8)
		if form >= 3 {
			times += 8
		}
		if err := r.skip(times); err != nil {
			return err
		}
		return r.counted(func() error { return r.skip(16) })
	})
}

func (r *reader) skipModuleValue() error {
	if err := r.skipLengths(1); err != nil {
		return err
	}
	return r.skipModule()
}

// skipModule passes over what a module has written, up to its end mark.
func (r *reader) skipModule() error {
	for {
		op, err := r.length()
		if err != nil {
			return err
		}
		switch op {
		case 0:
			return nil
		case 1, 2: // signed, unsigned
			err = r.skipLengths(1)
		case 3: // float
			err = r.skip(4)
		case 4: // double
			err = r.skip(8)
		case 5:
			err = r.skipString()
		default:
			err = ErrDamaged
		}
		if err != nil {
			return err
		}
	}
}
