package auth

import (
	"bytes"
	"encoding/hex"
	"slices"
)

// param is one query parameter: decoded, and as the canonical request has it.
type param struct {
	name, value               []byte
	encodedName, encodedValue []byte
	unsigned                  bool // X-Amz-Signature of a presigned request
}

// unreserved marks the bytes that percent-encoding leaves alone (RFC 3986).
var unreserved = func() (t [256]bool) {
	for c := range t {
		switch {
		case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z':
			t[c] = true
		}
	}
	t['-'], t['.'], t['_'], t['~'] = true, true, true, true
	return t
}()

const upperHex = "0123456789ABCDEF"

// appendEncoded percent-encodes with upper case digits, as signatures need.
func appendEncoded(dst, src []byte, keepSlash bool) []byte {
	for _, c := range src {
		if unreserved[c] || c == '/' && keepSlash {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// appendDecoded undoes percent-encoding; a plus is a space, as in forms. ok is
// false for a percent sign that two hexadecimal digits do not follow: to take
// it literally would let two different query strings have one signature.
func appendDecoded(dst, src []byte) (out []byte, ok bool) {
	for i := 0; i < len(src); i++ {
		switch c := src[i]; c {
		case '+':
			dst = append(dst, ' ')
		case '%':
			if i+2 >= len(src) {
				return dst, false
			}
			var b [1]byte
			if _, err := hex.Decode(b[:], src[i+1:i+3]); err != nil {
				return dst, false
			}
			dst = append(dst, b[0])
			i += 2
		default:
			dst = append(dst, c)
		}
	}
	return dst, true
}

// readQuery splits the raw query string into params, sorted as the canonical
// request has them: by encoded name, then by encoded value.
func (s *scratch) readQuery(raw []byte) error {
	s.params = s.params[:0]
	if len(raw) == 0 {
		return nil
	}
	// Decoding never grows and encoding at most triples, so the params' slices
	// stay where they are.
	s.decoded = slices.Grow(s.decoded[:0], len(raw))
	s.encoded = slices.Grow(s.encoded[:0], 3*len(raw))
	for pair := range bytes.SplitSeq(raw, []byte{'&'}) {
		if len(pair) == 0 {
			continue
		}
		if len(s.params) == maxQueryParams {
			return errTooMany
		}
		name, value, _ := cut(pair, '=')
		var p param
		var ok1, ok2 bool
		p.name, ok1 = s.decode(name)
		p.value, ok2 = s.decode(value)
		if !ok1 || !ok2 {
			return errMalformed
		}
		p.encodedName, p.encodedValue = s.encode(p.name), s.encode(p.value)
		s.params = append(s.params, p)
	}
	slices.SortFunc(s.params, func(a, b param) int {
		if c := bytes.Compare(a.encodedName, b.encodedName); c != 0 {
			return c
		}
		return bytes.Compare(a.encodedValue, b.encodedValue)
	})
	return nil
}

func (s *scratch) decode(src []byte) (out []byte, ok bool) {
	start := len(s.decoded)
	s.decoded, ok = appendDecoded(s.decoded, src)
	return s.decoded[start:], ok
}

func (s *scratch) encode(src []byte) []byte {
	start := len(s.encoded)
	s.encoded = appendEncoded(s.encoded, src, false)
	return s.encoded[start:]
}

func (s *scratch) appendQuery(dst []byte) []byte {
	first := true
	for i := range s.params {
		p := &s.params[i]
		if p.unsigned {
			continue
		}
		if !first {
			dst = append(dst, '&')
		}
		first = false
		dst = append(dst, p.encodedName...)
		dst = append(dst, '=')
		dst = append(dst, p.encodedValue...)
	}
	return dst
}

// buildCanonical writes the canonical request into s.canonical:
//
//	method \n path \n query \n name:value \n ... \n \n signed headers \n hash
//
// path is encoded once more than it is on the wire, as every service but S3
// has it. Signed headers that the request lacks are a mismatch.
func (s *scratch) buildCanonical(r *Request, path, signedHeaders, payload []byte) error {
	dst := append(s.canonical[:0], r.Method...)
	dst = append(dst, '\n')
	if len(path) == 0 {
		dst = append(dst, '/')
	} else {
		dst = appendEncoded(dst, path, true)
	}
	dst = append(dst, '\n')
	dst = s.appendQuery(dst)
	dst = append(dst, '\n')
	for rest, more := signedHeaders, true; more; {
		var name []byte
		name, rest, more = cut(rest, ';')
		var ok bool
		if dst, ok = appendHeader(dst, r, name); !ok {
			s.canonical = dst
			return errMismatch
		}
	}
	dst = append(dst, '\n')
	dst = append(dst, signedHeaders...)
	dst = append(dst, '\n')
	s.canonical = append(dst, payload...)
	return nil
}

// appendHeader appends one header's line; values of a header that was sent
// more than once are joined by commas in the order sent. ok is false when the
// request has no such header.
func appendHeader(dst []byte, r *Request, name []byte) (out []byte, ok bool) {
	dst = append(append(dst, name...), ':')
	for i := range r.Headers {
		h := &r.Headers[i]
		if !equalFold(h.Name, name) {
			continue
		}
		if ok {
			dst = append(dst, ',')
		}
		dst = appendFolded(dst, h.Value)
		ok = true
	}
	return append(dst, '\n'), ok
}

var twoSpaces = []byte("  ")

// appendFolded appends a header's value without white space at its ends and
// with every run of white space inside as one space. Tabs count as white
// space: Java's, Python's and JavaScript's SDKs treat them so; Go's does not,
// and its requests with a tab in a signed header are refused.
func appendFolded(dst, value []byte) []byte {
	value = trim(value)
	if bytes.IndexByte(value, '\t') < 0 && !bytes.Contains(value, twoSpaces) {
		return append(dst, value...)
	}
	space := false
	for _, c := range value {
		if c == ' ' || c == '\t' {
			if !space {
				dst = append(dst, ' ')
			}
			space = true
			continue
		}
		space = false
		dst = append(dst, c)
	}
	return dst
}

// checkSigned checks the list of signed headers: lower case, strictly
// ascending, host among them, and every x-amz- header that was sent.
func checkSigned(r *Request, list []byte) error {
	var last []byte
	host, count := false, 0
	for rest, more := list, true; more; {
		var name []byte
		name, rest, more = cut(rest, ';')
		count++
		if count > maxSignedHeaders {
			return errTooMany
		}
		if len(name) == 0 || bytes.Compare(name, last) <= 0 || hasUpper(name) {
			return errSignedOrder
		}
		host = host || string(name) == "host"
		last = name
	}
	if !host {
		return errHostUnsigned
	}
	for i := range r.Headers {
		h := &r.Headers[i]
		if len(h.Name) > 6 && h.Name[5] == '-' && equalFold(h.Name[:6], "x-amz-") && !inList(list, h.Name) {
			return invalid("There were headers present in the request which were not signed: %s.", shown(h.Name))
		}
	}
	return nil
}

func inList(list, header []byte) bool {
	for rest, more := list, true; more; {
		var name []byte
		name, rest, more = cut(rest, ';')
		if equalFold(header, name) {
			return true
		}
	}
	return false
}

func hasUpper(b []byte) bool {
	for _, c := range b {
		if 'A' <= c && c <= 'Z' || c <= ' ' {
			return true
		}
	}
	return false
}

// normalPath is the path without empty, "." and ".." segments (RFC 3986,
// 5.2.4), or path itself when it has none.
func normalPath(path []byte) []byte {
	if !bytes.Contains(path, []byte("//")) && !bytes.Contains(path, []byte("/.")) {
		return path
	}
	var segments [][]byte
	for segment := range bytes.SplitSeq(path, []byte{'/'}) {
		switch string(segment) {
		case "", ".":
		case "..":
			if len(segments) > 0 {
				segments = segments[:len(segments)-1]
			}
		default:
			segments = append(segments, segment)
		}
	}
	out := make([]byte, 0, len(path))
	for _, segment := range segments {
		out = append(append(out, '/'), segment...)
	}
	if len(out) == 0 || path[len(path)-1] == '/' {
		out = append(out, '/')
	}
	return out
}
