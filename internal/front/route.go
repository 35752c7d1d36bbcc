package front

import (
	"bytes"
	"strconv"
	"strings"

	"weir.dev/weir/internal/awsapi"
)

// signingNames maps doors to the service that credentials must be scoped to. A
// door that is not here takes any.
var signingNames = map[string]string{
	"DynamoDB_20120810":        "dynamodb",
	"DynamoDBStreams_20120810": "dynamodb",
	"Kinesis_20131202":         "kinesis",
	"AmazonSQS":                "sqs",
}

// queryTarget is the door of the Query protocol, which has no X-Amz-Target:
// SQS is the only service here that ever spoke it.
const (
	queryTarget  = "AmazonSQS"
	queryVersion = "2012-11-05"
)

// cborTarget is the only door that speaks CBOR.
const cborTarget = "Kinesis_20131202"

// maxFormParams bounds the parameters of a Query call: SQS's largest, a batch
// of ten messages with ten attributes each, has about 500.
const maxFormParams = 4096

// route finds the protocol, the door and, in the JSON protocols, the operation.
func (x *exchange) route() (awsapi.Door, *awsapi.Error) {
	r, h := &x.req, &x.head
	r.Protocol = awsapi.JSON10
	method := x.signed.Method
	post, get := bytes.Equal(method, []byte("POST")), bytes.Equal(method, []byte("GET"))
	switch {
	case len(h.target) > 0:
		service, operation, ok := bytes.Cut(h.target, []byte{'.'})
		if !ok || len(operation) == 0 || !post {
			return nil, awsapi.ErrUnknownOperation
		}
		x.service.set(service)
		x.operation.set(operation)
		switch {
		case hasMediaType(h.contentType, "application/x-amz-json-1.1"):
			r.Protocol = awsapi.JSON11
		case x.service.text == cborTarget && hasMediaType(h.contentType, "application/x-amz-cbor-1.1"):
			r.Protocol = awsapi.CBOR11
		}
		r.Service, r.Operation = x.service.text, x.operation.text
	case get, post && (len(h.contentType) == 0 || hasMediaType(h.contentType, "application/x-www-form-urlencoded")):
		r.Protocol = awsapi.Query
		r.Service = queryTarget
	default:
		return nil, awsapi.ErrUnknownOperation
	}
	door := x.srv.doors[r.Service]
	if door == nil {
		return nil, awsapi.ErrUnknownOperation
	}
	return door, nil
}

// hasMediaType reports whether a content type is the media type, with or
// without parameters.
func hasMediaType(contentType []byte, media string) bool {
	if len(contentType) < len(media) || !bytes.EqualFold(contentType[:len(media)], []byte(media)) {
		return false
	}
	rest := bytes.TrimLeft(contentType[len(media):], " \t")
	return len(rest) == 0 || rest[0] == ';'
}

// readForm fills the request's Form and Operation from the URL's query and the
// body.
func (x *exchange) readForm() *awsapi.Error {
	pairs, ok := appendForm(nil, string(x.query))
	if ok {
		pairs, ok = appendForm(pairs, string(x.bodyBytes()))
	}
	if !ok {
		return frontError(400, "MalformedQueryString", "The query string contains a syntax error.")
	}
	form := awsapi.NewForm(pairs)
	operation, ok := form.Get("Action")
	if !ok || operation == "" {
		return frontError(400, "MissingAction", "The request must contain the parameter Action.")
	}
	if version, ok := form.Get("Version"); ok && version != queryVersion {
		return frontError(400, "InvalidAction", "Could not find operation "+operation+" for version "+version)
	}
	out := form[:0]
	for _, p := range form {
		// What belongs to the call or its signature is no parameter of the operation.
		if p.Name != "Action" && p.Name != "Version" && !strings.HasPrefix(p.Name, "X-Amz-") {
			out = append(out, p)
		}
	}
	x.req.Form, x.req.Operation = out, operation
	return nil
}

// appendForm decodes parameters in application/x-www-form-urlencoded. ok is
// false for a broken escape or too many of them.
func appendForm(dst []awsapi.Pair, text string) (pairs []awsapi.Pair, ok bool) {
	for len(text) > 0 {
		var pair string
		pair, text, _ = strings.Cut(text, "&")
		if pair == "" {
			continue
		}
		if len(dst) == maxFormParams {
			return dst, false
		}
		name, value, _ := strings.Cut(pair, "=")
		var p awsapi.Pair
		var ok1, ok2 bool
		p.Name, ok1 = unescape(name)
		p.Value, ok2 = unescape(value)
		if !ok1 || !ok2 {
			return dst, false
		}
		dst = append(dst, p)
	}
	return dst, true
}

// unescape undoes percent-encoding and turns a plus into a space.
func unescape(s string) (string, bool) {
	if !strings.ContainsAny(s, "%+") {
		return s, true
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '+':
			b.WriteByte(' ')
		case '%':
			if i+2 >= len(s) {
				return "", false
			}
			hi, ok1 := unhex(s[i+1])
			lo, ok2 := unhex(s[i+2])
			if !ok1 || !ok2 {
				return "", false
			}
			b.WriteByte(hi<<4 | lo)
			i += 2
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), true
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// parseAttempt reads which try this is from amz-sdk-request, as
// "attempt=2; max=3"; 0 when it does not say.
func parseAttempt(value []byte) int {
	for part := range bytes.SplitSeq(value, []byte{';'}) {
		name, n, ok := bytes.Cut(bytes.Trim(part, " "), []byte{'='})
		if !ok || string(name) != "attempt" || len(n) > 4 {
			continue
		}
		if attempt, err := strconv.Atoi(string(n)); err == nil && attempt > 0 {
			return attempt
		}
	}
	return 0
}
