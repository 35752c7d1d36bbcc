package front

import (
	"bytes"
	"encoding/binary"
	"net/http"

	"weir.dev/weir/internal/auth"
)

// headParser reads the head of a request of HTTP/1 in one pass, strictly: what
// two servers could take for different requests is refused (RFC 9112, 11.2). It
// can be given the head as it grows. Its slices share memory with what it is
// given.
type headParser struct {
	head  *head
	lines []auth.Header

	method, target []byte
	old            bool // HTTP/1.0

	at    int  // up to there the head has been read
	begun bool // the request line has been read
	blank bool // an empty line before it, too
}

// reset begins anew: what was given has moved.
func (p *headParser) reset() {
	*p.head = head{}
	*p = headParser{head: p.head, lines: p.lines[:0]}
}

// badHead is what is wrong with a head, and the status that says so.
type badHead struct {
	status int
	fault  string
}

func malformed(fault string) *badHead { return &badHead{http.StatusBadRequest, fault} }

// parse reads on in raw, which begins where the request does. done says that
// the head has ended, at p.at.
func (p *headParser) parse(raw []byte) (done bool, bad *badHead) {
	for {
		n := bytes.IndexByte(raw[p.at:], '\n')
		if n < 0 {
			return false, nil
		}
		line := raw[p.at : p.at+n]
		p.at += n + 1
		if n == 0 || line[n-1] != '\r' {
			return false, malformed("a header line does not end in CRLF")
		}
		line = line[:n-1]
		switch {
		case !p.begun && len(line) == 0 && !p.blank:
			p.blank = true // as some clients end a body (RFC 9112, 2.2)
		case !p.begun:
			if bad := p.requestLine(line); bad != nil {
				return false, bad
			}
		case len(line) == 0:
			if fault := p.head.check(); fault != "" {
				return false, malformed(fault)
			}
			return true, nil
		default:
			if fault := p.headerLine(line); fault != "" {
				return false, malformed(fault)
			}
		}
	}
}

// requestLine reads "POST / HTTP/1.1". What the target may be is not looked at.
func (p *headParser) requestLine(line []byte) *badHead {
	first, last := bytes.IndexByte(line, ' '), bytes.LastIndexByte(line, ' ')
	if first == last || !isToken(line[:first]) {
		return malformed("the request line is malformed")
	}
	switch version := line[last+1:]; {
	case string(version) == "HTTP/1.1":
	case string(version) == "HTTP/1.0":
		p.old = true
	case bytes.HasPrefix(version, []byte("HTTP/")):
		return &badHead{http.StatusHTTPVersionNotSupported, ""}
	default:
		return malformed("the request line is malformed")
	}
	p.method, p.target, p.begun = line[:first], line[first+1:last], true
	return nil
}

func (p *headParser) headerLine(line []byte) (fault string) {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 || !isToken(line[:colon]) {
		return "a header line is malformed"
	}
	p.lines, fault = p.head.add(p.lines, line[:colon], trimBlanks(line[colon+1:]))
	return fault
}

// trimBlanks is without the spaces and tabs around b, and never nil: a header
// that is empty was sent.
func trimBlanks(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// splitURI takes a request target apart. Only the origin form is taken: a path
// that begins with a slash. The bytes must be visible ASCII.
func splitURI(uri []byte) (path, query []byte, ok bool) {
	if len(uri) == 0 || uri[0] != '/' {
		return nil, nil, false
	}
	for _, c := range uri {
		if c <= ' ' || c > '~' || c == '#' {
			return nil, nil, false
		}
	}
	path, query, _ = bytes.Cut(uri, []byte{'?'})
	return path, query, true
}

// tokenBytes marks the bytes of a header's name (RFC 9110, 5.6.2).
var tokenBytes = func() (t [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t[c] = true
	}
	return t
}()

func isToken(b []byte) bool {
	for _, c := range b {
		if !tokenBytes[c] {
			return false
		}
	}
	return len(b) > 0
}

// isNumber reports whether b is a number as lengths are written.
func isNumber(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// hasControl reports whether b holds a control character other than a tab.
func hasControl(b []byte) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; len(b) >= 8; b = b[8:] {
		v := binary.LittleEndian.Uint64(b)
		// The high bit of each byte that is below a space, or is 0x7f; a byte above
		// one that is may be taken for one, too.
		below, del := (v-' '*ones)&^v, v^0x7f*ones
		if (below|(del-ones)&^del)&high != 0 && anyControl(b[:8]) {
			return true
		}
	}
	return anyControl(b)
}

func anyControl(b []byte) bool {
	for _, c := range b {
		if (c < ' ' && c != '\t') || c == 0x7f {
			return true
		}
	}
	return false
}
