// Package auth verifies AWS Signature Version 4 on requests, in the
// Authorization header and in the query string (presigned URLs), and makes
// such signatures.
//
// It sees a request as bytes that arrived; it opens no socket, imports no HTTP
// library and decides nothing about what a principal may do. A Verifier and a
// Keys may be used from any goroutine; a Request and a Signer belong to one.
//
// The rules are those of
// https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html;
// where clients disagree, verify.go says what is accepted and why. Start with
// Verifier.Verify.
package auth

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"weir.dev/weir/internal/base"
)

// Limits on what a request may ask the verifier to do before it is known who
// sent it.
const (
	// DefaultSkew is how far a signature's time may be from ours: AWS's 15 minutes.
	DefaultSkew = 15 * time.Minute
	// MaxExpires is how long a presigned URL may be valid: AWS's seven days.
	MaxExpires = 7 * 24 * time.Hour
	// DefaultExpires holds for presigned URLs that name no X-Amz-Expires, which
	// services other than S3 allow.
	DefaultExpires = 15 * time.Minute

	maxHeaders         = 256 // header lines; with maxSignedHeaders it bounds the matching of one against the other
	maxSignedHeaders   = 64  // SDKs sign about ten
	maxQueryParams     = 1024
	maxCredentialBytes = 256 // access key id and scope
)

// Header is one header line as it arrived. A header that was sent twice is two
// of them, in the order sent.
type Header struct{ Name, Value []byte }

// Is reports whether the header's name is lower, which is in lower case,
// whatever the case it was sent in.
func (h *Header) Is(lower string) bool { return equalFold(h.Name, lower) }

// Request is what a signature covers. The verifier only reads it, and keeps
// nothing of it.
type Request struct {
	Method  []byte
	Path    []byte // as on the request line, before any decoding, without the query
	Query   []byte // as on the request line, without the question mark
	Headers []Header
	Body    []byte // complete, after transfer decoding
	TLS     bool   // the connection is encrypted

	bodyHash [sha256.Size]byte
	hashed   bool
}

// Reset makes the request empty, keeping the Headers' memory.
func (r *Request) Reset() {
	clear(r.Headers)
	*r = Request{Headers: r.Headers[:0]}
}

// BodyHash is the SHA-256 of Body, computed once: Body must not change after.
func (r *Request) BodyHash() *[sha256.Size]byte {
	if !r.hashed {
		r.bodyHash, r.hashed = sha256.Sum256(r.Body), true
	}
	return &r.bodyHash
}

// Identity is who sent a request. The zero Identity is a request without
// credentials, which only an open Verifier lets through.
type Identity struct {
	AccessKey string // as the client named it
	Principal string // who the access key stands for; "" when the signature was not verified
	Region    string // of the credential scope
	Service   string // of the credential scope, the signing name: "dynamodb", "sqs"
	Verified  bool   // the signature was checked against a known secret
}

// Config configures a Verifier.
type Config struct {
	// Keys are the known access keys; nil is none.
	Keys *Keys
	// Open accepts requests without credentials, and credentials whose access
	// key is not in Keys, without checking their signature. Requests of a known
	// access key are verified all the same.
	Open bool
	// Clock tells the time that signatures are compared with.
	Clock base.Clock
	// Skew is how far a signature's time may be from the clock; 0 is DefaultSkew.
	Skew time.Duration
	// Region is the only region that credentials may be scoped to; "" is any.
	Region string
	// AllowUnsignedPayload accepts UNSIGNED-PAYLOAD over TLS: the signature then
	// does not cover the body.
	AllowUnsignedPayload bool
}

// Verifier verifies requests. It may be used from any goroutine.
type Verifier struct {
	cfg    Config
	scopes scopeCache
}

// NewVerifier returns a Verifier.
func NewVerifier(cfg Config) *Verifier {
	if cfg.Skew == 0 {
		cfg.Skew = DefaultSkew
	}
	if cfg.Clock == nil {
		cfg.Clock = base.SystemClock{}
	}
	return &Verifier{cfg: cfg}
}

// Kind classifies why a request was refused. The front has a table from Kind
// to the wire errors.
type Kind uint8

// The kinds of refusal.
const (
	MissingToken     Kind = 1 + iota // no credentials: MissingAuthenticationToken
	Incomplete                       // credentials that are not whole or well-formed: IncompleteSignature
	UnknownKey                       // the access key is not known: UnrecognizedClient, InvalidClientTokenId
	InvalidSignature                 // wrong, expired or wrongly scoped: InvalidSignature, SignatureDoesNotMatch
	MalformedQuery                   // the query string cannot be decoded: MalformedQueryString
)

// Error is a refusal. Message is in AWS's words where AWS has the case, and
// safe to show to a client.
type Error struct {
	Kind    Kind
	Message string
}

func (e *Error) Error() string { return e.Message }

// Refusals with fixed words.
var (
	errMissingToken = &Error{MissingToken, "Request is missing Authentication Token"}
	errUnknownKey   = &Error{UnknownKey, "The security token included in the request is invalid."}
	errMismatch     = &Error{InvalidSignature, "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."}
	errHostUnsigned = &Error{InvalidSignature, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."}
	errSignedOrder  = &Error{Incomplete, "'SignedHeaders' must be lower case, sorted and without repetition."}
	errTwoWays      = &Error{Incomplete, "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the Authorization header should be specified."}
	errTwoHeaders   = &Error{Incomplete, "The request has more than one Authorization header."}
	errTooMany      = &Error{Incomplete, "The request has too many headers, signed headers or query parameters."}
	errMalformed    = &Error{MalformedQuery, "The query string contains a syntax error."}
	errUnsigned     = &Error{InvalidSignature, "UNSIGNED-PAYLOAD is not accepted here: sign the SHA-256 of the body."}
	errStreaming    = &Error{InvalidSignature, "Chunked payload signatures (STREAMING-...) are not supported: sign the SHA-256 of the whole body."}
	errExpiresRange = &Error{Incomplete, "X-Amz-Expires must be a number of seconds between 1 and 604800."}
)

func incomplete(format string, args ...any) *Error {
	return &Error{Incomplete, fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *Error {
	return &Error{InvalidSignature, fmt.Sprintf(format, args...)}
}

// scratch is the memory of one verification.
type scratch struct {
	canonical []byte // the canonical request, then the string to sign
	decoded   []byte // decoded query parameters
	encoded   []byte // canonically encoded query parameters
	params    []param
	claim     claim
	hash      [2 * sha256.Size]byte // hexadecimal
	mac       [sha256.Size]byte
}

// maxPooledScratch bounds what a pooled scratch keeps: requests with a normal
// head need far less.
const maxPooledScratch = 16 << 10

var scratches = sync.Pool{New: func() any {
	return &scratch{canonical: make([]byte, 0, 2048)}
}}

func (s *scratch) release() {
	if cap(s.canonical)+cap(s.decoded)+cap(s.encoded) > maxPooledScratch {
		return
	}
	s.claim = claim{}
	clear(s.params)
	s.params = s.params[:0]
	scratches.Put(s)
}
