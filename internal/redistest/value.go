package redistest

import (
	"bufio"
	"bytes"
	"fmt"
	"sort"
	"strings"
)

// Value is a decoded reply, for comparing what Redis leaves unordered.
type Value struct {
	Kind  byte   // RESP's first byte
	Text  string // of a scalar
	Elems []Value
}

// Parse decodes one reply that a Client returned. It panics at what is no reply.
func Parse(reply []byte) Value {
	v, rest := parse(reply)
	if len(rest) > 0 {
		panic(fmt.Sprintf("redistest: %q follows a reply", rest))
	}
	return v
}

// ParseAll decodes replies that follow one another.
func ParseAll(replies []byte) []Value {
	var all []Value
	for len(replies) > 0 {
		var v Value
		v, replies = parse(replies)
		all = append(all, v)
	}
	return all
}

func parse(reply []byte) (Value, []byte) {
	line, rest, found := bytes.Cut(reply, []byte("\r\n"))
	if !found || len(line) == 0 {
		panic(fmt.Sprintf("redistest: %q is no reply", reply))
	}
	v := Value{Kind: line[0], Text: string(line[1:])}
	switch line[0] {
	case '$', '=', '!':
		whole, err := readReply(bufio.NewReader(bytes.NewReader(reply)), nil)
		if err != nil {
			panic(fmt.Sprintf("redistest: %q: %v", reply, err))
		}
		if v.Text != "-1" {
			v.Text = string(whole[len(line)+2 : len(whole)-2])
		} else {
			v.Kind = '_'
		}
		return v, reply[len(whole):]
	case '*', '~', '>', '%':
		n := 0
		if _, err := fmt.Sscan(v.Text, &n); err != nil {
			panic(fmt.Sprintf("redistest: %q: %v", line, err))
		}
		if line[0] == '%' {
			n *= 2
		}
		for range n {
			var e Value
			e, rest = parse(rest)
			v.Elems = append(v.Elems, e)
		}
	}
	return v, rest
}

// String shows v on one line, containers in brackets.
func (v Value) String() string {
	if v.Elems == nil {
		return fmt.Sprintf("%c%q", v.Kind, v.Text)
	}
	parts := make([]string, len(v.Elems))
	for i, e := range v.Elems {
		parts[i] = e.String()
	}
	return fmt.Sprintf("%c[%s]", v.Kind, strings.Join(parts, " "))
}

// Sorted returns v with its elements in order; in groups of so many (2: pairs).
func (v Value) Sorted(group int) Value {
	if len(v.Elems)%group != 0 {
		return v
	}
	groups := make([][]Value, 0, len(v.Elems)/group)
	for i := 0; i < len(v.Elems); i += group {
		groups = append(groups, v.Elems[i:i+group])
	}
	sort.SliceStable(groups, func(i, j int) bool { return fmt.Sprint(groups[i]) < fmt.Sprint(groups[j]) })
	sorted := Value{Kind: v.Kind, Text: v.Text}
	for _, g := range groups {
		sorted.Elems = append(sorted.Elems, g...)
	}
	return sorted
}
