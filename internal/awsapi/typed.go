package awsapi

import (
	"encoding/base64"
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

// kind reads a scalar, or looks at what else comes next, and tells what it is;
// text is the value of a string.
func (d *Decoder) kind() (k kind, text string) {
	if d.cbor {
		return d.kindCBOR()
	}
	switch c := d.peek(); c {
	case '{':
		return kindObject, ""
	case '[':
		return kindList, ""
	case '"':
		return kindText, d.text()
	case 't':
		d.literal("true")
		return kindTrue, ""
	case 'f':
		d.literal("false")
		return kindFalse, ""
	}
	if _, whole := d.number(); whole {
		return kindWhole, ""
	}
	return kindFraction, ""
}

// wrongScalar fails because the next value is not the wanted scalar, which
// AWS's type errors call class.
func (d *Decoder) wrongScalar(class string) {
	found, text := d.kind()
	if d.err == nil {
		d.Fail(Serialization(d.words.scalar(class, found, text)))
	}
}

// Object begins a structure or map and comes to its first member; false when
// it has none. java is how AWS's errors name its type; element tells that it
// is an element of a list or map rather than a member.
func (d *Decoder) Object(java string, element bool) bool {
	if d.cbor && d.isMap() || !d.cbor && d.peek() == '{' {
		return d.open()
	}
	if found, _ := d.kind(); d.err == nil {
		d.Fail(Serialization(d.words.object(java, element, found)))
	}
	return false
}

// Array begins a list and comes to its first element; false when it has none.
func (d *Decoder) Array() bool {
	if d.cbor && d.isArray() || !d.cbor && d.peek() == '[' {
		return d.openList()
	}
	if found, _ := d.kind(); d.err == nil {
		d.Fail(Serialization(d.words.list(found)))
	}
	return false
}

// Text reads a string.
func (d *Decoder) Text() string {
	switch {
	case d.cbor && d.isText():
		return d.textCBOR()
	case !d.cbor && d.peek() == '"':
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
	if d.cbor {
		return d.boolCBOR()
	}
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
	if d.cbor {
		return d.wholeCBOR(class, lo, hi)
	}
	text, whole, ok := d.numeral(class)
	if !ok {
		return o
	}
	if !whole {
		f, err := strconv.ParseFloat(text, 64)
		return d.truncated(class, f, err, lo, hi)
	}
	v, err := strconv.ParseInt(text, 10, 64)
	return d.inRange(class, v, err == nil, lo, hi)
}

// truncated is the whole part of a number.
func (d *Decoder) truncated(class string, f float64, err error, lo, hi int64) Opt[int64] {
	f = math.Trunc(f)
	if err != nil || !(math.Abs(f) < 1<<63) {
		return d.inRange(class, 0, false, lo, hi)
	}
	return d.inRange(class, int64(f), true, lo, hi)
}

func (d *Decoder) inRange(class string, v int64, ok bool, lo, hi int64) (o Opt[int64]) {
	if !ok || v < lo || v > hi {
		d.Fail(Serialization("Numeric value out of range of " + strings.ToLower(class)))
		return o
	}
	return Some(v)
}

// maxTimeMs bounds times: the year 9999, as in AWS's SDKs.
const maxTimeMs = 253_402_300_799_999

// Time reads a time or null, in milliseconds since the Unix epoch: in JSON
// seconds, perhaps with a fraction; in CBOR as CBOR has it for AWS (decode_cbor.go).
func (d *Decoder) Time() (o Opt[int64]) {
	if d.cbor {
		return d.timeCBOR()
	}
	text, whole, ok := d.numeral("Date")
	if !ok {
		return o
	}
	if whole && len(text) <= len("-253402300799") {
		seconds, err := strconv.ParseInt(text, 10, 64)
		return d.inRange("date", seconds*1000, err == nil, -maxTimeMs, maxTimeMs)
	}
	seconds, err := strconv.ParseFloat(text, 64)
	return d.timeOf(seconds*1000, err == nil)
}

// timeOf is a time in milliseconds, rounded to whole ones.
func (d *Decoder) timeOf(ms float64, ok bool) Opt[int64] {
	if !ok || !(math.Abs(ms) <= maxTimeMs) {
		return d.inRange("date", 0, false, 0, 0)
	}
	return Some(int64(math.Round(ms)))
}

// Double reads a number or null.
func (d *Decoder) Double() (o Opt[float64]) {
	if d.cbor {
		return d.doubleCBOR()
	}
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

// Blob reads bytes: base64 in a JSON string, a CBOR byte string; nil for null.
// What comes from CBOR shares memory with the request's body.
func (d *Decoder) Blob() []byte {
	if d.Null() {
		return nil
	}
	return d.Base64()
}

// Base64 is Blob for a value that is not null; never nil unless there is an error.
func (d *Decoder) Base64() []byte {
	switch {
	case d.cbor && d.isBytes():
		return d.bytesCBOR()
	case d.cbor || d.peek() != '"':
		d.wrongScalar("Blob")
		return nil
	}
	text := d.text()
	if d.err != nil {
		return nil
	}
	breaks := strings.IndexByte(text, '\n') >= 0 || strings.IndexByte(text, '\r') >= 0 // which the standard decoder would skip
	if len(text)%4 == 0 && !breaks {
		out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
		if n, err := base64Strict.Decode(out, []byte(text)); err == nil {
			return out[:n]
		}
	}
	d.Fail(Serialization(d.words.base64(text)))
	return nil
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
