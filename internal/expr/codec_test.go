package expr

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"weir.dev/weir/internal/model"
)

// goldenParams are the names and values of the golden bytes.
func goldenParams(t testing.TB) *Params {
	t.Helper()
	d := define(t, "#n name\n:v 5\n:s \"x\"\n:set {\"$SS\":[\"a\"]}")
	return d.params(t)
}

func TestGoldenBytes(t *testing.T) {
	for _, c := range []struct{ kind, text, want string }{
		{"condition", "#n = :v", "01" + "13" + "01" + "01" + "00046e616d65" + "02" + "020135"},
		{"condition", "not a.b[2] in (:v, :s) or size(a) > :v", "01" + "11" + "02" +
			"12" + "1a" + "03" + "01" + "03" + "000161" + "000162" + "0102" + "02" + "020135" + "02" + "010178" +
			"17" + "03" + "01" + "01" + "000161" + "02" + "020135"},
		{"update", "ADD score :v", "01" + "01" + "03" + "01" + "000573636f7265" + "02" + "020135"},
		{"update", "SET a = if_not_exists(b, :v) + :v REMOVE c DELETE d :set", "01" + "03" +
			"01" + "01" + "000161" + "06" + "04" + "01" + "01" + "000162" + "02" + "020135" + "02" + "020135" +
			"02" + "01" + "000163" + "04" + "01" + "000164" + "02" + "08010161"},
		{"projection", "b, a[1]", "01" + "02" + "02" + "000161" + "0101" + "01" + "000162"},
	} {
		var enc []byte
		var err error
		switch c.kind {
		case "condition":
			var x *Condition
			if x, err = ParseCondition(c.text, goldenParams(t)); err == nil {
				enc = again(t, x, DecodeCondition).Append(nil)
			}
		case "update":
			var x *Update
			if x, err = ParseUpdate(c.text, goldenParams(t)); err == nil {
				enc = again(t, x, DecodeUpdate).Append(nil)
			}
		default:
			var x *Projection
			if x, err = ParseProjection(c.text, goldenParams(t)); err == nil {
				enc = again(t, x, DecodeProjection).Append(nil)
			}
		}
		if got := hex.EncodeToString(enc); err != nil || got != c.want {
			t.Errorf("%s: got %s, %v, want %s", c.text, got, err, c.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, enc := range map[string]string{
		"another version":               "02" + "1b" + "01" + "01" + "000161",
		"an operand as a condition":     "01" + "01" + "01" + "000161",
		"an unknown op":                 "01" + "20",
		"a function not looked up":      "01" + "00",
		"a condition as an operand":     "01" + "13" + "1b" + "0101000161" + "02" + "020135",
		"an update's function":          "01" + "13" + "04" + "0101000161" + "02" + "020135" + "02" + "020135",
		"no path":                       "01" + "1b" + "02" + "020135",
		"an empty path":                 "01" + "1b" + "01" + "00",
		"a path that begins in a list":  "01" + "1b" + "01" + "01" + "0100",
		"an empty name":                 "01" + "1b" + "01" + "01" + "0000",
		"an index out of range":         "01" + "1b" + "01" + "02" + "000161" + "01" + "8080808008",
		"an unknown step":               "01" + "1b" + "01" + "01" + "020161",
		"a path that is too long":       "01" + "1b" + "01" + "21" + strings.Repeat("000161", 33),
		"AND of one":                    "01" + "10" + "01" + "1b" + "0101000161",
		"a value that is not canonical": "01" + "13" + "0101000161" + "02" + "02023035",
	} {
		refuse(t, name, enc, func(d *model.Decoder) { DecodeCondition(d) })
	}
	for name, enc := range map[string]string{
		"no action":          "01" + "00",
		"an unknown verb":    "01" + "01" + "05" + "01000161",
		"ADD of a text":      "01" + "01" + "03" + "01000161" + "02" + "010178",
		"ADD of a path":      "01" + "01" + "03" + "01000161" + "0101000162",
		"DELETE of a number": "01" + "01" + "04" + "01000161" + "02" + "020135",
		"SET to a condition": "01" + "01" + "01" + "01000161" + "1b" + "0101000162",
		"SET to size()":      "01" + "01" + "01" + "01000161" + "03" + "0101000162",
	} {
		refuse(t, name, enc, func(d *model.Decoder) { DecodeUpdate(d) })
	}
	for name, enc := range map[string]string{
		"paths out of order": "01" + "02" + "01000162" + "01000161",
		"a path twice":       "01" + "02" + "01000161" + "01000161",
	} {
		refuse(t, name, enc, func(d *model.Decoder) { DecodeProjection(d) })
	}
}

func refuse(t *testing.T, name, enc string, decode func(*model.Decoder)) {
	t.Helper()
	b, err := hex.DecodeString(enc)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if d := model.NewDecoder(b); func() error { decode(d); return d.Done() }() == nil {
		t.Errorf("%s is accepted", name)
	}
}

// randomOperand and randomCondition write expressions on the attributes a to e.
func randomOperand(rng *rand.Rand) string {
	return []string{"a", "b", "c[1]", "d.x", "size(a)", "size(c)", ":one", ":text", ":list", "d.x[0]", "(e)"}[rng.IntN(11)]
}

func randomCondition(rng *rand.Rand, depth int) string {
	x, y := randomOperand(rng), randomOperand(rng)
	if depth > 0 {
		switch rng.IntN(4) {
		case 0:
			return "not " + randomCondition(rng, depth-1)
		case 1:
			return "(" + randomCondition(rng, depth-1) + " or " + randomCondition(rng, depth-1) + ")"
		case 2:
			return randomCondition(rng, depth-1) + " and " + randomCondition(rng, depth-1)
		}
	}
	switch rng.IntN(6) {
	case 0:
		return fmt.Sprintf("%s between %s and %s", x, y, randomOperand(rng))
	case 1:
		return fmt.Sprintf("%s in (%s, %s)", x, y, randomOperand(rng))
	case 2:
		return fmt.Sprintf("attribute_exists(%s)", x)
	case 3:
		return fmt.Sprintf("contains(%s, %s)", x, y)
	default:
		return fmt.Sprintf("%s %s %s", x, []string{"=", "<>", "<", "<=", ">", ">="}[rng.IntN(6)], y)
	}
}

// TestRandomConditions checks that a stored condition gives the same answers,
// that NOT gives the opposite one and that OR is NOT of AND of the opposites.
func TestRandomConditions(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	defs := define(t, `:one 1
:text "ab"
:list [1,"ab"]
item {"a":"ab","b":1,"c":[1,"ab",2],"d":{"x":[1]},"e":2}
item {"a":{"$SS":["ab"]},"b":"a","c":[],"d":{"x":1}}
item {}`)
	parse := func(text string) *Condition {
		c, err := ParseCondition(text, defs.params(t))
		if err != nil {
			return nil
		}
		return c
	}
	checked := 0
	for range 3000 {
		xText, yText := randomCondition(rng, 3), randomCondition(rng, 2)
		x, y := parse(xText), parse(yText)
		if x == nil || y == nil {
			continue
		}
		checked++
		x = again(t, x, DecodeCondition)
		not, or := parse("not ("+xText+")"), parse("not (not ("+xText+") and not ("+yText+"))")
		both := parse("(" + xText + ") or (" + yText + ")")
		for _, it := range defs.items {
			if not != nil && not.Eval(it) == x.Eval(it) {
				t.Fatalf("not (%s) is the same", xText)
			}
			if or != nil && both != nil && or.Eval(it) != both.Eval(it) {
				t.Fatalf("(%s) or (%s) breaks De Morgan's law", xText, yText)
			}
		}
	}
	if checked < 300 {
		t.Fatalf("only %d random conditions are valid", checked)
	}
}
