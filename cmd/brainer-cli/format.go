package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"brainer/resp"
)

// formatReply writes a reply as redis-cli does on a terminal (cliFormatReplyTTY), with a final newline.
func formatReply(r resp.Reply) string {
	var b strings.Builder
	writeReply(&b, r, "")
	return b.String()
}

var aggregates = map[resp.Kind]struct{ empty, mark string }{
	resp.ArrayKind: {"(empty array)", ")"},
	resp.MapKind:   {"(empty hash)", "#"},
	resp.SetKind:   {"(empty set)", "~"},
	resp.PushKind:  {"(empty push)", ")"},
}

func writeReply(b *strings.Builder, r resp.Reply, indent string) {
	switch r.Kind {
	case resp.ArrayKind, resp.MapKind, resp.SetKind, resp.PushKind:
		writeElems(b, r, indent)
		return
	case resp.SimpleKind:
		b.Write(r.Str)
	case resp.ErrorKind:
		fmt.Fprintf(b, "(error) %s", r.Str)
	case resp.IntKind:
		fmt.Fprintf(b, "(integer) %d", r.Int)
	case resp.BulkKind:
		b.WriteString(quote(r.Str))
	case resp.NullKind:
		b.WriteString("(nil)")
	case resp.BoolKind:
		fmt.Fprintf(b, "(%s)", r.Text())
	case resp.DoubleKind:
		fmt.Fprintf(b, "(double) %s", r.Text())
	case resp.BigKind, resp.VerbatimKind:
		b.Write(r.Str)
	}
	b.WriteByte('\n')
}

func writeElems(b *strings.Builder, r resp.Reply, indent string) {
	kind, step := aggregates[r.Kind], 1
	if r.Kind == resp.MapKind {
		step = 2
	}
	n := len(r.Elems) / step
	if n == 0 {
		b.WriteString(kind.empty + "\n")
		return
	}
	width := len(strconv.Itoa(n))
	inner := indent + strings.Repeat(" ", width+2)
	for i := range n {
		if i > 0 {
			b.WriteString(indent)
		}
		fmt.Fprintf(b, "%*d%s ", width, i+1, kind.mark)
		if step == 2 {
			var key strings.Builder
			writeReply(&key, r.Elems[2*i], inner)
			b.WriteString(strings.TrimSuffix(key.String(), "\n") + " => ")
		}
		writeReply(b, r.Elems[step*i+step-1], inner)
	}
}

// quote is sdscatrepr.
func quote(s []byte) string {
	b := []byte{'"'}
	for _, c := range s {
		switch {
		case c == '\\' || c == '"':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c == '\a':
			b = append(b, '\\', 'a')
		case c == '\b':
			b = append(b, '\\', 'b')
		case c >= ' ' && c <= '~':
			b = append(b, c)
		default:
			b = fmt.Appendf(b, "\\x%02x", c)
		}
	}
	return string(append(b, '"'))
}

// rawReply is what redis-cli prints into a pipe (cliFormatReplyRaw), without a final newline.
func rawReply(r resp.Reply) []byte {
	switch r.Kind {
	case resp.ArrayKind, resp.SetKind, resp.PushKind:
		parts := make([][]byte, len(r.Elems))
		for i, e := range r.Elems {
			parts[i] = rawReply(e)
		}
		return bytes.Join(parts, []byte("\n"))
	case resp.MapKind:
		var lines [][]byte
		for i := 0; i+1 < len(r.Elems); i += 2 {
			lines = append(lines, bytes.Join([][]byte{rawReply(r.Elems[i]), rawReply(r.Elems[i+1])}, []byte(" ")))
		}
		return bytes.Join(lines, []byte("\n"))
	case resp.BoolKind:
		return []byte("(" + r.Text() + ")")
	}
	return []byte(r.Text())
}

// isText says whether the reply to args is a text for people, whose lines stay lines.
func isText(args []string) bool {
	if len(args) == 0 {
		return false
	}
	sub := ""
	if len(args) > 1 {
		sub = strings.ToLower(args[1])
	}
	switch strings.ToLower(args[0]) {
	case "info", "lolwut":
		return true
	case "client":
		return sub == "list" || sub == "info"
	case "brainer":
		return sub == "status" || sub == "nodes"
	}
	return false
}
