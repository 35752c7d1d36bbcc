package model

import "strings"

// Kind is an attribute value's type, as DynamoDB names them.
type Kind uint8

// The kinds. Their numbers are part of the stored format.
const (
	KindS    Kind = 1 + iota // text, UTF-8
	KindN                    // number, up to 38 digits
	KindB                    // bytes
	KindBool                 // true or false
	KindNull                 // null
	KindM                    // map from text to value
	KindL                    // list
	KindSS                   // set of texts
	KindNS                   // set of numbers
	KindBS                   // set of bytes
)

// kindNames are DynamoDB's names of the kinds, in the kinds' order.
var kindNames = [...]string{"", "S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"}

// String is DynamoDB's name of the kind: "S", "N", "BOOL" and so on; empty for
// what is not a kind.
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return ""
	}
	return kindNames[k]
}

// ParseKind returns the kind that DynamoDB gives that name.
func ParseKind(name string) (Kind, bool) {
	for k := KindS; k <= KindBS; k++ {
		if kindNames[k] == name {
			return k, true
		}
	}
	return 0, false
}

// IsSet reports whether k is one of the three set kinds.
func (k Kind) IsSet() bool { return k >= KindSS && k <= KindBS }

// Member is the kind of a set's members; zero when k is not a set.
func (k Kind) Member() Kind {
	switch k {
	case KindSS:
		return KindS
	case KindNS:
		return KindN
	case KindBS:
		return KindB
	default:
		return 0
	}
}

// Value is one attribute value. The zero Value is no value. Values are never
// changed once built: whoever needs another one builds it.
type Value struct {
	Kind Kind
	Bool bool    // KindBool
	Str  string  // KindS: the text; KindN: the number in canonical form; KindB: the bytes
	List []Value // KindL: the elements; sets: the members (as S, N or B) in ascending order, each once
	Map  Item    // KindM
}

// StringValue is a text.
func StringValue(s string) Value { return Value{Kind: KindS, Str: s} }

// BytesValue is a byte string; b is copied.
func BytesValue(b []byte) Value { return Value{Kind: KindB, Str: string(b)} }

// BoolValue is true or false.
func BoolValue(b bool) Value { return Value{Kind: KindBool, Bool: b} }

// NullValue is null.
func NullValue() Value { return Value{Kind: KindNull} }

// ListValue is a list; it keeps elems.
func ListValue(elems ...Value) Value { return Value{Kind: KindL, List: elems} }

// MapValue is a map; it keeps m.
func MapValue(m Item) Value { return Value{Kind: KindM, Map: m} }

// NumberValue is the number that text names. Its errors are ParseNumber's.
func NumberValue(text string) (Value, error) {
	n, err := ParseNumber(text)
	if err != nil {
		return Value{}, err
	}
	return Value{Kind: KindN, Str: n}, nil
}

// Equal reports whether v and w are the same value, as DynamoDB's = decides:
// values of different kinds are never equal, 1 and 1.0 are.
func (v Value) Equal(w Value) bool {
	if v.Kind != w.Kind || v.Bool != w.Bool || v.Str != w.Str || len(v.List) != len(w.List) {
		return false
	}
	for i := range v.List {
		if !v.List[i].Equal(w.List[i]) {
			return false
		}
	}
	return v.Map.Equal(w.Map)
}

// Compare orders two values of the same scalar kind: texts and bytes by their
// bytes, numbers by their value. It is negative, zero or positive. ok is false
// when the values have no order: other kinds, or two different kinds.
func (v Value) Compare(w Value) (cmp int, ok bool) {
	if v.Kind != w.Kind {
		return 0, false
	}
	switch v.Kind {
	case KindS, KindB:
		return strings.Compare(v.Str, w.Str), true
	case KindN:
		return CompareNumbers(v.Str, w.Str), true
	default:
		return 0, false
	}
}

// Size is the value's size in bytes by DynamoDB's published rules: the bytes
// of texts and bytes; one byte per two significant digits and one more for
// numbers, and one for a minus sign; one byte for true, false and null; three
// bytes for a list or map and one for each of its elements.
func (v Value) Size() int {
	switch v.Kind {
	case KindS, KindB:
		return len(v.Str)
	case KindN:
		return numberSize(v.Str)
	case KindBool, KindNull:
		return 1
	case KindM:
		return 3 + len(v.Map) + v.Map.Size()
	case KindL:
		n := 3 + len(v.List)
		for i := range v.List {
			n += v.List[i].Size()
		}
		return n
	default:
		n := 0
		for i := range v.List {
			n += v.List[i].Size()
		}
		return n
	}
}

// Depth is how deep lists and maps nest in v: zero for a scalar or set, one
// for a list of scalars. It must not be over MaxNesting.
func (v Value) Depth() int {
	deepest := 0
	switch v.Kind {
	case KindL:
		for i := range v.List {
			deepest = max(deepest, v.List[i].Depth())
		}
	case KindM:
		deepest = v.Map.Depth()
	default:
		return 0
	}
	return deepest + 1
}
