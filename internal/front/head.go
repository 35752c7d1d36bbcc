package front

import (
	"bytes"

	"weir.dev/weir/internal/auth"
)

// head is what the front itself reads of a request's head. Its slices share
// memory with the connection's buffers; nil is a header that was not sent. One
// that is empty says no more, but may not come again either.
type head struct {
	host, contentType, contentEncoding []byte
	target                             []byte // X-Amz-Target
	invocation, attempt                []byte // amz-sdk-invocation-id, amz-sdk-request
	origin, fetchSite                  []byte
	contentLength, transferEncoding    []byte
	expect                             []byte
	wait                               []byte // x-weir-wait-seconds
	durability, maxLag, session        []byte // x-weir-durability, x-weir-max-lag-ms, x-weir-session
	regions                            []byte // x-weir-regions

	close, keepAlive bool // what Connection says
}

// maxHeaderLines bounds the header lines of a request; the verifier has the
// same bound.
const maxHeaderLines = 256

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
	case len(h.host) == 0:
		return "the Host header is missing"
	case h.contentLength != nil && h.transferEncoding != nil:
		return "both Content-Length and Transfer-Encoding are given"
	case h.transferEncoding != nil && !bytes.EqualFold(h.transferEncoding, []byte("chunked")):
		return "the Transfer-Encoding is not supported"
	case h.contentLength != nil && !isNumber(h.contentLength):
		return "the Content-Length is malformed"
	}
	return ""
}

// note remembers a header that the front reads. None of them may come twice.
func (h *head) note(line *auth.Header) (fault string) {
	field := h.field(line)
	if field == nil {
		if line.Is("connection") { // may come often
			h.noteConnection(line.Value)
		}
		return ""
	}
	if *field != nil {
		return "the header " + string(line.Name) + " is given more than once"
	}
	*field = line.Value
	return ""
}

// noteConnection remembers what the client says of the connection.
func (h *head) noteConnection(value []byte) {
	for option := range bytes.SplitSeq(value, []byte{','}) {
		switch option = trimBlanks(option); {
		case bytes.EqualFold(option, []byte("close")):
			h.close = true
		case bytes.EqualFold(option, []byte("keep-alive")):
			h.keepAlive = true
		}
	}
}

func (h *head) field(line *auth.Header) *[]byte {
	// The length tells nearly all headers apart before any byte is compared.
	switch len(line.Name) {
	case len("host"):
		if line.Is("host") {
			return &h.host
		}
	case len("origin"): // and expect
		if line.Is("origin") {
			return &h.origin
		}
		if line.Is("expect") {
			return &h.expect
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
