package auth

import (
	"bytes"
	"time"
)

// algorithm is the only one there is: SHA-256 with a key derived from a shared
// secret. The asymmetric SigV4a is for multi-region endpoints.
const algorithm = "AWS4-HMAC-SHA256"

// claim is what a request says about its signature. Its slices share memory
// with the request or the scratch.
type claim struct {
	algorithm     []byte
	credential    []byte
	signedHeaders []byte
	signature     []byte
	date          []byte // X-Amz-Date or Date, unparsed
	contentHash   []byte // X-Amz-Content-Sha256
	expires       []byte // presigned only
	presigned     bool

	time  time.Time            // date, parsed; set by check
	stamp [len(basicTime)]byte // time, in the form that is signed
}

// found counts the header lines that a claim is made from.
type found struct {
	authorization, amzDate, date, contentHash int
}

// read fills the claim from the request. ok is false when the request carries
// no credentials at all.
func (s *scratch) read(r *Request) (ok bool, err error) {
	c := &s.claim
	var n found
	var header, date []byte
	if len(r.Headers) > maxHeaders {
		return false, errTooMany
	}
	for i := range r.Headers {
		h := &r.Headers[i]
		switch len(h.Name) {
		case len("date"):
			if h.Is("date") {
				n.date++
				date = h.Value
			}
		case len("x-amz-date"):
			if h.Is("x-amz-date") {
				n.amzDate++
				c.date = h.Value
			}
		case len("authorization"):
			if h.Is("authorization") {
				n.authorization++
				header = h.Value
			}
		case len("x-amz-content-sha256"):
			if h.Is("x-amz-content-sha256") {
				n.contentHash++
				c.contentHash = h.Value
			}
		}
	}
	if n.authorization > 1 {
		return false, errTwoHeaders
	}
	if n.amzDate > 1 || n.contentHash > 1 {
		return false, incomplete("X-Amz-Date and X-Amz-Content-Sha256 may be sent only once.")
	}
	if err := s.readQuery(r.Query); err != nil {
		return false, err
	}
	presigned, err := s.readPresigned()
	if err != nil {
		return false, err
	}
	switch {
	case presigned && n.authorization > 0:
		return false, errTwoWays
	case presigned:
		return true, nil
	case n.authorization == 0:
		return false, nil
	}
	if c.date == nil && n.date == 1 {
		c.date = date
	}
	return true, c.readHeader(header)
}

// readHeader parses an Authorization header:
//
//	AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...
//
// The parts may come in any order, separated by commas with or without spaces.
// Unknown parts are ignored, as AWS does; a part that comes twice is refused.
func (c *claim) readHeader(value []byte) error {
	name, rest, _ := cut(trim(value), ' ')
	c.algorithm = name
	for more := true; more; {
		var part []byte
		part, rest, more = cut(rest, ',')
		part = trim(part)
		if len(part) == 0 {
			continue
		}
		name, value, ok := cut(part, '=')
		if !ok {
			return incomplete("'%s' not a valid key=value pair (missing equal-sign) in Authorization header.", shown(part))
		}
		var field *[]byte
		switch string(name) {
		case "Credential":
			field = &c.credential
		case "SignedHeaders":
			field = &c.signedHeaders
		case "Signature":
			field = &c.signature
		default:
			continue
		}
		if *field != nil {
			return incomplete("Authorization header has '%s' twice.", name)
		}
		*field = value
	}
	return c.whole()
}

// whole reports, in AWS's words, every part that a header's claim lacks.
func (c *claim) whole() error {
	var missing string
	for _, part := range []struct {
		name  string
		value []byte
	}{{"Credential", c.credential}, {"Signature", c.signature}, {"SignedHeaders", c.signedHeaders}} {
		if len(part.value) == 0 {
			missing += "Authorization header requires '" + part.name + "' parameter. "
		}
	}
	if len(c.date) == 0 {
		missing += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
	}
	if missing != "" {
		return incomplete("%s", missing[:len(missing)-1])
	}
	return c.known()
}

func (c *claim) known() error {
	if string(c.algorithm) != algorithm {
		return incomplete("Unsupported AWS 'algorithm': '%s'. Only %s is supported.", shown(c.algorithm), algorithm)
	}
	return nil
}

// readPresigned fills the claim from query parameters. ok is false when none
// of them is a credential.
func (s *scratch) readPresigned() (ok bool, err error) {
	var presigned claim
	for i := range s.params {
		p := &s.params[i]
		var field *[]byte
		switch string(p.name) {
		case "X-Amz-Algorithm":
			field = &presigned.algorithm
		case "X-Amz-Credential":
			field = &presigned.credential
		case "X-Amz-SignedHeaders":
			field = &presigned.signedHeaders
		case "X-Amz-Signature":
			field = &presigned.signature
			p.unsigned = true
		case "X-Amz-Date":
			field = &presigned.date
		case "X-Amz-Expires":
			field = &presigned.expires
		case "X-Amz-Content-Sha256":
			field = &presigned.contentHash
		default:
			continue
		}
		if *field != nil {
			return false, incomplete("AWS query-string parameter '%s' is given twice.", p.name)
		}
		*field = p.value
	}
	if presigned.algorithm == nil && presigned.credential == nil && presigned.signature == nil {
		return false, nil
	}
	if len(presigned.algorithm) == 0 || len(presigned.credential) == 0 || len(presigned.signature) == 0 ||
		len(presigned.signedHeaders) == 0 || len(presigned.date) == 0 {
		return false, incomplete("AWS query-string parameters must include 'X-Amz-Algorithm', 'X-Amz-Credential', " +
			"'X-Amz-Signature', 'X-Amz-SignedHeaders' and 'X-Amz-Date'. Re-examine the query-string parameters.")
	}
	presigned.presigned = true
	if presigned.contentHash == nil {
		presigned.contentHash = s.claim.contentHash
	}
	s.claim = presigned
	return true, presigned.known()
}

// basicTime is the form of X-Amz-Date, ISO 8601's basic one.
const basicTime = "20060102T150405Z"

// parseTime reads a date header: ISO 8601 basic, or (in Date only) HTTP's form.
func parseTime(b []byte) (time.Time, bool) {
	b = trim(b)
	if len(b) != len(basicTime) {
		t, err := time.Parse(time.RFC1123, string(b))
		return t.UTC(), err == nil
	}
	if b[8] != 'T' || b[15] != 'Z' {
		return time.Time{}, false
	}
	var field [6]int
	at := 0
	for i, width := range [6]int{4, 2, 2, 2, 2, 2} {
		if i == 3 {
			at++ // the T
		}
		for range width {
			d := b[at] - '0'
			if d > 9 {
				return time.Time{}, false
			}
			field[i] = field[i]*10 + int(d)
			at++
		}
	}
	t := time.Date(field[0], time.Month(field[1]), field[2], field[3], field[4], field[5], 0, time.UTC)
	// time.Date carries over what is out of range; such a date is not one.
	ok := t.Year() == field[0] && int(t.Month()) == field[1] && t.Day() == field[2] &&
		t.Hour() == field[3] && t.Minute() == field[4] && t.Second() == field[5]
	return t, ok
}

// setStamp writes time as it is signed, which is how most clients sent it.
func (c *claim) setStamp() {
	if sent := trim(c.date); len(sent) == len(c.stamp) {
		copy(c.stamp[:], sent)
		return
	}
	c.time.AppendFormat(c.stamp[:0], basicTime)
}

// shown makes bytes that a client sent fit for an error message: bounded, and
// visible ASCII only.
func shown(b []byte) string {
	const most = 64
	cut := b
	if len(cut) > most {
		cut = cut[:most]
	}
	out := make([]byte, len(cut), len(cut)+3)
	for i, c := range cut {
		if c < ' ' || c > '~' {
			c = '?'
		}
		out[i] = c
	}
	if len(b) > most {
		out = append(out, "..."...)
	}
	return string(out)
}

// equalFold reports whether a header's name is lower, which is lower case
// ASCII, whatever the case it was sent in.
func equalFold[T []byte | string](name []byte, lower T) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// trim is b without the spaces and tabs around it.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// cut is bytes.Cut for a separator of one byte, which is quicker to look for.
func cut(b []byte, sep byte) (before, after []byte, found bool) {
	if i := bytes.IndexByte(b, sep); i >= 0 {
		return b[:i], b[i+1:], true
	}
	return b, nil, false
}
