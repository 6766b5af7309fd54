package rdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"brainer/internal/redistest"
	"brainer/internal/transfer"
)

// found is what a file has: "db key" -> type, deadline, value.
type found map[string]string

func read(b []byte) (found, error) {
	all := found{}
	err := Read(bytes.NewReader(b), Visitor{
		Piece: func(p *transfer.Piece) error {
			name := fmt.Sprintf("%d %s", p.DB, p.Key)
			if p.First {
				all[name] = fmt.Sprintf("%s %d", p.Type, p.DeadlineMs)
			}
			var pairs []string
			for i := 0; i < len(p.Fields); i += 2 {
				pairs = append(pairs, fmt.Sprintf(" %q=%q", p.Fields[i], p.Fields[i+1]))
			}
			if p.Type == "string" {
				pairs = []string{fmt.Sprintf(" %q", p.Value)}
			}
			all[name] += strings.Join(pairs, "")
			return nil
		},
		Other: func(db int, key []byte, name string) error {
			all[fmt.Sprintf("%d %s", db, key)] = name
			return nil
		},
	})
	return all, err
}

// asRedisSays is the same, asked of a server.
func asRedisSays(t *testing.T, c *redistest.Client, db int, all found) {
	t.Helper()
	c.Do("SELECT", fmt.Sprint(db))
	for _, k := range redistest.Parse(c.Do("KEYS", "*")).Elems {
		kind := redistest.Parse(c.Do("TYPE", k.Text)).Text
		name := fmt.Sprintf("%d %s", db, k.Text)
		if !transfer.Knows(kind) {
			all[name] = kind
			continue
		}
		deadline := redistest.Parse(c.Do("PEXPIRETIME", k.Text)).Text
		if deadline == "-1" {
			deadline = "0"
		}
		all[name] = kind + " " + deadline
		if kind == "string" {
			all[name] += fmt.Sprintf(" %q", redistest.Parse(c.Do("GET", k.Text)).Text)
			continue
		}
		fields := redistest.Parse(c.Do("HGETALL", k.Text)).Elems
		for i := 0; i < len(fields); i += 2 {
			all[name] += fmt.Sprintf(" %q=%q", fields[i].Text, fields[i+1].Text)
		}
	}
}

func want(t *testing.T, got, want found) {
	t.Helper()
	for name, w := range want {
		if canonical(got[name]) != canonical(w) {
			t.Errorf("%s: %.200q\nwant %.200q", name, got[name], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d keys, want %d", len(got), len(want))
	}
}

// canonical puts fields in order.
func canonical(s string) string {
	words := strings.Split(s, " ")
	slices.Sort(words)
	return strings.Join(words, " ")
}

func fillEncodings(t *testing.T, c *redistest.Client) {
	t.Helper()
	must := func(args ...string) {
		if r := c.Do(args...); r[0] == '-' {
			t.Fatalf("%.100q: %s", args, r)
		}
	}
	must("CONFIG", "SET", "hash-max-listpack-value", "100000")
	must("CONFIG", "SET", "hash-max-listpack-entries", "600")
	for _, db := range []string{"0", "9"} {
		must("SELECT", db)
		for _, n := range []int64{0, 1, -1, 12, 13, 63, 64, 127, 128, -128, 4095, -4096, 4096, 32767, -32768, 1 << 22, -1 << 23, 1 << 23, 1 << 31, -1 << 31, 1 << 40, -1 << 63, 1<<63 - 1} {
			must("SET", fmt.Sprint("number ", n), fmt.Sprint(n))
			must("HSET", "numbers", fmt.Sprint(n), fmt.Sprint(n))
		}
		for _, n := range []int{0, 1, 19, 20, 63, 64, 120, 126, 127, 128, 4000, 4095, 4096, 5000, 16383, 16384, 70000} {
			must("SET", fmt.Sprint("length ", n), strings.Repeat("ab", n)[:n])
			must("HSET", "lengths", fmt.Sprint(n), strings.Repeat("c", n))
			noise := make([]byte, n)
			for i := range noise {
				noise[i] = byte(i * i >> 3)
			}
			must("SET", fmt.Sprint("noise ", n), string(noise))
		}
		for i := range 700 {
			must("HSET", "table", fmt.Sprint("field ", i), strings.Repeat("w", i))
		}
		must("SET", "soon", "x", "PXAT", "4102444800123")
		must("HSET", "for a while", "f", "v")
		must("PEXPIREAT", "for a while", "4102444800001")
		must("RPUSH", "list", "a", "b", strings.Repeat("c", 9000))
		must("SADD", "ints", "1", "2", "70000")
		must("SADD", "set", "a", "b")
		must("ZADD", "scores", "1.5", "a", "-inf", "b")
		for i := range 300 {
			must("SADD", "large set", fmt.Sprint("m", i))
			must("ZADD", "large scores", fmt.Sprint(i), fmt.Sprint("m", i))
			must("XADD", "stream", fmt.Sprint(i+1, "-1"), "f", fmt.Sprint(i))
		}
		must("XGROUP", "CREATE", "stream", "g", "0")
		must("XREADGROUP", "GROUP", "g", "me", "COUNT", "3", "STREAMS", "stream", ">")
		must("XDEL", "stream", "5-1")
	}
	must("FUNCTION", "LOAD", "REPLACE", "#!lua name=l\nredis.register_function('f', function() return 1 end)")
}

func saved(t *testing.T, options ...string) (b []byte, all found) {
	t.Helper()
	dir := t.TempDir()
	c := redistest.Dial(t, redistest.Start(t, append([]string{"--dir", dir}, options...)...))
	fillEncodings(t, c)
	if r := c.Do("SAVE"); string(r) != "+OK\r\n" {
		t.Fatalf("SAVE: %s", r)
	}
	all = found{}
	for _, db := range []int{0, 9} {
		asRedisSays(t, c, db, all)
	}
	b, err := os.ReadFile(filepath.Join(dir, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	return b, all
}

func TestFilesOfRedisAreRead(t *testing.T) {
	for _, options := range [][]string{nil, {"--rdbcompression", "no"}, {"--rdbchecksum", "no"}, {"--maxmemory-policy", "allkeys-lfu"}, {"--maxmemory-policy", "allkeys-lru"}} {
		b, all := saved(t, options...)
		got, err := read(b)
		if err != nil {
			t.Fatalf("%q: %v", options, err)
		}
		want(t, got, all)
	}
}

// file makes an RDB file by hand.
func file(version int, body ...[]byte) []byte {
	b := fmt.Appendf(nil, "REDIS%04d", version)
	b = append(b, slices.Concat(body...)...)
	b = append(b, opEnd)
	if version < 5 {
		return b
	}
	s := newSource(bytes.NewReader(b))
	if err := s.skip(uint64(len(b))); err != nil {
		panic(err)
	}
	return binary.LittleEndian.AppendUint64(b, s.sum())
}

func str(s string) []byte { return append([]byte{byte(len(s))}, s...) }

// Forms that Redis 7 reads and does not write. It is asked whether we have made them right.
func TestFormsOfOldVersions(t *testing.T) {
	zipmap := append([]byte{2}, "\x01a\x01\x00x\x02bb\x02\x02yy--\xff"...)
	ziplist := slices.Concat([]byte{0, 0, 0, 0, 0, 0, 0, 0, 10, 0}, // lengths are set below
		[]byte("\x00\x01a"), []byte("\x03\xf1"), // a=0
		[]byte("\x02\x01b"), []byte("\x03\xfe\xff"), // b=-1
		[]byte("\x03\x01c"), []byte("\x03\xc0\x39\x30"), // c=12345
		[]byte("\x04\x01d"), []byte("\x03\xf0\x40\x42\x0f"), // d=1000000
		[]byte("\x05\x40\x46"), bytes.Repeat([]byte("e"), 70), []byte("\x49\xd0\x00\xca\x9a\x3b"), // e...=1000000000
		[]byte{0xff})
	binary.LittleEndian.PutUint32(ziplist, uint32(len(ziplist)))
	binary.LittleEndian.PutUint32(ziplist[4:], uint32(len(ziplist)-1-6)) // where the last one begins
	long := append([]byte{0x40, byte(len(ziplist))}, ziplist...)
	b := file(9, []byte{opSelect, 2},
		[]byte{9}, str("zipmap"), str(string(zipmap)),
		[]byte{opExpire}, binary.LittleEndian.AppendUint32(nil, 2000000000), []byte{13}, str("ziplist"), long)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dump.rdb"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	all := found{}
	asRedisSays(t, redistest.Dial(t, redistest.Start(t, "--dir", dir)), 2, all)
	got, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	want(t, got, all)
	if len(all) != 2 {
		t.Errorf("Redis reads %v", all)
	}
	// Without a checksum, from before there was one.
	old := file(4, []byte{opSelect, 0, 0}, str("k"), str("v"))
	if got, err := read(old); err != nil || got["0 k"] != `string 0 "v"` {
		t.Errorf("version 4: %v, %v", got, err)
	}
	// Redis 7.2's: a set as a listpack; its streams.
	if got, err := read(file(11, []byte{20}, str("s"), str("anything"), []byte{0}, str("k"), str("v"))); err != nil || got["0 s"] != "set" || got["0 k"] == "" {
		t.Errorf("version 11: %v, %v", got, err)
	}
}

func TestOtherFilesAreTold(t *testing.T) {
	for _, c := range []struct {
		b    []byte
		want error
	}{
		{nil, ErrForeign},
		{[]byte("REDI"), ErrForeign},
		{[]byte("not an rdb file at all"), ErrForeign},
		{[]byte("REDISabcd"), ErrForeign},
		{file(12), ErrVersion(12)},
		{file(10, []byte{99}, str("k"), str("v")), ErrType(99)},
		{file(10)[:12], ErrTruncated},
	} {
		if _, err := read(c.b); err != c.want {
			t.Errorf("%.30q: %v, want %v", c.b, err, c.want)
		}
	}
}

// Each cut and each flipped bit of a file with a bit of everything is noticed.
func TestCutsAndFlippedBitsAreSeen(t *testing.T) {
	dir := t.TempDir()
	c := redistest.Dial(t, redistest.Start(t, "--dir", dir))
	for _, line := range []string{"SET a 1", "SET b vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv PXAT 4102444800000", "HSET h f v g 70000", "RPUSH l a b",
		"ZADD z 1 m", "XADD s 1-1 f v", "XGROUP CREATE s g 0", "XREADGROUP GROUP g me STREAMS s >"} {
		c.Do(strings.Fields(line)...)
	}
	c.Do("SAVE")
	whole, err := os.ReadFile(filepath.Join(dir, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		if _, err := read(whole[:n]); !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrForeign) {
			t.Errorf("cut off after %d of %d bytes: %v", n, len(whole), err)
		}
	}
	for i := range whole {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			if _, err := read(b); err == nil {
				t.Errorf("bit %d of byte %d: not noticed", bit, i)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(file(10, []byte{16}, str("h"), str("\x0b\x00\x00\x00\x02\x00\x81a\x02\x05\x01\xff")))
	f.Add(file(10, []byte{0}, str("k"), []byte{0xc3, 4, 10, 0, 'a', 0xe0, 0}))
	f.Add(file(10, []byte{13}, str("h"), str("ziplist")))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = read(b) // no panic, and no memory for what is only announced
	})
}
