package model

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestParseNumber(t *testing.T) {
	nines := strings.Repeat("9", 38)
	for _, c := range []struct{ in, want string }{
		{"0", "0"}, {"-0", "0"}, {"0.000", "0"}, {"-0e500", "0"}, {"+7", "7"}, {"007", "7"}, {"1.", "1"}, {".5", "0.5"},
		{"-.50", "-0.5"}, {"1e3", "1000"}, {"1E+3", "1000"}, {"12.5e-1", "1.25"}, {"100", "100"}, {"1.10", "1.1"},
		{"1e125", "1" + strings.Repeat("0", 125)}, {"1e-130", "0." + strings.Repeat("0", 129) + "1"},
		{nines, nines}, {"-" + nines, "-" + nines}, {nines + "000", nines + "000"}, {"0.00" + nines, "0.00" + nines},
		{"9." + nines[1:] + "E125", nines + strings.Repeat("0", 88)}, {"0.1e-129", "0." + strings.Repeat("0", 129) + "1"},
		{"", "!" + msgNotNumber}, {"abc", "!" + msgNotNumber + ": abc"}, {"1e", "!" + msgNotNumber + ": 1e"}, {"-", "!" + msgNotNumber + ": -"},
		{"1.2.3", "!" + msgNotNumber + ": 1.2.3"}, {" 1", "!" + msgNotNumber + ":  1"}, {"1e+", "!" + msgNotNumber + ": 1e+"},
		{"NaN", "!" + msgNotNumber + ": NaN"}, {".", "!" + msgNotNumber + ": ."}, {"1e1e1", "!" + msgNotNumber + ": 1e1e1"},
		{"1" + nines, "!" + msgTooPrecise}, {"1e126", "!" + msgOverflow}, {"-1e126", "!" + msgOverflow}, {"1e-131", "!" + msgUnderflow},
		{"1e99999999999999999999", "!" + msgOverflow}, {"1e-99999999999999999999", "!" + msgUnderflow},
	} {
		got, err := ParseNumber(c.in)
		if err != nil {
			got = "!" + err.Error()
		} else if !IsCanonicalNumber(got) {
			t.Errorf("%q: %q is not canonical", c.in, got)
		}
		if got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
		if err == nil && c.in != got && IsCanonicalNumber(c.in) {
			t.Errorf("%q counts as canonical", c.in)
		}
	}
}

// someNumbers are canonical numbers of all magnitudes, with near misses.
func someNumbers(t testing.TB) []string {
	rng := rand.New(rand.NewPCG(1, 2))
	nums := []string{"0", "1", "-1", "0.1", "-0.1", "10", "9", "11", "1.1", "1.01", "-1.1", "-1.01", "99", "100", "12", "120", "123"}
	for range 300 {
		var digits strings.Builder
		for range 1 + rng.IntN(38) {
			digits.WriteByte(byte('0' + rng.IntN(10)))
		}
		n, err := ParseNumber([]string{"", "-"}[rng.IntN(2)] + "0." + digits.String() + "e" + IntNumber(int64(rng.IntN(60)-30)))
		if err != nil {
			t.Fatal(err)
		}
		nums = append(nums, n)
	}
	return nums
}

func ratOf(t testing.TB, s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("math/big does not read %q", s)
	}
	return r
}

func TestNumbersAgreeWithBigRat(t *testing.T) {
	nums := someNumbers(t)
	for _, a := range nums {
		x := ratOf(t, a)
		for _, b := range nums {
			y := ratOf(t, b)
			if got, want := CompareNumbers(a, b), x.Cmp(y); got < 0 != (want < 0) || got > 0 != (want > 0) {
				t.Fatalf("compare %s with %s: %d, want %d", a, b, got, want)
			}
			checkSum(t, a+" + "+b, new(big.Rat).Add(x, y), func() (string, error) { return AddNumbers(a, b) })
			checkSum(t, a+" - "+b, new(big.Rat).Sub(x, y), func() (string, error) { return SubNumbers(a, b) })
		}
	}
}

func checkSum(t *testing.T, what string, want *big.Rat, f func() (string, error)) {
	t.Helper()
	got, err := f()
	if err != nil {
		if _, err := ParseNumber(want.FloatString(140)); err == nil {
			t.Fatalf("%s: error though it fits", what)
		}
		return
	}
	if !IsCanonicalNumber(got) || ratOf(t, got).Cmp(want) != 0 {
		t.Fatalf("%s: got %s", what, got)
	}
}

func TestSumOutOfRange(t *testing.T) {
	big, _ := ParseNumber("9e125")
	small, _ := ParseNumber("1e-130")
	small15, _ := ParseNumber("1.5e-130")
	for _, c := range []struct{ a, b, want string }{
		{big, big, msgOverflow}, {big, "1", msgTooPrecise}, {strings.Repeat("9", 38), "0.1", msgTooPrecise},
		{small15, "-" + small, msgUnderflow},
	} {
		if _, err := AddNumbers(c.a, c.b); err == nil || err.Error() != c.want {
			t.Errorf("%s + %s: %v, want %s", c.a, c.b, err, c.want)
		}
	}
	if got, err := AddNumbers(strings.Repeat("9", 38), "1"); err != nil || got != "1"+strings.Repeat("0", 38) {
		t.Errorf("a carry beyond 38 digits: %s, %v", got, err)
	}
}

func TestNumberKeyOrder(t *testing.T) {
	nums := someNumbers(t)
	for _, a := range nums {
		ka := AppendNumberKey(nil, a)
		if got, err := DecodeNumberKey(ka); err != nil || got != a {
			t.Fatalf("%s came back as %s, %v", a, got, err)
		}
		for _, b := range nums {
			if got, want := bytes.Compare(ka, AppendNumberKey(nil, b)), CompareNumbers(a, b); got < 0 != (want < 0) || got > 0 != (want > 0) {
				t.Fatalf("keys of %s and %s are in the wrong order", a, b)
			}
		}
	}
}

func TestNumberKeyBytes(t *testing.T) {
	for _, c := range []struct{ num, key string }{
		{"0", "\x02"}, {"1", "\x03\x82\x0b"}, {"123", "\x03\x84\x0d\x1f"}, {"0.05", "\x03\x80\x33"},
		{"-1", "\x01\x7d\xf4\xff"}, {"-123", "\x01\x7b\xf2\xe0\xff"},
	} {
		if got := string(AppendNumberKey(nil, c.num)); got != c.key {
			t.Errorf("%s: %x, want %x", c.num, got, c.key)
		}
	}
}

func TestNumberSize(t *testing.T) {
	for num, want := range map[string]int{"0": 2, "1": 2, "12": 2, "123": 3, "-123": 4, "100000": 2, "0.001": 2, "1001": 3, "12.5": 3} {
		if got := numberSize(num); got != want {
			t.Errorf("%s: %d, want %d", num, got, want)
		}
	}
}

func FuzzParseNumber(f *testing.F) {
	for _, s := range []string{"0", "-1.5e10", "1e-130", "99999999999999999999999999999999999999", "+.5", "1e", "-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseNumber(s)
		if err != nil {
			if IsCanonicalNumber(s) {
				t.Fatalf("%q is canonical and refused", s)
			}
			return
		}
		again, err := ParseNumber(n)
		if err != nil || again != n || !IsCanonicalNumber(n) {
			t.Fatalf("%q gives %q gives %q, %v", s, n, again, err)
		}
		if IsCanonicalNumber(s) != (s == n) {
			t.Fatalf("%q: canonical is %q", s, n)
		}
		if back, err := DecodeNumberKey(AppendNumberKey(nil, n)); err != nil || back != n {
			t.Fatalf("%q: the key gives %q, %v", n, back, err)
		}
	})
}

func FuzzDecodeNumberKey(f *testing.F) {
	for _, s := range []string{"0", "1", "-123.456", "0.05"} {
		f.Add(AppendNumberKey(nil, s))
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		n, err := DecodeNumberKey(key)
		if err != nil {
			return
		}
		if again := AppendNumberKey(nil, n); !bytes.Equal(again, key) {
			t.Fatalf("%x gives %s gives %x", key, n, again)
		}
	})
}

func BenchmarkAddNumbers(b *testing.B) {
	for _, c := range []struct{ name, x, y string }{{"small", "12345", "1"}, {"wide", "12345678901234567890.5", "1"}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = AddNumbers(c.x, c.y)
			}
		})
	}
}

// TestSumNumbers compares sums with those by pairs, and adds up what no pair of
// it can.
func TestSumNumbers(t *testing.T) {
	big, small := "99999999999999999999999999999999999999", "0.00000000000000000000000000000000000001"
	for _, c := range []struct{ numbers, want string }{
		{"", "0"}, {"0", "0"}, {"1 2 -3", "0"}, {"1.5 -0.25", "1.25"}, {"-10 1", "-9"}, {big + " " + small + " -" + big, small}, {big + " " + small, ""}, {big + " 1", "100000000000000000000000000000000000000"},
	} {
		got, err := SumNumbers(strings.Fields(c.numbers))
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s: %s %v", c.numbers, got, err)
		}
	}
}
