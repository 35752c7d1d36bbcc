package front

import (
	"bytes"

	"weir.dev/weir/internal/auth"
)

// head is what the front itself reads of a request's head. Its slices share
// memory with the connection's buffers; nil is a header that was not sent.
type head struct {
	host, contentType, contentEncoding []byte
	target                             []byte // X-Amz-Target
	invocation, attempt                []byte // amz-sdk-invocation-id, amz-sdk-request
	origin, fetchSite                  []byte
	contentLength, transferEncoding    []byte
	wait                               []byte // x-weir-wait-seconds
	durability, maxLag, session        []byte // x-weir-durability, x-weir-max-lag-ms, x-weir-session
	regions                            []byte // x-weir-regions
}

// maxHeaderLines bounds the header lines of a request; the verifier has the
// same bound.
const maxHeaderLines = 256

// parseHead reads raw header lines, strictly: what two servers could take for
// different requests is refused (RFC 9112, 11.2). fault is "" or says what is
// wrong. lines is appended to dst and shares memory with raw.
func parseHead(h *head, dst []auth.Header, raw []byte) (lines []auth.Header, fault string) {
	*h = head{}
	for len(raw) > 0 {
		end := bytes.IndexByte(raw, '\n')
		if end < 1 || raw[end-1] != '\r' {
			return dst, "a header line does not end in CRLF"
		}
		line := raw[:end-1]
		raw = raw[end+1:]
		if len(line) == 0 {
			break // the empty line that ends the head
		}
		name, value, ok := bytes.Cut(line, []byte{':'})
		if !ok || !isToken(name) {
			return dst, "a header line is malformed"
		}
		value = bytes.Trim(value, " \t")
		if dst, fault = h.add(dst, name, value); fault != "" {
			return dst, fault
		}
	}
	return dst, h.check()
}

// add appends a header line to dst, and remembers it if the front reads it.
func (h *head) add(dst []auth.Header, name, value []byte) (lines []auth.Header, fault string) {
	if hasControl(value) {
		return dst, "a header value holds a control character"
	}
	if len(dst) == maxHeaderLines {
		return dst, "there are too many header lines"
	}
	dst = append(dst, auth.Header{Name: name, Value: value})
	return dst, h.note(&dst[len(dst)-1])
}

// check looks at the headers together.
func (h *head) check() (fault string) {
	switch {
	case h.host == nil:
		return "the Host header is missing"
	case h.contentLength != nil && h.transferEncoding != nil:
		return "both Content-Length and Transfer-Encoding are given"
	case h.transferEncoding != nil && !bytes.EqualFold(h.transferEncoding, []byte("chunked")):
		return "the Transfer-Encoding is not supported"
	}
	return ""
}

// note remembers a header that the front reads. None of them may come twice.
func (h *head) note(line *auth.Header) (fault string) {
	field := h.field(line)
	if field == nil {
		return ""
	}
	if *field != nil {
		return "the header " + string(line.Name) + " is given more than once"
	}
	*field = line.Value
	return ""
}

func (h *head) field(line *auth.Header) *[]byte {
	// The length tells nearly all headers apart before any byte is compared.
	switch len(line.Name) {
	case len("host"):
		if line.Is("host") {
			return &h.host
		}
	case len("origin"):
		if line.Is("origin") {
			return &h.origin
		}
	case len("content-type"): // and x-amz-target
		if line.Is("content-type") {
			return &h.contentType
		}
		if line.Is("x-amz-target") {
			return &h.target
		}
	case len("content-length"): // and sec-fetch-site, x-weir-session, x-weir-regions
		if line.Is("content-length") {
			return &h.contentLength
		}
		if line.Is("sec-fetch-site") {
			return &h.fetchSite
		}
		if line.Is("x-weir-session") {
			return &h.session
		}
		if line.Is("x-weir-regions") {
			return &h.regions
		}
	case len("amz-sdk-request"):
		if line.Is("amz-sdk-request") {
			return &h.attempt
		}
	case len("content-encoding"):
		if line.Is("content-encoding") {
			return &h.contentEncoding
		}
	case len("x-weir-durability"): // and x-weir-max-lag-ms, transfer-encoding
		if line.Is("transfer-encoding") {
			return &h.transferEncoding
		}
		if line.Is("x-weir-durability") {
			return &h.durability
		}
		if line.Is("x-weir-max-lag-ms") {
			return &h.maxLag
		}
	case len("x-weir-wait-seconds"):
		if line.Is("x-weir-wait-seconds") {
			return &h.wait
		}
	case len("amz-sdk-invocation-id"):
		if line.Is("amz-sdk-invocation-id") {
			return &h.invocation
		}
	}
	return nil
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

func hasControl(b []byte) bool {
	for _, c := range b {
		if (c < ' ' && c != '\t') || c == 0x7f {
			return true
		}
	}
	return false
}
