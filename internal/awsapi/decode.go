package awsapi

import (
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep structures, maps and lists may nest: two levels for
// each of DynamoDB's 32 nested values, and some for what is around them.
const maxDepth = 2*32 + 16

// NestingMessage is what DynamoDB says about values that nest too deep.
const NestingMessage = "Nesting Levels have exceeded supported limits"

// Decoder reads JSON, or CBOR, by pulling: the caller asks for what it expects
// and need not know which of the two it reads. After the first error every further read returns zero; ask Done once at the end.
// Strings that it returns share the input's memory, which never changes.
//
// A structure or map is read by
//
//	for ok := d.Object(java); ok; ok = d.NextMember() {
//		switch d.Name { case ...: ...; default: d.Skip() }
//	}
//
// and a list the same way with Array and NextElement. Each turn must read
// exactly one value.
type Decoder struct {
	// Name is the name of the member that the last Object or NextMember came to.
	Name string

	s     string
	i     int
	depth int
	err   *Error
	fault Fault
	words *words // how values of a wrong type are named

	cbor bool    // s is CBOR: decode_cbor.go
	raw  []byte  // then: what s is a copy of
	left []int64 // and how many members or elements are to come in each open container; indefinite: -1
}

// Fault is what is wrong with a value though its JSON is well-formed and
// typed. It is reported after the constraints of the request are checked.
type Fault struct {
	Member  string // the request's member that holds the value
	Key     string // the attribute or placeholder under which it is
	Message string
}

// NewDecoder reads the JSON text.
func NewDecoder(text string) *Decoder { return &Decoder{s: text, words: &dynamoWords} }

func (d *Decoder) newJSON(body []byte) {
	*d = Decoder{s: string(body), words: &dynamoWords, left: d.left[:0]}
}

// Err is the first error, or nil.
func (d *Decoder) Err() *Error { return d.err }

// Done is Err, or an error when anything but white space follows the value.
func (d *Decoder) Done() *Error {
	if d.err == nil {
		if !d.cbor {
			d.space()
		}
		if d.i < len(d.s) {
			d.syntax()
		}
	}
	return d.err
}

// Fail makes e the decoder's error unless it has one.
func (d *Decoder) Fail(e *Error) {
	if d.err == nil {
		d.err = e
	}
	d.i = len(d.s)
}

// AddFault notes a fault; the first one counts.
func (d *Decoder) AddFault(member, key, message string) {
	if d.fault.Message == "" {
		d.fault = Fault{Member: member, Key: key, Message: message}
	}
}

// Fault is the first fault; its Message is empty when there is none.
func (d *Decoder) Fault() Fault { return d.fault }

// syntax reports that the text is not JSON or CBOR: AWS says no more than that.
func (d *Decoder) syntax() { d.Fail(Serialization("")) }

// space skips white space.
func (d *Decoder) space() {
	for d.i < len(d.s) {
		switch d.s[d.i] {
		case ' ', '\t', '\n', '\r':
			d.i++
		default:
			return
		}
	}
}

// peek returns the first byte of the next token, 0 at the end or after an error.
func (d *Decoder) peek() byte {
	if d.space(); d.i >= len(d.s) {
		return 0
	}
	return d.s[d.i]
}

// Null reads null, if that is what comes next.
func (d *Decoder) Null() bool {
	if d.cbor {
		return d.nullCBOR()
	}
	return d.peek() == 'n' && d.literal("null")
}

func (d *Decoder) literal(word string) bool {
	if len(d.s)-d.i < len(word) || d.s[d.i:d.i+len(word)] != word {
		d.syntax()
		return false
	}
	d.i += len(word)
	return true
}

// enter begins a structure, map or list.
func (d *Decoder) enter() bool {
	if d.depth++; d.depth > maxDepth {
		d.Fail(Validation(NestingMessage))
		return false
	}
	d.i++
	return true
}

// open begins a structure or map whose brace is next and comes to its first
// member; false when it has none.
func (d *Decoder) open() bool {
	if d.cbor {
		return d.openCBOR(majorMap) && d.memberCBOR()
	}
	if !d.enter() {
		return false
	}
	if d.peek() == '}' {
		d.i++
		d.depth--
		return false
	}
	return d.member()
}

// NextMember comes to the next member of a structure or map; false at its end.
func (d *Decoder) NextMember() bool {
	if d.cbor {
		return d.nextCBOR() && d.memberCBOR()
	}
	switch d.peek() {
	case ',':
		d.i++
		return d.member()
	case '}':
		d.i++
		d.depth--
	default:
		d.syntax()
	}
	return false
}

func (d *Decoder) member() bool {
	if d.peek() != '"' {
		d.syntax()
		return false
	}
	name := d.text()
	if d.peek() != ':' {
		d.syntax()
		return false
	}
	d.i++
	d.Name = name
	return true
}

// openList begins a list whose bracket is next and comes to its first
// element; false when it has none.
func (d *Decoder) openList() bool {
	if d.cbor {
		return d.openCBOR(majorArray)
	}
	if !d.enter() {
		return false
	}
	if d.peek() == ']' {
		d.i++
		d.depth--
		return false
	}
	return d.err == nil
}

// NextElement comes to the next element of a list; false at its end.
func (d *Decoder) NextElement() bool {
	if d.cbor {
		return d.nextCBOR()
	}
	switch d.peek() {
	case ',':
		d.i++
		return true
	case ']':
		d.i++
		d.depth--
	default:
		d.syntax()
	}
	return false
}

// Skip reads one value of any type.
func (d *Decoder) Skip() {
	if d.cbor {
		d.skipCBOR()
		return
	}
	switch c := d.peek(); c {
	case '{':
		for ok := d.open(); ok; ok = d.NextMember() {
			d.Skip()
		}
	case '[':
		for ok := d.openList(); ok; ok = d.NextElement() {
			d.Skip()
		}
	case '"':
		d.text()
	case 't':
		d.literal("true")
	case 'f':
		d.literal("false")
	case 'n':
		d.literal("null")
	default:
		d.number()
	}
}

// number reads a number and returns its text; whole is false when it has a
// fraction or an exponent.
func (d *Decoder) number() (text string, whole bool) {
	start := d.i
	if d.i < len(d.s) && d.s[d.i] == '-' {
		d.i++
	}
	if d.i < len(d.s) && d.s[d.i] == '0' {
		d.i++
	} else if d.digits() == 0 {
		d.syntax()
		return "", false
	}
	whole = true
	if d.i < len(d.s) && d.s[d.i] == '.' {
		d.i++
		whole = false
		if d.digits() == 0 {
			d.syntax()
			return "", false
		}
	}
	if d.i < len(d.s) && d.s[d.i]|0x20 == 'e' {
		d.i++
		whole = false
		if d.i < len(d.s) && (d.s[d.i] == '+' || d.s[d.i] == '-') {
			d.i++
		}
		if d.digits() == 0 {
			d.syntax()
			return "", false
		}
	}
	return d.s[start:d.i], whole
}

func (d *Decoder) digits() int {
	start := d.i
	for d.i < len(d.s) && d.s[d.i]-'0' <= 9 {
		d.i++
	}
	return d.i - start
}

// text reads the string whose quotation mark is next. Without escapes the
// result shares the input's memory.
func (d *Decoder) text() string {
	start, i := d.i+1, d.i+1
	var high byte
	for i < len(d.s) {
		c := d.s[i]
		if plain[c] || c >= utf8.RuneSelf {
			high |= c
			i++
			continue
		}
		if c != '"' && c != '\\' {
			break
		}
		if high >= utf8.RuneSelf && !utf8.ValidString(d.s[start:i]) {
			break
		}
		if c == '\\' {
			d.i = i
			return d.escaped(append(make([]byte, 0, 2*(i-start)+16), d.s[start:i]...))
		}
		d.i = i + 1
		return d.s[start:i]
	}
	d.syntax()
	return ""
}

// escaped reads the rest of a string that has escapes, behind what it has
// already put into buf.
func (d *Decoder) escaped(buf []byte) string {
	for d.i < len(d.s) {
		c := d.s[d.i]
		switch {
		case c == '"':
			d.i++
			if !utf8.Valid(buf) {
				d.syntax()
				return ""
			}
			return string(buf)
		case c < 0x20:
			d.syntax()
			return ""
		case c != '\\':
			buf = append(buf, c)
			d.i++
		default:
			d.i++
			if buf = d.escape(buf); d.err != nil {
				return ""
			}
		}
	}
	d.syntax()
	return ""
}

// escape reads what follows a backslash.
func (d *Decoder) escape(buf []byte) []byte {
	if d.i >= len(d.s) {
		d.syntax()
		return buf
	}
	c := d.s[d.i]
	d.i++
	switch c {
	case '"', '\\', '/':
		return append(buf, c)
	case 'b':
		return append(buf, '\b')
	case 'f':
		return append(buf, '\f')
	case 'n':
		return append(buf, '\n')
	case 'r':
		return append(buf, '\r')
	case 't':
		return append(buf, '\t')
	case 'u':
		r := d.hex4()
		if utf16.IsSurrogate(r) {
			if d.i+1 < len(d.s) && d.s[d.i] == '\\' && d.s[d.i+1] == 'u' {
				d.i += 2
				r = utf16.DecodeRune(r, d.hex4())
			} else {
				r = utf8.RuneError
			}
			if r == utf8.RuneError { // half a pair is no character
				d.syntax()
				return buf
			}
		}
		return utf8.AppendRune(buf, r)
	}
	d.syntax()
	return buf
}

// hex4 reads four hex digits; utf8.RuneError after an error, which is no
// surrogate.
func (d *Decoder) hex4() rune {
	if len(d.s)-d.i < 4 {
		d.syntax()
		return utf8.RuneError
	}
	var r rune
	for _, c := range []byte(d.s[d.i : d.i+4]) {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			d.syntax()
			return utf8.RuneError
		}
		r = r<<4 | rune(c)
	}
	d.i += 4
	return r
}
