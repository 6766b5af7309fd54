package command

import (
	"bytes"
	"math/big"
	"strconv"
)

// INCRBYFLOAT and HINCRBYFLOAT calculate in the C compiler's long double, on the machines Redis is
// known by the 80-bit format of the x87: 64 bits of mantissa, exponents from -16445 to 16383. A
// big.Float of that precision rounds alike, on every machine.
const (
	longDoublePrec     = 64
	longDoubleExpMax   = 16384  // of a mantissa in [0.5, 1)
	longDoubleExpMin   = -16445 // of half the smallest subnormal, which rounds to zero
	longDoubleBytesMax = 5*1024 - 1

	// What is past these decimal exponents is infinite or zero, whatever the digits.
	decimalExpMax = 5000
	decimalExpMin = -5000
)

// longDouble is a number, or an infinity.
type longDouble struct {
	f   *big.Float
	inf bool // of either sign
}

// parseLongDouble reads what strtold reads: decimal, hexadecimal or infinite, and nothing beside it.
func parseLongDouble(b []byte) (x longDouble, ok bool) {
	if len(b) == 0 || len(b) > longDoubleBytesMax {
		return x, false
	}
	digits := b
	negative := b[0] == '-'
	if negative || b[0] == '+' {
		digits = b[1:]
	}
	if equalFold(digits, "inf") || equalFold(digits, "infinity") {
		return longDouble{inf: true}, true
	}
	var f *big.Float
	if len(digits) > 1 && digits[0] == '0' && digits[1]|0x20 == 'x' {
		f, ok = parseHexadecimal(digits[2:])
	} else {
		f, ok = parseDecimal(digits)
	}
	if !ok {
		return x, false
	}
	if negative {
		f.Neg(f)
	}
	return longDouble{f: f}, true
}

// parseDecimal reads digits[.digits][e[+-]digits]. What overflows, or vanishes, is not ok.
func parseDecimal(b []byte) (f *big.Float, ok bool) {
	mantissa, exponent, ok := splitExponent(b, "eE")
	if !ok {
		return nil, false
	}
	whole, fraction, ok := splitPoint(mantissa, isDecimal)
	if !ok {
		return nil, false
	}
	digits := append(append([]byte{}, whole...), fraction...)
	digits = bytes.TrimLeft(digits, "0")
	exponent -= len(fraction)
	if len(digits) == 0 {
		return newLongDouble(), true
	}
	if magnitude := len(digits) + exponent; magnitude > decimalExpMax || magnitude < decimalExpMin {
		return nil, false
	}
	n, _ := new(big.Int).SetString(string(digits), 10)
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(exponent, -exponent))), nil)
	if exponent >= 0 {
		f = newLongDouble().SetInt(n.Mul(n, power))
	} else {
		f = newLongDouble().SetRat(new(big.Rat).SetFrac(n, power))
	}
	return f, inRange(f)
}

// parseHexadecimal reads digits[.digits][p[+-]digits], the 0x being gone.
func parseHexadecimal(b []byte) (f *big.Float, ok bool) {
	mantissa, exponent, ok := splitExponent(b, "pP")
	if !ok {
		return nil, false
	}
	whole, fraction, ok := splitPoint(mantissa, isHexadecimal)
	if !ok {
		return nil, false
	}
	n, _ := new(big.Int).SetString("0"+string(whole)+string(fraction), 16)
	if n.Sign() == 0 {
		return newLongDouble(), true
	}
	exponent -= 4 * len(fraction)
	f = newLongDouble().SetInt(n)
	f.SetMantExp(f, exponent)
	return f, inRange(f)
}

// splitExponent cuts the exponent off, which is 0 when there is none. A huge one is cut to what is
// out of range in any case.
func splitExponent(b []byte, marks string) (mantissa []byte, exponent int, ok bool) {
	i := bytes.IndexAny(b, marks)
	if i < 0 {
		return b, 0, true
	}
	text := b[i+1:]
	negative := len(text) > 0 && text[0] == '-'
	if len(text) > 0 && (negative || text[0] == '+') {
		text = text[1:]
	}
	if len(text) == 0 || !all(text, isDecimal) {
		return nil, 0, false
	}
	const cut = 1_000_000
	exponent, err := strconv.Atoi(string(text))
	if err != nil || exponent > cut {
		exponent = cut
	}
	if negative {
		exponent = -exponent
	}
	return b[:i], exponent, true
}

// splitPoint cuts a mantissa in two. There is a digit in at least one half.
func splitPoint(b []byte, isDigit func(byte) bool) (whole, fraction []byte, ok bool) {
	whole, fraction, _ = bytes.Cut(b, []byte("."))
	return whole, fraction, len(whole)+len(fraction) > 0 && all(whole, isDigit) && all(fraction, isDigit)
}

func newLongDouble() *big.Float {
	return new(big.Float).SetPrec(longDoublePrec).SetMode(big.ToNearestEven)
}

// inRange says whether f neither overflows nor vanishes as a long double.
func inRange(f *big.Float) bool {
	mantissa := new(big.Float)
	exp := f.MantExp(mantissa)
	if exp == longDoubleExpMin {
		half := big.NewFloat(0.5)
		return mantissa.Abs(mantissa).Cmp(half) > 0
	}
	return exp > longDoubleExpMin && exp <= longDoubleExpMax
}

// add returns x + y; ok is false when that is infinite or not a number.
func (x longDouble) add(y longDouble) (sum longDouble, ok bool) {
	if x.inf || y.inf {
		return sum, false
	}
	f := newLongDouble().Add(x.f, y.f)
	return longDouble{f: f}, f.MantExp(nil) <= longDoubleExpMax
}

// append appends x as %.17Lf prints it, without the zeros at the end.
func (x longDouble) append(to []byte) []byte {
	start := len(to)
	to = x.f.Append(to, 'f', 17)
	for to[len(to)-1] == '0' {
		to = to[:len(to)-1]
	}
	if to[len(to)-1] == '.' {
		to = to[:len(to)-1]
	}
	if string(to[start:]) == "-0" {
		to = append(to[:start], '0')
	}
	return to
}

func isDecimal(c byte) bool { return '0' <= c && c <= '9' }

func isHexadecimal(c byte) bool {
	return isDecimal(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func all(b []byte, is func(byte) bool) bool {
	for _, c := range b {
		if !is(c) {
			return false
		}
	}
	return true
}
