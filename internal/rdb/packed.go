package rdb

import (
	"encoding/binary"
	"strconv"
)

// Small hashes are one string, packed. Each of these returns its elements, field and value in turn.

func unpackZiplist(b []byte) ([][]byte, error)  { return unpack(b, 10, ziplistEntry) } // its length, its last entry's place, how many there are
func unpackListpack(b []byte) ([][]byte, error) { return unpack(b, 6, listpackEntry) } // its length, how many there are

// unpack walks over entries between a head, which begins with the length of all, and a byte that ends them.
func unpack(b []byte, head int, entry func(*cursor) []byte) (elems [][]byte, err error) {
	if len(b) <= head || int(binary.LittleEndian.Uint32(b)) != len(b) {
		return nil, ErrDamaged
	}
	c := cursor{b: b[head:]}
	for c.peek() != 0xff {
		elem := entry(&c)
		if c.bad {
			return nil, ErrDamaged
		}
		elems = append(elems, elem)
	}
	if len(c.b) != 1 {
		return nil, ErrDamaged
	}
	return elems, nil
}

// ziplistEntry: ziplist.c.
func ziplistEntry(c *cursor) []byte {
	if previous := c.byte(); previous == 0xfe {
		c.take(4)
	}
	switch e := c.byte(); {
	case e>>6 == 0:
		return c.take(uint64(e & 0x3f))
	case e>>6 == 1:
		return c.take(uint64(e&0x3f)<<8 | uint64(c.byte()))
	case e == 0x80:
		return c.take(uint64(binary.BigEndian.Uint32(c.take4())))
	case e == 0xc0:
		return c.int(2)
	case e == 0xd0:
		return c.int(4)
	case e == 0xe0:
		return c.int(8)
	case e == 0xf0:
		return c.int(3)
	case e == 0xfe:
		return c.int(1)
	case e >= 0xf1 && e <= 0xfd:
		return strconv.AppendInt(nil, int64(e&0x0f)-1, 10)
	}
	c.bad = true
	return nil
}

// listpackEntry: listpack.c.
func listpackEntry(c *cursor) []byte {
	before := len(c.b)
	elem := listpackElement(c)
	c.take(backLength(before - len(c.b)))
	return elem
}

func listpackElement(c *cursor) []byte {
	switch e := c.byte(); {
	case e>>7 == 0:
		return strconv.AppendInt(nil, int64(e), 10)
	case e>>6 == 2:
		return c.take(uint64(e & 0x3f))
	case e>>5 == 6:
		v := int64(e&0x1f)<<8 | int64(c.byte())
		return strconv.AppendInt(nil, v<<51>>51, 10)
	case e>>4 == 14:
		return c.take(uint64(e&0x0f)<<8 | uint64(c.byte()))
	case e == 0xf0:
		return c.take(uint64(binary.LittleEndian.Uint32(c.take4())))
	case e == 0xf1:
		return c.int(2)
	case e == 0xf2:
		return c.int(3)
	case e == 0xf3:
		return c.int(4)
	case e == 0xf4:
		return c.int(8)
	}
	c.bad = true
	return nil
}

// backLength is how many bytes say how long the entry before was.
func backLength(size int) uint64 {
	switch {
	case size <= 127:
		return 1
	case size < 16383:
		return 2
	case size < 2097151:
		return 3
	case size < 268435455:
		return 4
	}
	return 5
}

// unpackZipmap: zipmap.c, which no version since 2.6 writes.
func unpackZipmap(b []byte) (elems [][]byte, err error) {
	if len(b) < 2 {
		return nil, ErrDamaged
	}
	c := cursor{b: b[1:]}
	length := func() uint64 {
		n := c.byte()
		if n < 254 {
			return uint64(n)
		}
		if n == 255 {
			c.bad = true
		}
		return uint64(binary.LittleEndian.Uint32(c.take4()))
	}
	for c.peek() != 0xff {
		field := c.take(length())
		n := length()
		free := c.byte()
		value := c.take(n)
		c.take(uint64(free))
		if c.bad {
			return nil, ErrDamaged
		}
		elems = append(elems, field, value)
	}
	if len(c.b) != 1 {
		return nil, ErrDamaged
	}
	return elems, nil
}

// cursor walks over bytes; bad says that there were too few.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) peek() byte {
	if len(c.b) == 0 {
		c.bad = true
		return 0
	}
	return c.b[0]
}

func (c *cursor) byte() byte {
	b := c.peek()
	if !c.bad {
		c.b = c.b[1:]
	}
	return b
}

func (c *cursor) take(n uint64) []byte {
	if uint64(len(c.b)) < n {
		c.bad = true
		return nil
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) take4() []byte {
	if b := c.take(4); b != nil {
		return b
	}
	return make([]byte, 4)
}

// int is a signed number of n bytes, the lowest first, as text.
func (c *cursor) int(n int) []byte {
	var v uint64
	for i, b := range c.take(uint64(n)) {
		v |= uint64(b) << (8 * i)
	}
	shift := 64 - 8*n
	return strconv.AppendInt(nil, int64(v<<shift)>>shift, 10)
}

// unpackLZF decompresses what liblzf has compressed.
func unpackLZF(b []byte, size uint64) ([]byte, error) {
	const most = 264 // bytes that a reference of 3 bytes can stand for
	if size > stringMax || size > uint64(len(b))*most {
		return nil, ErrDamaged
	}
	out := make([]byte, 0, size)
	for len(b) > 0 {
		control := int(b[0])
		b = b[1:]
		if control < 32 {
			n := control + 1
			if n > len(b) || uint64(len(out)+n) > size {
				return nil, ErrDamaged
			}
			out = append(out, b[:n]...)
			b = b[n:]
			continue
		}
		n := control >> 5
		if n == 7 {
			if len(b) == 0 {
				return nil, ErrDamaged
			}
			n += int(b[0])
			b = b[1:]
		}
		n += 2
		if len(b) == 0 {
			return nil, ErrDamaged
		}
		from := len(out) - (control&0x1f)<<8 - int(b[0]) - 1
		b = b[1:]
		if from < 0 || uint64(len(out)+n) > size {
			return nil, ErrDamaged
		}
		for i := range n { // one by one: it may overlap what it makes
			out = append(out, out[from+i])
		}
	}
	if uint64(len(out)) != size {
		return nil, ErrDamaged
	}
	return out, nil
}
