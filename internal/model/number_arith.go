package model

import "strconv"

// maxIntText is the longest canonical integer, sign included, that the fast
// paths read as an int64: two of them add up without overflow.
const maxIntText = 18

// smallInt reads a canonical number that is a short integer.
func smallInt(s string) (v int64, ok bool) {
	if len(s) > maxIntText {
		return 0, false
	}
	i := 0
	if s[0] == '-' {
		i = 1
	}
	for ; i < len(s); i++ {
		if !isDigit(s[i]) {
			return 0, false
		}
		v = v*10 + int64(s[i]-'0')
	}
	if s[0] == '-' {
		v = -v
	}
	return v, true
}

// CompareNumbers orders two canonical numbers by value: negative when a is
// less than b, zero when they are equal, positive when a is greater.
func CompareNumbers(a, b string) int {
	if a == b {
		return 0
	}
	if x, ok := smallInt(a); ok {
		if y, ok := smallInt(b); ok {
			if x < y {
				return -1
			}
			return 1
		}
	}
	x, y := mustDecimal(a), mustDecimal(b)
	return x.compare(&y)
}

// AddNumbers returns a+b, exactly. The error is ErrValidation in AWS's words
// when the sum has more than 38 digits or is out of range. a and b are
// canonical, and so is the sum.
func AddNumbers(a, b string) (string, error) {
	if x, ok := smallInt(a); ok {
		if y, ok := smallInt(b); ok {
			return strconv.FormatInt(x+y, 10), nil
		}
	}
	x, y := mustDecimal(a), mustDecimal(b)
	return addDecimals(&x, &y)
}

// SubNumbers returns a-b like AddNumbers.
func SubNumbers(a, b string) (string, error) {
	if x, ok := smallInt(a); ok {
		if y, ok := smallInt(b); ok {
			return strconv.FormatInt(x-y, 10), nil
		}
	}
	x, y := mustDecimal(a), mustDecimal(b)
	y.neg = !y.neg
	return addDecimals(&x, &y)
}

// mustDecimal takes a canonical number apart; only a programming error hands
// it anything else.
func mustDecimal(s string) decimal {
	d, err := parseDecimal(s)
	if err != nil {
		panic("BUG: a number is not canonical")
	}
	return d
}

func (d *decimal) compare(e *decimal) int {
	if d.sign() != e.sign() {
		return d.sign() - e.sign()
	}
	return d.sign() * d.compareMagnitude(e)
}

func (d *decimal) sign() int {
	switch {
	case d.n == 0:
		return 0
	case d.neg:
		return -1
	default:
		return 1
	}
}

// compareMagnitude compares two numbers that are not zero by their magnitude.
func (d *decimal) compareMagnitude(e *decimal) int {
	if d.exp != e.exp {
		return d.exp - e.exp
	}
	for i := 0; i < max(d.n, e.n); i++ { // digits beyond n are zero
		if d.d[i] != e.d[i] {
			return int(d.d[i]) - int(e.d[i])
		}
	}
	return 0
}

// maxSumSpan is how many decimal places two numbers may cover so that their
// sum may still fit: one carry and one borrow beyond the 38 digits.
const maxSumSpan = maxNumberDigits + 2

func addDecimals(x, y *decimal) (string, error) {
	if x.n == 0 {
		return y.text(), nil
	}
	if y.n == 0 {
		return x.text(), nil
	}
	if x.compareMagnitude(y) < 0 {
		x, y = y, x
	}
	last := min(x.exp-x.n, y.exp-y.n) + 1 // the place of the lowest digit
	span := x.exp - last + 1
	if span > maxSumSpan {
		return "", &Error{Kind: ErrValidation, Message: msgTooPrecise}
	}
	var sum [maxSumSpan + 1]int8 // sum[0] takes the carry out of x's first digit
	for i := range x.n {
		sum[1+i] = int8(x.d[i])
	}
	sign := int8(1)
	if x.neg != y.neg {
		sign = -1
	}
	for i := range y.n {
		sum[1+x.exp-y.exp+i] += sign * int8(y.d[i])
	}
	for i := span; i > 0; i-- {
		if sum[i] < 0 {
			sum[i] += 10
			sum[i-1]--
		} else if sum[i] > 9 {
			sum[i] -= 10
			sum[i-1]++
		}
	}
	out := decimal{neg: x.neg, exp: x.exp + 1}
	first := 0
	for first <= span && sum[first] == 0 {
		first++
		out.exp--
	}
	for i := first; i <= span; i++ {
		if k := i - first; sum[i] != 0 {
			out.n = k + 1
			if k < maxNumberDigits {
				out.d[k] = byte(sum[i])
			}
		}
	}
	out, err := out.check()
	if err != nil {
		return "", err
	}
	return out.text(), nil
}
