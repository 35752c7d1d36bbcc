package awsapi

import (
	"encoding/xml"
	"strings"
)

// Error is an error as a client sees it.
type Error struct {
	Code       string // the shape's name: "ResourceNotFoundException"
	Namespace  string // "com.amazon.coral.service"; "" is the service's own
	Message    string
	QueryCode  string // the code of the Query protocol and of x-amzn-query-error; "" is Code
	HTTPStatus int    // 0 is 400
	Sender     bool   // the client's fault; the other faults are the receiver's
	Extra      []byte // further JSON members as `"Item":{...}`, or nil
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// The namespaces of errors that AWS's request framework raises before the
// service sees the request.
const (
	nsService  = "com.amazon.coral.service"
	nsValidate = "com.amazon.coral.validate"
)

// Style is how one service's errors look on the wire.
type Style struct {
	Namespace   string // of __type: "com.amazonaws.dynamodb.v20120810"; "" leaves it out everywhere
	QueryHeader bool   // send x-amzn-query-error, for services that are compatible with Query
	XMLNS       string // namespace of Query answers

	words *words // of values of a wrong type; nil is DynamoDB's
}

// The services' styles.
var (
	StyleDynamoDB = Style{Namespace: "com.amazonaws.dynamodb.v20120810"}
	StyleSQS      = Style{Namespace: "com.amazonaws.sqs", QueryHeader: true, XMLNS: "http://queue.amazonaws.com/doc/2012-11-05/"}
	StyleKinesis  = Style{words: &kinesisWords}
)

// styles maps the name before the dot of X-Amz-Target to the style.
var styles = map[string]Style{
	"DynamoDB_20120810":        StyleDynamoDB,
	"DynamoDBStreams_20120810": StyleDynamoDB,
	"AmazonSQS":                StyleSQS,
	"Kinesis_20131202":         StyleKinesis,
}

// StyleOf returns the style of the service whose target is named; for an
// unknown one, DynamoDB's, which every SDK can read.
func StyleOf(target string) Style {
	if s, ok := styles[target]; ok {
		return s
	}
	return StyleDynamoDB
}

// Validation is a ValidationException with the message.
func Validation(message string) *Error {
	return &Error{Code: "ValidationException", Namespace: nsValidate, Message: message, HTTPStatus: 400, Sender: true}
}

// Serialization is the SerializationException for a body that is not JSON or
// has a value of a wrong type.
func Serialization(message string) *Error {
	return &Error{Code: "SerializationException", Namespace: nsService, Message: message, HTTPStatus: 400, Sender: true}
}

// The errors that the front answers with before a door is known, or instead
// of one. The words are AWS's where AWS has the error.
var (
	ErrUnknownOperation = &Error{Code: "UnknownOperationException", Namespace: nsService, HTTPStatus: 400, Sender: true,
		QueryCode: "InvalidAction"}
	ErrMissingAuthentication = &Error{Code: "MissingAuthenticationTokenException", Namespace: nsService, HTTPStatus: 400, Sender: true,
		QueryCode: "MissingAuthenticationToken",
		Message:   "Request must contain either a valid (registered) AWS access key ID or X.509 certificate."}
	ErrUnrecognizedClient = &Error{Code: "UnrecognizedClientException", Namespace: nsService, HTTPStatus: 400, Sender: true,
		QueryCode: "InvalidClientTokenId", Message: "The security token included in the request is invalid."}
	ErrInvalidSignature = &Error{Code: "InvalidSignatureException", Namespace: nsService, HTTPStatus: 400, Sender: true,
		QueryCode: "SignatureDoesNotMatch",
		Message:   "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."}
	ErrTooLarge = &Error{Code: "RequestEntityTooLargeException", Namespace: nsService, HTTPStatus: 413, Sender: true,
		QueryCode: "RequestEntityTooLarge", Message: "The request body is larger than this server takes."}
	ErrOverloaded = &Error{Code: "ThrottlingException", Namespace: nsService, HTTPStatus: 503,
		QueryCode: "Throttling", Message: "The server has reached its limit of concurrent requests. Try again."}
	ErrStopping = &Error{Code: "ServiceUnavailable", Namespace: nsService, HTTPStatus: 503,
		QueryCode: "ServiceUnavailable", Message: "The server is stopping; the request was not processed. Try again."}
	ErrInternalFailure = &Error{Code: "InternalFailure", Namespace: nsService, HTTPStatus: 500,
		QueryCode: "InternalFailure", Message: "The request processing has failed because of an unknown error, exception or failure."}
)

// IncompleteSignature is the answer to an Authorization header that lacks a
// part or is malformed; message names it.
func IncompleteSignature(message string) *Error {
	return &Error{Code: "IncompleteSignatureException", Namespace: nsService, HTTPStatus: 400, Sender: true,
		QueryCode: "IncompleteSignature", Message: message}
}

// AccessDenied is the answer to a principal that may not do what it asked.
func AccessDenied(message string) *Error {
	return &Error{Code: "AccessDeniedException", Namespace: nsService, HTTPStatus: 400, Sender: true,
		QueryCode: "AccessDenied", Message: message}
}

// NotServed is the honest answer to an operation that AWS has and Weir does
// not: distinct from ErrUnknownOperation, never retried by SDKs.
func NotServed(operation string) *Error {
	return &Error{Code: "UnknownOperationException", Namespace: nsService, HTTPStatus: 400, Sender: true,
		QueryCode: "InvalidAction", Message: "The operation " + operation + " is not served by Weir."}
}

// ErrorResponse encodes an error in the protocol of the request. The request
// id is needed by Query, whose answers hold it; it may be empty otherwise.
func ErrorResponse(p Protocol, style Style, requestID string, e *Error) *Response {
	r := NewResponse(p)
	r.Status = e.HTTPStatus
	if r.Status == 0 {
		r.Status = 400
	}
	if p == Query {
		r.Body = appendErrorXML(r.Body, style, requestID, e)
		return r
	}
	if p == CBOR11 {
		r.Body = appendErrorCBOR(r.Body, style, e)
		return r
	}
	r.Body = appendErrorJSON(r.Body, style, e)
	if style.QueryHeader {
		r.SetHeader("x-amzn-query-error", e.queryCode()+";"+e.fault())
	}
	return r
}

// appendErrorJSON writes __type, further members and the message.
func appendErrorJSON(dst []byte, style Style, e *Error) []byte {
	dst = AppendJSONString(append(dst, `{"__type":`...), e.typeName(style))
	if len(e.Extra) > 0 {
		dst = append(append(dst, ','), e.Extra...)
	}
	if e.Message != "" {
		dst = AppendJSONString(AppendJSONName(dst, e.messageName()), e.Message)
	}
	return append(dst, '}')
}

// appendErrorCBOR is appendErrorJSON without further members: no service that
// speaks CBOR has any.
func appendErrorCBOR(dst []byte, style Style, e *Error) []byte {
	dst = AppendCBORText(AppendCBORStructure(dst), "__type")
	dst = AppendCBORText(dst, e.typeName(style))
	if e.Message != "" {
		dst = AppendCBORText(AppendCBORText(dst, e.messageName()), e.Message)
	}
	return AppendCBOREnd(dst)
}

// typeName is __type.
func (e *Error) typeName(style Style) string {
	switch {
	case style.Namespace == "":
		return e.Code
	case e.Namespace != "":
		return e.Namespace + "#" + e.Code
	}
	return style.Namespace + "#" + e.Code
}

// messageName is what the message is called: errors of the request framework
// call it Message where the SerializationException is concerned, and message
// elsewhere; SDKs read both.
func (e *Error) messageName() string {
	if e.Code == "SerializationException" || e.Code == "AccessDeniedException" {
		return "Message"
	}
	return "message"
}

func appendErrorXML(dst []byte, style Style, requestID string, e *Error) []byte {
	dst = append(dst, `<?xml version="1.0"?><ErrorResponse xmlns="`...)
	dst = append(dst, style.XMLNS...)
	dst = append(dst, `"><Error><Type>`...)
	dst = append(dst, e.fault()...)
	dst = append(dst, `</Type><Code>`...)
	dst = AppendXMLText(dst, e.queryCode())
	dst = append(dst, `</Code><Message>`...)
	dst = AppendXMLText(dst, e.Message)
	dst = append(dst, `</Message><Detail/></Error><RequestId>`...)
	dst = AppendXMLText(dst, requestID)
	return append(dst, `</RequestId></ErrorResponse>`...)
}

func (e *Error) fault() string {
	if e.Sender {
		return "Sender"
	}
	return "Receiver"
}

func (e *Error) queryCode() string {
	if e.QueryCode != "" {
		return e.QueryCode
	}
	return e.Code
}

// AppendXMLText appends s as character data; characters that XML cannot hold
// become U+FFFD.
func AppendXMLText(dst []byte, s string) []byte {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder never fails
	return append(dst, b.String()...)
}
