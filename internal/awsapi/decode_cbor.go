package awsapi

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// CBOR (RFC 8949) as AWS's SDKs for Java speak it with Kinesis, under
// application/x-amz-cbor-1.1: the same structures as in JSON, blobs as byte
// strings, and times as whole milliseconds since the Unix epoch under tag 1.
// (The RFC has seconds there; SdkCborGenerator of both SDKs for Java writes
// milliseconds, and their unmarshallers expect them.) Floating point under
// tag 1 is in seconds, as the RFC says: the SDKs never send it.
//
// Containers and strings may be of definite or indefinite length. Any number
// of tags may stand before a value; but for tag 1 they mean nothing here.

// The major types.
const (
	majorUint = iota
	majorNegative
	majorBytes
	majorText
	majorArray
	majorMap
	majorTag
	majorSimple
)

// Bytes that stand for themselves.
const (
	cborFalse     = 0xf4
	cborTrue      = 0xf5
	cborNull      = 0xf6
	cborUndefined = 0xf7
	cborHalf      = 0xf9
	cborSingle    = 0xfa
	cborDouble    = 0xfb
	cborBreak     = 0xff

	cborIndefinite = 31 // in the low five bits of a string or container
	tagEpoch       = 1
)

// newCBOR makes d read a body. Texts that it returns share memory with a copy,
// blobs with the body itself.
func (d *Decoder) newCBOR(body []byte) {
	*d = Decoder{s: string(body), raw: body, cbor: true, words: &dynamoWords, left: d.left[:0]}
}

// lead skips the tags before a value and returns its first byte without reading
// it; cborBreak, which begins no value, at the end. tag is the innermost one.
func (d *Decoder) lead() (b byte, tag uint64) {
	for d.i < len(d.s) {
		if b = d.s[d.i]; b>>5 != majorTag {
			return b, tag
		}
		var indefinite bool
		if tag, indefinite = d.head(); indefinite {
			d.syntax()
		}
	}
	return cborBreak, tag
}

// head reads a first byte and the number that follows it.
func (d *Decoder) head() (n uint64, indefinite bool) {
	info := d.s[d.i] & 31
	d.i++
	switch {
	case info < 24:
		return uint64(info), false
	case info == cborIndefinite:
		return 0, true
	case info > 27:
		d.syntax()
		return 0, false
	}
	size := 1 << (info - 24)
	if len(d.s)-d.i < size {
		d.syntax()
		return 0, false
	}
	for range size {
		n = n<<8 | uint64(d.s[d.i])
		d.i++
	}
	return n, false
}

func (d *Decoder) isMajor(major byte) bool {
	b, _ := d.lead()
	return b>>5 == major && d.err == nil
}

func (d *Decoder) isMap() bool   { return d.isMajor(majorMap) }
func (d *Decoder) isArray() bool { return d.isMajor(majorArray) }
func (d *Decoder) isText() bool  { return d.isMajor(majorText) }
func (d *Decoder) isBytes() bool { return d.isMajor(majorBytes) }

func (d *Decoder) nullCBOR() bool {
	if b, _ := d.lead(); b != cborNull && b != cborUndefined || d.err != nil {
		return false
	}
	d.i++
	return true
}

// openCBOR begins a map or array, which is next, and comes to its first member
// or element; false when it has none.
func (d *Decoder) openCBOR(major byte) bool {
	if d.depth++; d.depth > maxDepth {
		d.Fail(Validation(NestingMessage))
		return false
	}
	n, indefinite := d.head()
	smallest := uint64(1) // bytes of an element
	if major == majorMap {
		smallest = 2
	}
	if n > uint64(len(d.s)-d.i)/smallest { // more than can come
		d.syntax()
	}
	if indefinite {
		d.left = append(d.left, -1)
	} else {
		d.left = append(d.left, int64(n))
	}
	return d.nextCBOR()
}

// nextCBOR comes to the next member or element of the innermost container;
// false at its end.
func (d *Decoder) nextCBOR() bool {
	if d.err != nil {
		return false
	}
	last := len(d.left) - 1
	switch left := d.left[last]; {
	case left > 0:
		d.left[last]--
		return true
	case left < 0 && d.i >= len(d.s):
		d.syntax()
		return false
	case left < 0 && d.s[d.i] != cborBreak:
		return true
	case left < 0:
		d.i++
	}
	d.left = d.left[:last]
	d.depth--
	return false
}

// memberCBOR reads a member's name.
func (d *Decoder) memberCBOR() bool {
	if !d.isText() {
		d.syntax()
		return false
	}
	d.Name = d.textCBOR()
	return d.err == nil
}

// span reads the length of a string and returns where it begins and ends; the
// string itself is skipped.
func (d *Decoder) span() (from, to int, indefinite bool) {
	n, indefinite := d.head()
	if n > uint64(len(d.s)-d.i) {
		d.syntax()
		return 0, 0, false
	}
	from = d.i
	d.i += int(n)
	return from, d.i, indefinite
}

// chunks calls f with the spans of a string of indefinite length.
func (d *Decoder) chunks(major byte, f func(from, to int)) {
	for d.err == nil {
		switch {
		case d.i >= len(d.s):
			d.syntax()
		case d.s[d.i] == cborBreak:
			d.i++
			return
		case d.s[d.i]>>5 != major:
			d.syntax()
		default:
			from, to, indefinite := d.span()
			if indefinite {
				d.syntax()
			}
			if d.err == nil {
				f(from, to)
			}
		}
	}
}

// textCBOR reads the text string that is next.
func (d *Decoder) textCBOR() string {
	from, to, indefinite := d.span()
	text := d.s[from:to]
	valid := utf8.ValidString(text)
	if indefinite {
		var b strings.Builder
		d.chunks(majorText, func(from, to int) {
			valid = valid && utf8.ValidString(d.s[from:to]) // each chunk for itself, says the RFC
			b.WriteString(d.s[from:to])
		})
		text = b.String()
	}
	if !valid {
		d.syntax()
	}
	if d.err != nil {
		return ""
	}
	return text
}

// bytesCBOR reads the byte string that is next.
func (d *Decoder) bytesCBOR() []byte {
	from, to, indefinite := d.span()
	b := slices.Clip(d.raw[from:to])
	if indefinite {
		b = []byte{}
		d.chunks(majorBytes, func(from, to int) { b = append(b, d.raw[from:to]...) })
	}
	if d.err != nil {
		return nil
	}
	return b
}

func (d *Decoder) boolCBOR() (o Opt[bool]) {
	b, _ := d.lead()
	switch {
	case d.nullCBOR():
	case b == cborTrue || b == cborFalse:
		d.i++
		return Some(b == cborTrue)
	default:
		d.wrongScalar("Boolean")
	}
	return o
}

// numberCBOR reads a number. f is its value, v too when it is whole and ok
// when v can hold it; float tells that it was sent as floating point.
func (d *Decoder) numberCBOR() (v int64, f float64, float, ok bool) {
	b := d.s[d.i]
	n, indefinite := d.head()
	switch {
	case indefinite:
		d.syntax()
	case b>>5 == majorUint:
		return int64(n), float64(n), false, n <= math.MaxInt64
	case b>>5 == majorNegative:
		return -1 - int64(n), -1 - float64(n), false, n <= math.MaxInt64
	case b == cborHalf:
		f = halfFloat(uint16(n))
	case b == cborSingle:
		f = float64(math.Float32frombits(uint32(n)))
	default:
		f = math.Float64frombits(n)
	}
	return 0, f, true, false
}

// isNumber reports whether a value that begins with b is a number.
func isNumber(b byte) bool {
	return b>>5 <= majorNegative || b >= cborHalf && b <= cborDouble
}

func (d *Decoder) wholeCBOR(class string, lo, hi int64) (o Opt[int64]) {
	if d.nullCBOR() {
		return o
	}
	if b, _ := d.lead(); !isNumber(b) {
		d.wrongScalar(class)
		return o
	}
	v, f, float, ok := d.numberCBOR()
	switch {
	case d.err != nil:
		return o
	case float:
		return d.truncated(class, f, nil, lo, hi)
	}
	return d.inRange(class, v, ok, lo, hi)
}

func (d *Decoder) doubleCBOR() (o Opt[float64]) {
	if d.nullCBOR() {
		return o
	}
	if b, _ := d.lead(); !isNumber(b) {
		d.wrongScalar("Double")
		return o
	}
	_, f, _, _ := d.numberCBOR()
	if d.err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) { // which JSON cannot say
		d.Fail(Serialization("Numeric value out of range of double"))
	}
	if d.err != nil {
		return o
	}
	return Some(f)
}

func (d *Decoder) timeCBOR() (o Opt[int64]) {
	b, tag := d.lead()
	if d.nullCBOR() {
		return o
	}
	if !isNumber(b) {
		d.wrongScalar("Date")
		return o
	}
	v, f, float, ok := d.numberCBOR()
	switch {
	case d.err != nil:
		return o
	case !float:
		return d.inRange("date", v, ok, -maxTimeMs, maxTimeMs)
	case tag == tagEpoch:
		f *= 1000
	}
	return d.timeOf(f, true)
}

// kindCBOR reads a scalar, or looks at what else comes next.
func (d *Decoder) kindCBOR() (k kind, text string) {
	b, _ := d.lead()
	switch b >> 5 {
	case majorMap:
		return kindObject, ""
	case majorArray:
		return kindList, ""
	case majorText:
		return kindText, d.textCBOR()
	case majorBytes:
		d.bytesCBOR()
		return kindBytes, ""
	}
	switch {
	case b == cborTrue, b == cborFalse:
		d.i++
		return map[bool]kind{true: kindTrue, false: kindFalse}[b == cborTrue], ""
	case isNumber(b) && d.err == nil:
		if _, _, float, _ := d.numberCBOR(); float {
			return kindFraction, ""
		}
		return kindWhole, ""
	}
	d.syntax() // null where none may be, another simple value, or the end
	return kindEnd, ""
}

// skipCBOR reads one value of any type.
func (d *Decoder) skipCBOR() {
	if d.nullCBOR() {
		return
	}
	switch k, _ := d.kindCBOR(); k {
	case kindObject:
		for ok := d.open(); ok; ok = d.NextMember() {
			d.skipCBOR()
		}
	case kindList:
		for ok := d.openList(); ok; ok = d.NextElement() {
			d.skipCBOR()
		}
	}
}

// halfFloat is the value of a number in IEEE 754's 16 bits.
func halfFloat(bits uint16) float64 {
	exp, frac := int(bits>>10&31), float64(bits&1023)
	var f float64
	switch exp {
	case 0:
		f = math.Ldexp(frac, -24)
	case 31:
		if f = math.Inf(1); frac != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(frac+1024, exp-25)
	}
	if bits>>15 != 0 {
		f = -f
	}
	return f
}
