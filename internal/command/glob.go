package command

// Match says whether s matches the glob pattern, byte by byte, as Redis's KEYS and PSUBSCRIBE do:
// *, ?, [a-z], [^a-z], \ before what stands for itself, and Redis's reading of what is malformed.
// A star that fails is tried again only behind the last one, so that the time is bounded by
// len(pattern)*len(s).
func Match(pattern, s []byte) bool {
	if len(s) == 0 {
		return len(pattern) == 0 // not even a star matches it
	}
	p, i := 0, 0
	afterStar, starAt := -1, 0 // where to go on when the last star takes one byte more
	for i < len(s) {
		if p < len(pattern) && pattern[p] == '*' {
			for p < len(pattern) && pattern[p] == '*' {
				p++
			}
			if p == len(pattern) {
				return true
			}
			afterStar, starAt = p, i
			continue
		}
		if p < len(pattern) {
			if next, ok := matchOne(pattern, p, s[i]); ok {
				p, i = next, i+1
				continue
			}
		}
		if afterStar < 0 {
			return false
		}
		starAt++
		p, i = afterStar, starAt
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches c with the element of pattern at p, which is no star, and returns where the next begins.
func matchOne(pattern []byte, p int, c byte) (next int, ok bool) {
	switch pattern[p] {
	case '?':
		return p + 1, true
	case '[':
		return matchClass(pattern, p+1, c)
	case '\\':
		if p+1 < len(pattern) {
			p++
		}
	}
	return p + 1, pattern[p] == c
}

// matchClass is for what follows a "[". A class that is not closed ends with the pattern.
func matchClass(pattern []byte, p int, c byte) (next int, ok bool) {
	not := p < len(pattern) && pattern[p] == '^'
	if not {
		p++
	}
	match := false
	for ; p < len(pattern) && pattern[p] != ']'; p++ {
		left := len(pattern) - p
		switch {
		case pattern[p] == '\\' && left >= 2:
			p++
			match = match || pattern[p] == c
		case left >= 3 && pattern[p+1] == '-':
			// C's char is signed where Redis is at home.
			low, high := int8(pattern[p]), int8(pattern[p+2])
			if low > high {
				low, high = high, low
			}
			p += 2
			match = match || low <= int8(c) && int8(c) <= high
		default:
			match = match || pattern[p] == c
		}
	}
	return min(p+1, len(pattern)), match != not
}
