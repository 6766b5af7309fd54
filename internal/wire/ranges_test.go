package wire

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func argument(t testing.TB, body []byte) []byte {
	t.Helper()
	var n int
	head := fmt.Sprintf("*2\r\n$%d\r\n%s\r\n", len(RangeCommand), RangeCommand)
	rest, ok := strings.CutPrefix(string(body), head)
	if _, err := fmt.Sscanf(rest, "$%d\r\n", &n); !ok || err != nil {
		t.Fatalf("%q is not the command", body)
	}
	_, blob, _ := strings.Cut(rest, "\r\n")
	if len(blob) != n+2 {
		t.Fatalf("%q: the argument has %d bytes", body, len(blob)-2)
	}
	return []byte(blob[:n])
}

func TestRangeQuestionAndAnswerAreReadAsWritten(t *testing.T) {
	for _, q := range []RangeQuestion{
		{DB: 15, Bits: 62},
		{DB: 3, OfHash: true, Key: []byte("a\r\nb"), Bits: 5, Part: 31, Each: true},
	} {
		got, err := DecodeRangeQuestion(argument(t, q.Body()))
		if err != nil || !bytes.Equal(got.Key, q.Key) {
			t.Fatalf("%+v: %+v, %v", q, got, err)
		}
		if got.Key = q.Key; !reflect.DeepEqual(got, q) {
			t.Errorf("%+v: %+v", q, got)
		}
	}
	for _, bad := range []RangeQuestion{{DB: 16}, {Bits: 64}, {Bits: 2, Part: 4}} {
		if _, err := DecodeRangeQuestion(argument(t, bad.Body())); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	a := RangeAnswer{Total: 9, Count: 2, Digest: 77, Hashes: [][]byte{[]byte("h")},
		Each: []RangeItem{{[]byte("x"), 1}, {[]byte(""), 2}}}
	blob := a.Append(nil)
	reply := fmt.Appendf(nil, "$%d\r\n%s\r\n", len(blob), blob)
	got, err := DecodeRangeReply(reply)
	if err != nil || !got.Equal(&a) || len(got.Each) != 2 || got.Total != 9 {
		t.Fatalf("%+v, %v", got, err)
	}
	for cut := range reply {
		if _, err := DecodeRangeReply(reply[:cut]); err == nil {
			t.Errorf("cut at %d it is taken", cut)
		}
	}
	if _, err := DecodeRangeReply([]byte("-ERR unknown command\r\n")); err == nil {
		t.Error("an error is taken for an answer")
	}
}

func TestRangeAnswersThatDifferNameTheKeys(t *testing.T) {
	item := func(name string, digest uint64) RangeItem { return RangeItem{[]byte(name), digest} }
	a := RangeAnswer{Each: []RangeItem{item("same", 1), item("changed", 2), item("mine", 3)}}
	b := RangeAnswer{Each: []RangeItem{item("same", 1), item("changed", 9), item("yours", 4)}}
	if got := fmt.Sprintf("%s", a.Differing(&b, 10)); got != "[changed mine yours]" {
		t.Error(got)
	}
	if got := a.Differing(&b, 2); len(got) != 2 {
		t.Errorf("%s", got)
	}
}
