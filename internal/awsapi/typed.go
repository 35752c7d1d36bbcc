package awsapi

import (
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Opt is an optional scalar: V counts only when Set.
type Opt[T any] struct {
	V   T
	Set bool
}

// Some is a value that is set.
func Some[T any](v T) Opt[T] { return Opt[T]{V: v, Set: true} }

// Or returns the value, or def when it is not set.
func (o Opt[T]) Or(def T) T {
	if o.Set {
		return o.V
	}
	return def
}

// Entry is one key of a Map with its value.
type Entry[T any] struct {
	Key string
	Val T
}

// Map is a map on the wire, sorted by key, each key once; nil is none.
type Map[T any] []Entry[T]

// Get returns the value under key.
func (m Map[T]) Get(key string) (val T, ok bool) {
	i, ok := slices.BinarySearchFunc(m, key, func(e Entry[T], key string) int { return strings.Compare(e.Key, key) })
	if ok {
		val = m[i].Val
	}
	return val, ok
}

// NewMap sorts the entries, which it takes over; of equal keys the last counts.
func NewMap[T any](entries []Entry[T]) Map[T] {
	sorted := true
	for i := 1; i < len(entries) && sorted; i++ {
		sorted = entries[i-1].Key < entries[i].Key
	}
	if sorted {
		return entries
	}
	slices.SortStableFunc(entries, func(a, b Entry[T]) int { return strings.Compare(a.Key, b.Key) })
	out := entries[:0]
	for i, e := range entries {
		if i+1 == len(entries) || entries[i+1].Key != e.Key {
			out = append(out, e)
		}
	}
	return out
}

// AWS's words for values of a wrong type, as observed from DynamoDB.
const (
	msgObject  = "Start of structure or map found where not expected"
	msgField   = "Unexpected field type"
	msgPayload = "Unexpected value type in payload"
	msgToken   = "Unexpected token received from parser"
	msgBlob    = "only base-64-encoded strings are convertible to bytes"
)

// wrongScalar fails because the next value is not the wanted scalar, which
// Java calls class java.lang.<class>.
func (d *Decoder) wrongScalar(class string) {
	var found string
	switch c := d.peek(); c {
	case '{':
		d.Fail(Serialization(msgObject))
		return
	case '[':
		if class == "ByteBuffer" {
			d.Fail(Serialization("Unrecognized collection type class java.nio.ByteBuffer"))
		} else {
			d.Fail(Serialization("Unrecognized collection type class java.lang." + class))
		}
		return
	case '"':
		found = "STRING_VALUE"
	case 't':
		d.literal("true")
		found = "TRUE_VALUE"
	case 'f':
		d.literal("false")
		found = "FALSE_VALUE"
	default:
		if _, whole := d.number(); whole {
			found = "NUMBER_VALUE"
		} else {
			found = "DECIMAL_VALUE"
		}
	}
	switch {
	case class == "ByteBuffer":
		d.Fail(Serialization(msgBlob))
	case class == "Boolean" && found == "STRING_VALUE":
		d.Fail(Serialization(msgToken))
	default:
		d.Fail(Serialization(found + " cannot be converted to " + class))
	}
}

// Object begins a structure or map and comes to its first member; false when
// it has none. java is how AWS's errors name its type; element tells that it
// is an element of a list or map rather than a member.
func (d *Decoder) Object(java string, element bool) bool {
	switch c := d.peek(); c {
	case '{':
		return d.open()
	case '[':
		d.Fail(Serialization("Unrecognized collection type " + java))
	case 0:
		d.syntax()
	default:
		if d.Skip(); element {
			d.Fail(Serialization(msgPayload))
		} else {
			d.Fail(Serialization(msgField))
		}
	}
	return false
}

// Array begins a list and comes to its first element; false when it has none.
func (d *Decoder) Array() bool {
	switch d.peek() {
	case '[':
		return d.openList()
	case '{':
		d.Fail(Serialization(msgObject))
	case 0:
		d.syntax()
	default:
		d.Skip()
		d.Fail(Serialization(msgField))
	}
	return false
}

// Text reads a string.
func (d *Decoder) Text() string {
	if d.peek() == '"' {
		return d.text()
	}
	d.wrongScalar("String")
	return ""
}

// String reads a string or null.
func (d *Decoder) String() (o Opt[string]) {
	if !d.Null() {
		o.V, o.Set = d.Text(), true
	}
	return o
}

// Bool reads true, false or null.
func (d *Decoder) Bool() (o Opt[bool]) {
	switch d.peek() {
	case 'n':
		d.literal("null")
	case 't':
		o.V, o.Set = d.literal("true"), true
	case 'f':
		d.literal("false")
		o.Set = true
	default:
		d.wrongScalar("Boolean")
	}
	return o
}

// Integer reads a whole number of 32 bits, or null. A fraction is cut off, as
// AWS does.
func (d *Decoder) Integer() Opt[int64] { return d.whole("Integer", math.MinInt32, math.MaxInt32) }

// Long reads a whole number of 64 bits, or null.
func (d *Decoder) Long() Opt[int64] { return d.whole("Long", math.MinInt64, math.MaxInt64) }

func (d *Decoder) whole(class string, lo, hi int64) (o Opt[int64]) {
	text, whole, ok := d.numeral(class)
	if !ok {
		return o
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if !whole {
		var f float64
		f, err = strconv.ParseFloat(text, 64)
		if f = math.Trunc(f); err == nil && math.Abs(f) < 1<<63 {
			v = int64(f)
		} else {
			v, hi = 1, 0 // out of any range
		}
	}
	if err != nil || v < lo || v > hi {
		d.Fail(Serialization(fmt.Sprintf("Numeric value out of range of %s", strings.ToLower(class))))
		return o
	}
	return Some(v)
}

// Double reads a number or null.
func (d *Decoder) Double() (o Opt[float64]) {
	text, _, ok := d.numeral("Double")
	if !ok {
		return o
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		d.Fail(Serialization("Numeric value out of range of double"))
		return o
	}
	return Some(v)
}

// numeral reads a number; ok is false for null and after an error.
func (d *Decoder) numeral(class string) (text string, whole, ok bool) {
	switch c := d.peek(); {
	case c == '-' || c-'0' <= 9:
		text, whole = d.number()
		return text, whole, d.err == nil
	case c == 'n':
		d.literal("null")
	default:
		d.wrongScalar(class)
	}
	return "", false, false
}

// Blob reads bytes, base64 in a string; nil for null.
func (d *Decoder) Blob() []byte {
	if d.Null() {
		return nil
	}
	return d.Base64()
}

// Base64 reads bytes, base64 in a string; never nil unless there is an error.
func (d *Decoder) Base64() []byte {
	if d.peek() != '"' {
		d.wrongScalar("ByteBuffer")
		return nil
	}
	text := d.text()
	if len(text)%4 != 0 {
		d.Fail(Serialization(fmt.Sprintf("Base64 encoded length is expected a multiple of 4 bytes but found: %d", len(text))))
		return nil
	}
	if strings.ContainsAny(text, "\r\n") { // which the standard decoder would skip
		d.Fail(Serialization("Invalid Base64 character"))
		return nil
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64Strict.Decode(out, []byte(text))
	if err != nil {
		d.Fail(Serialization("Invalid last non-pad Base64 character dectected")) // the typing error is AWS's
		return nil
	}
	return out[:n]
}

var base64Strict = base64.StdEncoding.Strict()

// Strings reads a list of strings or null; nil for null.
func (d *Decoder) Strings() []string {
	if d.Null() {
		return nil
	}
	list := []string{}
	for ok := d.Array(); ok; ok = d.NextElement() {
		list = append(list, d.String().V)
	}
	return list
}
