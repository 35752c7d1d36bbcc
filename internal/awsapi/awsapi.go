// Package awsapi holds what the AWS doors share: the contract between the
// front, which owns the HTTP connection, and a door; a pull decoder and an
// append-style encoder for JSON; error responses; and the runtime of the typed
// requests that gen writes from the AWS service models.
//
// It knows no operation, opens no socket and reads no storage. Values of its
// types belong to one request; only the Response pool is shared, and safe.
//
// Start with Request, Response and Door; decode.go is the JSON reader,
// check.go the runtime of generated validation, error.go the wire errors.
package awsapi

import (
	"context"
	"log/slog"
	"sync"

	"weir.dev/weir/internal/model"
)

// Protocol is the wire protocol that a client speaks.
type Protocol uint8

// The protocols.
const (
	JSON10 Protocol = 1 + iota // application/x-amz-json-1.0: DynamoDB, SQS
	JSON11                     // application/x-amz-json-1.1: Kinesis
	Query                      // form in, XML out: older SQS clients
	CBOR11                     // application/x-amz-cbor-1.1: Kinesis, from the SDKs for Java
)

// ContentType is the content type of the protocol's answers.
func (p Protocol) ContentType() string {
	switch p {
	case JSON11:
		return "application/x-amz-json-1.1"
	case Query:
		return "text/xml"
	case CBOR11:
		return "application/x-amz-cbor-1.1"
	default:
		return "application/x-amz-json-1.0"
	}
}

// Request is one call of an AWS operation, authenticated and complete. It and
// everything it points to belong to the front and are valid only until Handle
// returns: a door copies what it keeps.
type Request struct {
	Service    string          // target without version, as Door.Target: "DynamoDB_20120810", "AmazonSQS"
	Operation  string          // "PutItem"; not checked by the front
	Protocol   Protocol        // how the client spoke and how to answer
	Body       []byte          // all but Query: the whole body, at most model.MaxBodyBytes
	Form       Form            // Query: the parameters of URL and body, without Action and Version
	Principal  string          // who signed: access key id, or "" in open mode
	RequestID  string          // this try's id, for x-amzn-RequestId; set by the front on every answer
	Invocation model.RequestID // the same for all tries of one SDK call; random when the client names none
	Attempt    int             // 1 for the first try; 0 when the client does not say
	Wait       string          // header x-weir-wait-seconds, an extension; "" when not sent
	Scheme     string          // "http" or "https", as the client used it
	Host       string          // host and port, as the client used them
	Path       string          // URL path; SQS's Query clients call the queue's own URL
	Region     string          // from the signature's scope, or the server's
	Account    string          // 12 digits
	Log        *slog.Logger    // carries the request's id; nothing above debug per request
	Client     Client          // who waits for the answer; nil is somebody who surely stays
}

// Client is the other end of a request, while a door handles it.
type Client interface {
	// Watch ends the request's context, from now on, as soon as the client goes
	// away. Without it that may take a second, which is cheaper.
	Watch()
	// Gone reports whether the client is known to have gone away, so that nobody
	// gets the answer.
	Gone() bool
}

// Response is a door's answer. The front adds x-amzn-RequestId, Date, Server
// and Content-Length.
type Response struct {
	Status      int // HTTP status
	ContentType string
	Body        []byte
	Header      [][2]string // further headers, name and value
	Stream      Stream      // nil, or makes the body, which is then not in Body
}

// Stream makes the body of an answer in pieces while it is being sent. It is
// used after Handle has returned, when the request is no longer there, by one
// goroutine at a time.
type Stream interface {
	// Next blocks until there is another piece and appends it to dst, which the
	// caller keeps. Pieces are sent as they come. io.EOF ends the body. ctx ends
	// when the client is gone, when the server stops, or after
	// front.Limits.StreamTimeout.
	Next(ctx context.Context, dst []byte) ([]byte, error)
	// Close is called once, after the last Next. It may take until ctx ends.
	Close(ctx context.Context)
}

// Door answers the calls of one AWS service. Handle may be called from any
// goroutine, blocks as long as the operation takes, and never panics on what
// a client sent. It always returns a well-formed answer, errors included.
type Door interface {
	// Target is the part of X-Amz-Target before the dot.
	Target() string
	// Handle answers one call. The caller should Release the response.
	Handle(ctx context.Context, r *Request) *Response
}

// maxPooledBytes bounds the body capacity that a released Response keeps: a
// megabyte page must not stay allocated for every pooled answer.
const maxPooledBytes = 64 << 10

var responses = sync.Pool{New: func() any { return &Response{Body: make([]byte, 0, 1024)} }}

// NewResponse returns an answer with status 200, the protocol's content type
// and an empty body with capacity, from a pool.
func NewResponse(p Protocol) *Response {
	r := responses.Get().(*Response)
	r.Status, r.ContentType = 200, p.ContentType()
	return r
}

// Release gives the response back to the pool; nobody may use it or its body
// afterwards. Not calling it costs only garbage.
func (r *Response) Release() {
	if cap(r.Body) > maxPooledBytes {
		return
	}
	r.Body, r.Header, r.Stream = r.Body[:0], r.Header[:0], nil
	responses.Put(r)
}

// SetHeader adds a header.
func (r *Response) SetHeader(name, value string) {
	r.Header = append(r.Header, [2]string{name, value})
}
