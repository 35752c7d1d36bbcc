package model

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

// Value is one attribute value. The zero Value is no value. Values are never
// changed once built: whoever needs another one builds it.
type Value struct {
	Kind Kind
	Bool bool    // KindBool
	Str  string  // KindS: the text; KindN: the number in canonical form; KindB: the bytes
	List []Value // KindL: the elements; sets: the members (as S, N or B) in ascending order, each once
	Map  Item    // KindM
}

// Attr is one named attribute.
type Attr struct {
	Name  string
	Value Value
}

// Item is a map from attribute name to value: sorted by name, each name once.
// The order is what makes every replica write the same bytes.
type Item []Attr
