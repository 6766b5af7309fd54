package rdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"brainer/internal/transfer"
)

const (
	versionMax = 11
	stringMax  = 512<<20 + 64 // bytes; Redis's own limit, and some
)

// What may be wrong with a file.
var (
	ErrForeign   = errors.New("not an RDB file")
	ErrTruncated = errors.New("the RDB file is cut off")
	ErrDamaged   = errors.New("the RDB file is damaged")
)

// ErrVersion: the file is of a later Redis.
type ErrVersion int

func (e ErrVersion) Error() string {
	return fmt.Sprintf("the RDB file has version %d; versions up to %d are known, which Redis 7.2 writes", int(e), versionMax)
}

// ErrType: the file has something that cannot even be passed over.
type ErrType byte

func (e ErrType) Error() string {
	return fmt.Sprintf("the RDB file has a value of an unknown type, %d", byte(e))
}

// Visitor is told what a file has. A piece lives as long as the call.
type Visitor struct {
	Piece func(*transfer.Piece) error
	// Other is a key of a type that is passed over.
	Other func(db int, key []byte, typeName string) error
	// Aux is what the writer says of itself: redis-ver, ctime, repl-id ...; may be nil.
	Aux func(name, value string)
	// Read tells the bytes that were taken, now and then; may be nil.
	Read func(bytes int64)
}

const (
	opFunction2  = 245
	opFunctionGA = 246
	opModuleAux  = 247
	opIdle       = 248
	opFreq       = 249
	opAux        = 250
	opResize     = 251
	opExpireMs   = 252
	opExpire     = 253
	opSelect     = 254
	opEnd        = 255
)

// reader is a file being read.
type reader struct {
	*source
	visit *Visitor
	piece transfer.Piece
}

// Read reads a file to its end. What stands behind it is left, but for a buffer.
func Read(from io.Reader, visit Visitor) error {
	r := &reader{source: newSource(from), visit: &visit}
	version, err := r.head()
	if err != nil {
		return err
	}
	for {
		if visit.Read != nil {
			visit.Read(r.taken)
		}
		op, err := r.byte()
		if err != nil {
			return err
		}
		switch op {
		case opSelect:
			var db uint64
			db, err = r.length()
			r.piece.DB = int(db)
		case opExpireMs:
			var ms uint64
			ms, err = r.little(8)
			r.piece.DeadlineMs = int64(ms)
		case opExpire:
			var s uint64
			s, err = r.little(4)
			r.piece.DeadlineMs = int64(int32(s)) * 1000
		case opAux:
			err = r.aux()
		case opResize:
			err = r.skipLengths(2)
		case opIdle:
			err = r.skipLengths(1)
		case opFreq:
			err = r.skip(1)
		case opFunction2:
			err = r.skipString()
		case opModuleAux:
			if err = r.skipLengths(3); err == nil { // the module, when it is to be loaded, as an unsigned number
				err = r.skipModule()
			}
		case opEnd:
			return r.end(version)
		default:
			err = r.key(op)
			r.piece.DeadlineMs = 0
		}
		if err != nil {
			return err
		}
	}
}

func (r *reader) head() (version int, err error) {
	b, err := r.bytes(9)
	if errors.Is(err, ErrTruncated) {
		return 0, ErrForeign
	}
	if err != nil {
		return 0, err
	}
	version, err = strconv.Atoi(string(b[5:]))
	if string(b[:5]) != "REDIS" || err != nil || version < 1 {
		return 0, ErrForeign
	}
	if version > versionMax {
		return 0, ErrVersion(version)
	}
	return version, nil
}

func (r *reader) end(version int) error {
	if version < 5 {
		return nil
	}
	sum := r.sum()
	b, err := r.bytes(8)
	if err != nil {
		return err
	}
	if have := binary.LittleEndian.Uint64(b); have != 0 && have != sum { // 0: rdbchecksum no
		return ErrDamaged
	}
	return nil
}

func (r *reader) aux() error {
	name, err := r.string()
	if err != nil {
		return err
	}
	value, err := r.string()
	if err == nil && r.visit.Aux != nil {
		r.visit.Aux(string(name), string(value))
	}
	return err
}

// length reads a length; what is packed otherwise is damage here.
func (r *reader) length() (uint64, error) {
	n, packed, err := r.lengthOrPacked()
	if err == nil && packed {
		return 0, ErrDamaged
	}
	return n, err
}

func (r *reader) lengthOrPacked() (n uint64, packed bool, err error) {
	b, err := r.byte()
	if err != nil {
		return 0, false, err
	}
	switch {
	case b>>6 == 0:
		return uint64(b & 0x3f), false, nil
	case b>>6 == 1:
		low, err := r.byte()
		return uint64(b&0x3f)<<8 | uint64(low), false, err
	case b == 0x80:
		n, err = r.big(4)
		return n, false, err
	case b == 0x81:
		n, err = r.big(8)
		return n, false, err
	case b>>6 == 3:
		return uint64(b & 0x3f), true, nil
	}
	return 0, false, ErrDamaged
}

// string reads a string in any of its forms: as it is, a number, or compressed.
func (r *reader) string() ([]byte, error) {
	n, packed, err := r.lengthOrPacked()
	if err != nil {
		return nil, err
	}
	if !packed {
		return r.bytes(n)
	}
	switch n {
	case 0, 1, 2:
		size := 1 << n
		v, err := r.little(size)
		shift := 64 - 8*size
		return strconv.AppendInt(nil, int64(v<<shift)>>shift, 10), err
	case 3:
		compressed, err := r.length()
		if err != nil {
			return nil, err
		}
		size, err := r.length()
		if err != nil {
			return nil, err
		}
		b, err := r.bytes(compressed)
		if err != nil {
			return nil, err
		}
		return unpackLZF(b, size)
	}
	return nil, ErrDamaged
}

// key reads a key and its value, which is of a type as RDB files number them.
func (r *reader) key(kind byte) (err error) {
	if r.piece.Key, err = r.string(); err != nil {
		return err
	}
	v, ok := values[kind]
	if !ok {
		return ErrType(kind)
	}
	r.piece.Type, r.piece.First = v.name, true
	if v.read != nil && transfer.Knows(v.name) {
		return v.read(r)
	}
	if r.visit.Other != nil {
		if err := r.visit.Other(r.piece.DB, r.piece.Key, v.name); err != nil {
			return err
		}
	}
	return v.skip(r)
}

// emit passes a piece on.
func (r *reader) emit(value []byte, fields [][]byte, last bool) error {
	r.piece.Value, r.piece.Fields, r.piece.Last = value, fields, last
	err := r.visit.Piece(&r.piece)
	r.piece.First = false
	return err
}
