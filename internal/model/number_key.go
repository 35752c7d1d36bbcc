package model

// The first byte of a number's key form, and the last one of some.
const (
	numberKeyNegative = 0x01
	numberKeyZero     = 0x02
	numberKeyPositive = 0x03

	numberKeyEnd = 0xff // behind the digits of a negative number
)

// AppendNumberKey appends the form of a canonical number that sorts: comparing
// two forms byte by byte orders the numbers by value, the shorter one first
// when one begins with the other. The form does not delimit itself; a key that
// goes on behind it must. See docs/format/item.md.
func AppendNumberKey(dst []byte, canonical string) []byte {
	d := mustDecimal(canonical)
	if d.n == 0 {
		return append(dst, numberKeyZero)
	}
	first, flip := byte(numberKeyPositive), byte(0)
	if d.neg {
		first, flip = numberKeyNegative, 0xff
	}
	dst = append(dst, first, byte(d.exp-minNumberExponent)^flip)
	for i := 0; i < d.n; i += 2 {
		pair := d.d[i] * 10
		if i+1 < d.n {
			pair += d.d[i+1]
		}
		dst = append(dst, (pair+1)^flip)
	}
	if d.neg { // of two negative numbers the one with more digits is the lower
		dst = append(dst, numberKeyEnd)
	}
	return dst
}

// DecodeNumberKey returns the canonical number whose form AppendNumberKey
// wrote as the whole of key. The error is ErrCorrupt for anything else.
func DecodeNumberKey(key []byte) (string, error) {
	if len(key) == 1 && key[0] == numberKeyZero {
		return "0", nil
	}
	if len(key) < 3 {
		return "", ErrCorrupt
	}
	d, flip, pairs := decimal{}, byte(0), key[2:]
	switch {
	case key[0] == numberKeyNegative && pairs[len(pairs)-1] == numberKeyEnd:
		d.neg, flip, pairs = true, 0xff, pairs[:len(pairs)-1]
	case key[0] != numberKeyPositive:
		return "", ErrCorrupt
	}
	if len(pairs) == 0 || len(pairs) > maxNumberDigits/2 {
		return "", ErrCorrupt
	}
	d.exp = int(key[1]^flip) + minNumberExponent
	for i, b := range pairs {
		b = (b ^ flip) - 1
		if b > 99 {
			return "", ErrCorrupt
		}
		d.d[2*i], d.d[2*i+1] = b/10, b%10
	}
	d.n = 2 * len(pairs)
	if d.d[d.n-1] == 0 {
		d.n--
	}
	if d.d[0] == 0 || d.d[d.n-1] == 0 {
		return "", ErrCorrupt
	}
	return d.text(), nil
}
