package model

import "strconv"

// Numbers are DynamoDB's: decimal, exact, up to 38 significant digits, zero or
// a magnitude from 1E-130 to 9.9999999999999999999999999999999999999E+125.
// They are kept as text in canonical form: plain decimal without an exponent,
// without a plus sign, leading zeros or trailing zeros of a fraction, and zero
// is "0". One number has one text, so equal numbers are equal strings.
// Source: the Amazon DynamoDB Developer Guide, "Supported data types".
const (
	maxNumberDigits   = 38
	maxNumberExponent = 125
	minNumberExponent = -130
)

// AWS's words for numbers that cannot be stored.
const (
	msgNotNumber  = "The parameter cannot be converted to a numeric value"
	msgTooPrecise = "Attempting to store more than 38 significant digits in a Number"
	msgOverflow   = "Number overflow. Attempting to store a number with magnitude larger than supported range"
	msgUnderflow  = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
)

// decimal is a number taken apart: d[0].d[1]d[2]... times ten to the exp, with
// n digits of which neither the first nor the last is zero. n is 0 for zero.
type decimal struct {
	neg bool
	n   int
	exp int
	d   [maxNumberDigits]byte // 0 to 9
}

// ParseNumber returns the canonical form of the number that s names: an
// optional sign, digits with an optional point, an optional exponent. It
// allocates nothing when s is canonical. Errors are ErrValidation in AWS's
// words: not a number, too many digits, magnitude out of range.
func ParseNumber(s string) (string, error) {
	if isCanonicalShort(s) {
		return s, nil
	}
	d, err := parseDecimal(s)
	if err != nil {
		return "", err
	}
	return d.text(), nil
}

// IntNumber is the canonical form of v.
func IntNumber(v int64) string { return strconv.FormatInt(v, 10) }

// IsCanonicalNumber reports whether s is a number in canonical form.
func IsCanonicalNumber(s string) bool {
	if isCanonicalShort(s) {
		return true
	}
	if len(s) <= maxNumberDigits {
		return false
	}
	d, err := parseDecimal(s)
	return err == nil && d.text() == s
}

// isCanonicalShort reports whether s is canonical and so short that neither
// its digits nor its magnitude can be out of range.
func isCanonicalShort(s string) bool {
	if len(s) > maxNumberDigits {
		return false
	}
	i := 0
	if len(s) > 0 && s[0] == '-' {
		i = 1
		if s == "-0" {
			return false
		}
	}
	start := i
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	if i == start || s[start] == '0' && i > start+1 {
		return false
	}
	if i == len(s) {
		return true
	}
	if s[i] != '.' || i+1 == len(s) || s[len(s)-1] == '0' {
		return false
	}
	for i++; i < len(s); i++ {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// parseDecimal takes the number that s names apart.
func parseDecimal(s string) (decimal, error) {
	mantissa, exponent, ok := splitExponent(s)
	if !ok {
		return decimal{}, errNotNumber(s)
	}
	var d decimal
	if mantissa != "" && (mantissa[0] == '-' || mantissa[0] == '+') {
		d.neg = mantissa[0] == '-'
		mantissa = mantissa[1:]
	}
	digits, whole, significant, point := 0, 0, 0, false
	for i := 0; i < len(mantissa); i++ {
		c := mantissa[i]
		if c == '.' && !point {
			point = true
			continue
		}
		if !isDigit(c) {
			return decimal{}, errNotNumber(s)
		}
		digits++
		if significant == 0 && c == '0' { // leading zeros only move the point
			if point {
				whole--
			}
			continue
		}
		if !point {
			whole++
		}
		if significant < maxNumberDigits {
			d.d[significant] = c - '0'
		}
		significant++
		if c != '0' {
			d.n = significant
		}
	}
	if digits == 0 {
		return decimal{}, errNotNumber(s)
	}
	d.exp = whole - 1 + exponent
	return d.check()
}

// check returns d, or the error why it cannot be stored. d.n may count more
// digits than d.d holds.
func (d decimal) check() (decimal, error) {
	switch {
	case d.n == 0:
		return decimal{}, nil
	case d.exp > maxNumberExponent:
		return decimal{}, &Error{Kind: ErrValidation, Message: msgOverflow}
	case d.exp < minNumberExponent:
		return decimal{}, &Error{Kind: ErrValidation, Message: msgUnderflow}
	case d.n > maxNumberDigits:
		return decimal{}, &Error{Kind: ErrValidation, Message: msgTooPrecise}
	default:
		return d, nil
	}
}

// splitExponent cuts s before its "e" or "E". An exponent beyond a billion
// counts as a billion: no mantissa that fits a request brings it back.
func splitExponent(s string) (mantissa string, exponent int, ok bool) {
	for i := 0; i < len(s); i++ {
		if s[i] != 'e' && s[i] != 'E' {
			continue
		}
		digits, neg := s[i+1:], false
		if digits != "" && (digits[0] == '-' || digits[0] == '+') {
			neg = digits[0] == '-'
			digits = digits[1:]
		}
		if digits == "" {
			return "", 0, false
		}
		for j := 0; j < len(digits); j++ {
			if !isDigit(digits[j]) {
				return "", 0, false
			}
			exponent = min(exponent*10+int(digits[j]-'0'), 1e9)
		}
		if neg {
			exponent = -exponent
		}
		return s[:i], exponent, true
	}
	return s, 0, true
}

func errNotNumber(s string) error {
	if s == "" {
		return &Error{Kind: ErrValidation, Message: msgNotNumber}
	}
	return Errorf(ErrValidation, "%s: %s", msgNotNumber, s)
}

// text is d's canonical form.
func (d *decimal) text() string {
	if d.n == 0 {
		return "0"
	}
	var buf [maxNumberExponent - minNumberExponent + 4]byte
	return string(d.append(buf[:0]))
}

func (d *decimal) append(b []byte) []byte {
	if d.neg {
		b = append(b, '-')
	}
	if d.exp < 0 {
		b = append(b, '0', '.')
		for i := -1; i > d.exp; i-- {
			b = append(b, '0')
		}
	}
	for i := 0; i < d.n; i++ {
		if i == d.exp+1 && i > 0 {
			b = append(b, '.')
		}
		b = append(b, '0'+d.d[i])
	}
	for i := d.n; i <= d.exp; i++ {
		b = append(b, '0')
	}
	return b
}

// numberSize is the size of a canonical number by DynamoDB's rules.
func numberSize(s string) int {
	digits, zeros, size := 0, 0, 1
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '-':
			size++
		case c == '0':
			zeros++
		case c != '.':
			if digits > 0 {
				digits += zeros
			}
			digits, zeros = digits+1, 0
		}
	}
	return size + (max(digits, 1)+1)/2
}
