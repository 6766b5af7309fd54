package resp

import (
	"reflect"
	"strings"
	"testing"
)

var replies = []string{
	"+OK\r\n",
	"-ERR no\r\n",
	":-12\r\n",
	"$-1\r\n",
	"$0\r\n\r\n",
	"$5\r\na\r\nbc\r\n",
	"*-1\r\n",
	"*0\r\n",
	"*2\r\n:1\r\n*1\r\n$1\r\nx\r\n",
	"_\r\n",
	"#t\r\n",
	",3.14\r\n",
	",inf\r\n",
	"(123456789012345678901234567890\r\n",
	"!5\r\nERR x\r\n",
	"=7\r\ntxt:abc\r\n",
	"%2\r\n+a\r\n:1\r\n+b\r\n*2\r\n:1\r\n:2\r\n",
	"~2\r\n+a\r\n+b\r\n",
	">2\r\n+message\r\n$1\r\nx\r\n",
	"|1\r\n+ttl\r\n:3\r\n$1\r\nx\r\n",
	"*2\r\n|1\r\n+ttl\r\n:3\r\n$1\r\nx\r\n:1\r\n",
	strings.Repeat("*1\r\n", 60) + ":1\r\n",
}

func TestSliceFindsTheEndOfEveryReply(t *testing.T) {
	for _, in := range replies {
		if n, err := Slice([]byte(in + "+next\r\n")); err != nil || n != len(in) {
			t.Errorf("%q: %d, %v", in, n, err)
		}
		if _, n, err := ParseReply([]byte(in + "+next\r\n")); err != nil || n != len(in) {
			t.Errorf("parse %q: %d, %v", in, n, err)
		}
		var s Slicer
		for i := range len(in) {
			if _, err := Slice([]byte(in[:i])); err != ErrIncomplete {
				t.Fatalf("%q: %v", in[:i], err)
			}
			if _, err := s.Next([]byte(in[:i])); err != ErrIncomplete {
				t.Fatalf("%q: %v", in[:i], err)
			}
		}
		if n, err := s.Next([]byte(in)); err != nil || n != len(in) {
			t.Errorf("%q in pieces: %d, %v", in, n, err)
		}
	}
}

func TestSliceRefusesWhatIsNoReply(t *testing.T) {
	for _, in := range []string{
		"x\r\n", "\r\n", "+OK\n", "$-2\r\n", "$a\r\n", "*-2\r\n", "%-1\r\n", "$1\r\nabc", "$3\r\nabcde",
		"$99999999999999999999\r\n", "*9223372036854775807\r\n",
	} {
		if n, err := Slice([]byte(in)); err != ErrMalformed {
			t.Errorf("%q: %d, %v", in, n, err)
		}
	}
}

func TestDepthNeitherOverflowsSliceNorParse(t *testing.T) {
	deep := []byte(strings.Repeat("*1\r\n", 1_000_000) + ":1\r\n")
	if n, err := Slice(deep); err != nil || n != len(deep) {
		t.Fatal(n, err)
	}
	if _, _, err := ParseReply(deep); err != ErrMalformed {
		t.Fatal(err)
	}
}

func TestParseReply(t *testing.T) {
	for in, want := range map[string]Reply{
		"+OK\r\n":                  {Kind: SimpleKind, Str: []byte("OK")},
		"-ERR no\r\n":              {Kind: ErrorKind, Str: []byte("ERR no")},
		"!6\r\nERR no\r\n":         {Kind: ErrorKind, Str: []byte("ERR no")},
		":7\r\n":                   {Kind: IntKind, Int: 7},
		"$-1\r\n":                  {Kind: NullKind},
		"*-1\r\n":                  {Kind: NullKind},
		"#t\r\n":                   {Kind: BoolKind, Int: 1},
		",1.5\r\n":                 {Kind: DoubleKind, Double: 1.5},
		"=5\r\ntxt:a\r\n":          {Kind: VerbatimKind, Str: []byte("a")},
		"|1\r\n+a\r\n:1\r\n:2\r\n": {Kind: IntKind, Int: 2},
		"%1\r\n+a\r\n:1\r\n": {Kind: MapKind, Elems: []Reply{
			{Kind: SimpleKind, Str: []byte("a")}, {Kind: IntKind, Int: 1}}},
	} {
		got, n, err := ParseReply([]byte(in))
		if err != nil || n != len(in) || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %d, %v", in, got, n, err)
		}
	}
	r, _, _ := ParseReply([]byte("-NOAUTH who?\r\n"))
	if err, ok := r.Err().(ReplyError); !ok || err.Code() != "NOAUTH" {
		t.Error(r.Err())
	}
}

func FuzzSlice(f *testing.F) {
	for _, s := range replies {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		n, err := Slice(in)
		_, m, perr := ParseReply(in)
		if err != nil {
			if perr != err {
				t.Fatalf("slice %v, parse %v", err, perr)
			}
			return
		}
		if perr == nil && m != n {
			t.Fatalf("slice %d, parse %d", n, m)
		}
		if got, err := Slice(in[:n]); got != n || err != nil {
			t.Fatalf("%d, %v", got, err)
		}
		if _, err := Slice(in[:n-1]); err != ErrIncomplete {
			t.Fatalf("one byte short: %v", err)
		}
	})
}

func BenchmarkSlice(b *testing.B) {
	in := []byte("*2\r\n$64\r\n" + strings.Repeat("x", 64) + "\r\n:1\r\n")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Slice(in); err != nil {
			b.Fatal(err)
		}
	}
}
