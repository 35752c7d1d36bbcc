package model

import (
	"math/big"
	"strings"
)

// SumNumbers returns the exact sum of canonical numbers, in whatever order they
// come. The error is ErrValidation when the sum has more than 38 digits or is
// out of range.
func SumNumbers(numbers []string) (string, error) {
	const places = maxNumberDigits - minNumberExponent // of the smallest digit behind the point
	total := new(big.Int)
	for _, s := range numbers {
		d := mustDecimal(s)
		if d.n == 0 {
			continue
		}
		digits := new(big.Int)
		for i := range d.n {
			digits.Add(digits.Mul(digits, big.NewInt(10)), big.NewInt(int64(d.d[i])))
		}
		shift := big.NewInt(int64(places + d.exp - d.n + 1))
		digits.Mul(digits, shift.Exp(big.NewInt(10), shift, nil))
		if d.neg {
			digits.Neg(digits)
		}
		total.Add(total, digits)
	}
	text := total.Text(10)
	sign := ""
	if total.Sign() < 0 {
		sign, text = "-", text[1:]
	}
	if len(text) <= places {
		text = strings.Repeat("0", places-len(text)+1) + text
	}
	point := len(text) - places
	return ParseNumber(sign + text[:point] + "." + text[point:])
}
