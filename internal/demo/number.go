package demo

import (
	"math"
	"strconv"
)

// Grouped writes a number with commas: 12,345.
func Grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	from := len(digits) % 3
	if n < 0 {
		from = 1 + (len(digits)-1)%3
	}
	out := digits[:from]
	for i := from; i < len(digits); i += 3 {
		if out != "" && out != "-" {
			out += ","
		}
		out += digits[i : i+3]
	}
	return out
}

// perSecond writes a rate.
func perSecond(v float64) string { return Grouped(int64(math.Round(v))) + "/s" }

// short writes a number for an axis: 1.6k.
func short(v float64) string {
	if v < 1000 {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	return strconv.FormatFloat(v/1000, 'g', 3, 64) + "k"
}

// niceTop rounds up to 1, 1.2, 1.6, 2, 2.5, 3, 4, 5, 6 or 8 times a power of ten.
func niceTop(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 1.2, 1.6, 2, 2.5, 3, 4, 5, 6, 8} {
		if m*power >= v {
			return m * power
		}
	}
	return 10 * power
}

// niceStep is the distance of about n lines of an axis: 1, 2 or 5 times a
// power of ten.
func niceStep(top float64, n int) float64 {
	raw := top / float64(n)
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= raw {
			return m * power
		}
	}
	return 10 * power
}
