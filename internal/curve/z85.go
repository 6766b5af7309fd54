package curve

// Z85 is how ZeroMQ writes keys (https://rfc.zeromq.org/spec/32): five characters for four bytes.
const z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

func encode(key *[32]byte) string {
	text := make([]byte, 0, 40)
	for i := 0; i < len(key); i += 4 {
		n := uint32(key[i])<<24 | uint32(key[i+1])<<16 | uint32(key[i+2])<<8 | uint32(key[i+3])
		for _, power := range [5]uint32{85 * 85 * 85 * 85, 85 * 85 * 85, 85 * 85, 85, 1} {
			text = append(text, z85[n/power%85])
		}
	}
	return string(text)
}

func decode(text string) (key [32]byte, ok bool) {
	if len(text) != 40 {
		return key, false
	}
	for i := range 8 {
		var n uint64
		for _, c := range []byte(text[5*i : 5*i+5]) {
			digit := digitOf(c)
			if digit < 0 {
				return key, false
			}
			n = n*85 + uint64(digit)
		}
		if n > 1<<32-1 {
			return key, false
		}
		key[4*i], key[4*i+1], key[4*i+2], key[4*i+3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	}
	return key, true
}

func digitOf(c byte) int {
	for i := range len(z85) {
		if z85[i] == c {
			return i
		}
	}
	return -1
}
