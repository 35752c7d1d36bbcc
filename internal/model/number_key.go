package model

// The first byte of a number's key form.
const (
	numberKeyNegative = 0x01
	numberKeyZero     = 0x02
	numberKeyPositive = 0x03
)

// AppendNumberKey appends the form of a canonical number that sorts: comparing
// two forms byte by byte orders the numbers by value. The form is also
// self-delimiting, so a key may go on behind it. See docs/format/item.md.
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
	return append(dst, flip)
}

// DecodeNumberKey reads what AppendNumberKey wrote at the start of key and
// returns the canonical number and the bytes behind it. The error is
// ErrCorrupt for anything that AppendNumberKey does not write.
func DecodeNumberKey(key []byte) (canonical string, rest []byte, err error) {
	if len(key) > 0 && key[0] == numberKeyZero {
		return "0", key[1:], nil
	}
	if len(key) < 4 || key[0] != numberKeyNegative && key[0] != numberKeyPositive {
		return "", nil, ErrCorrupt
	}
	d, flip := decimal{}, byte(0)
	if key[0] == numberKeyNegative {
		d.neg, flip = true, 0xff
	}
	d.exp = int(key[1]^flip) + minNumberExponent
	for i, b := range key[2:] {
		b ^= flip
		if b == 0 {
			if d.n == 0 || d.d[0] == 0 || d.d[d.n-2] == 0 && d.d[d.n-1] == 0 {
				return "", nil, ErrCorrupt
			}
			if d.d[d.n-1] == 0 {
				d.n--
			}
			return d.text(), key[2+i+1:], nil
		}
		if b > 100 || d.n == maxNumberDigits {
			return "", nil, ErrCorrupt
		}
		d.d[d.n], d.d[d.n+1] = (b-1)/10, (b-1)%10
		d.n += 2
	}
	return "", nil, ErrCorrupt
}
