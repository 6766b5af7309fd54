package resp

import "strconv"

func appendHead(b []byte, c byte, n int) []byte {
	b = append(b, c)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, '\r', '\n')
}

// parseLength reads a number as Redis's string2ll does: no sign but a minus, no leading zero, no
// overflow. A number that it takes is therefore already in its canonical form.
func parseLength(b []byte) (n int64, ok bool) {
	negative := len(b) > 0 && b[0] == '-'
	digits := b
	if negative {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 19 {
		return 0, false
	}
	if digits[0] == '0' {
		return 0, len(b) == 1
	}
	var u uint64 // 19 digits fit
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		u = u*10 + uint64(c-'0')
	}
	switch {
	case negative && u <= 1<<63:
		return -int64(u), true
	case negative || u >= 1<<63:
		return 0, false
	}
	return int64(u), true
}

// splitInline splits a line into words by Redis's rules (sdssplitargs): "..." with escapes, '...'
// with \' alone, and a quote that closes must be followed by a space. Words are appended to text
// and marked in spans; ok is false for unbalanced quotes. A NUL ends the line.
func splitInline(line, text []byte, spans []span) ([]byte, []span, bool) {
	at := func(i int) byte {
		if i < len(line) {
			return line[i]
		}
		return 0
	}
	i := 0
	for {
		for isSpace(at(i)) {
			i++
		}
		if at(i) == 0 {
			return text, spans, true
		}
		from := len(text)
		quote := byte(0)
	word:
		for {
			c := at(i)
			switch {
			case quote != 0 && c == 0:
				return text, spans, false
			case quote == '"' && c == '\\' && at(i+1) == 'x' && isHex(at(i+2)) && isHex(at(i+3)):
				text = append(text, unhex(at(i+2))<<4|unhex(at(i+3)))
				i += 3
			case quote == '"' && c == '\\' && at(i+1) != 0:
				i++
				text = append(text, unescape(at(i)))
			case quote == '\'' && c == '\\' && at(i+1) == '\'':
				i++
				text = append(text, '\'')
			case quote != 0 && c == quote:
				if next := at(i + 1); next != 0 && !isSpace(next) {
					return text, spans, false
				}
				i++
				break word
			case quote != 0:
				text = append(text, c)
			case c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == 0:
				break word
			case c == '"' || c == '\'':
				quote = c
			default:
				text = append(text, c)
			}
			i++
		}
		spans = append(spans, span{uint32(from), uint32(len(text))})
	}
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}
