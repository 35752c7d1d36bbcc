package front

import (
	"errors"
	"net/http"

	"weir.dev/weir/internal/auth"
	"weir.dev/weir/internal/awsapi"
)

// copiedAnswer is the largest answer that is copied so that its Response can go
// back to the pool at once; the pool would not take a larger one.
const copiedAnswer = 64 << 10

// answer writes what the door said. It takes over the response.
func (x *exchange) answer(resp *awsapi.Response) {
	x.begin(resp.Status, resp.ContentType)
	for i := range resp.Header {
		x.via.addHeader(resp.Header[i][0], resp.Header[i][1])
	}
	x.tellTerms()
	if cap(resp.Body) > copiedAnswer {
		x.via.send(resp.Body, true)
		return
	}
	x.via.send(resp.Body, false)
	resp.Release()
}

// begin begins an answer. Names go out as they are written here: some clients
// look for x-amzn-RequestId letter by letter.
func (x *exchange) begin(status int, contentType string) {
	x.status = status
	x.via.setHead(status, contentType, x.req.RequestID)
}

// text answers what is no AWS call.
func (x *exchange) text(status int, text string) {
	x.begin(status, "text/plain; charset=utf-8")
	x.via.send([]byte(text), false)
}

func (x *exchange) answerError(fault *awsapi.Error) {
	protocol := x.req.Protocol
	if protocol == 0 {
		protocol = awsapi.JSON10
	}
	x.answer(awsapi.ErrorResponse(protocol, awsapi.StyleOf(x.req.Service), x.req.RequestID, fault))
}

// healthPath is the path of the health check, which is no AWS call.
const healthPath = "/healthz"

// answerHealth answers the health check.
func (x *exchange) answerHealth() {
	method := string(x.signed.Method)
	if method != http.MethodGet && method != http.MethodHead {
		x.begin(http.StatusMethodNotAllowed, "text/plain; charset=utf-8")
		x.via.addHeader("Allow", "GET, HEAD")
		x.via.send([]byte("method not allowed\n"), false)
		return
	}
	var err error
	switch {
	case x.srv.stopping():
		err = errStopping
	case x.srv.opt.Health != nil:
		err = x.srv.opt.Health()
	}
	if err != nil {
		x.text(http.StatusServiceUnavailable, err.Error()+"\n")
		return
	}
	x.text(http.StatusOK, "ok\n")
}

// authFault is the table from the verifier's refusals to wire errors. SQS
// answers them with 403, the other services with 400.
func authFault(err error, service string) *awsapi.Error {
	var refusal *auth.Error
	if !errors.As(err, &refusal) {
		return awsapi.ErrInternalFailure
	}
	var fault awsapi.Error
	switch refusal.Kind {
	case auth.MissingToken:
		fault = *awsapi.ErrMissingAuthentication
	case auth.Incomplete:
		fault = *awsapi.IncompleteSignature(refusal.Message)
	case auth.UnknownKey:
		fault = *awsapi.ErrUnrecognizedClient
	case auth.MalformedQuery:
		fault = *frontError(http.StatusBadRequest, "MalformedQueryString", "")
	default:
		fault = *awsapi.ErrInvalidSignature
	}
	fault.Message = refusal.Message
	if service == queryTarget && refusal.Kind != auth.MalformedQuery {
		fault.HTTPStatus = http.StatusForbidden
	}
	return &fault
}
