package front

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"weir.dev/weir/internal/auth"
	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/base"
)

// copiedAnswer is the largest answer that is copied so that its Response can go
// back to the pool at once; the pool would not take a larger one.
const copiedAnswer = 64 << 10

// answer writes what the door said. It takes over the response.
func (x *exchange) answer(resp *awsapi.Response) {
	x.setHeaders(resp.Status, resp.ContentType)
	for i := range resp.Header {
		x.ctx.Response.Header.Add(resp.Header[i][0], resp.Header[i][1])
	}
	if cap(resp.Body) > copiedAnswer {
		x.ctx.Response.SetBodyRaw(resp.Body)
		return
	}
	x.ctx.Response.SetBody(resp.Body)
	resp.Release()
}

// setHeaders begins an answer. Names go out as they are written here: some
// clients look for x-amzn-RequestId letter by letter.
func (x *exchange) setHeaders(status int, contentType string) {
	h := &x.ctx.Response.Header
	hangUp := h.ConnectionClose()
	x.srv.dates.at(x.srv.opt.Clock.Now(), h).CopyTo(h)
	if hangUp {
		h.SetConnectionClose()
	}
	h.SetStatusCode(status)
	h.SetContentType(contentType)
	h.Add("x-amzn-RequestId", x.req.RequestID)
}

func (x *exchange) answerError(fault *awsapi.Error) {
	protocol := x.req.Protocol
	if protocol == 0 {
		protocol = awsapi.JSON10
	}
	x.answer(awsapi.ErrorResponse(protocol, awsapi.StyleOf(x.req.Service), x.req.RequestID, fault))
}

// answerPlain answers what is no AWS call: the health check.
func (x *exchange) answerPlain() bool {
	if x.path.text != "/healthz" {
		return false
	}
	method := string(x.ctx.Method())
	if method != http.MethodGet && method != http.MethodHead {
		x.setHeaders(http.StatusMethodNotAllowed, "text/plain; charset=utf-8")
		x.ctx.Response.Header.Add("Allow", "GET, HEAD")
		x.ctx.Response.SetBodyString("method not allowed\n")
		return true
	}
	var err error
	switch {
	case x.srv.stopping():
		err = errStopping
	case x.srv.opt.Health != nil:
		err = x.srv.opt.Health()
	}
	if err != nil {
		x.setHeaders(http.StatusServiceUnavailable, "text/plain; charset=utf-8")
		x.ctx.Response.SetBodyString(err.Error() + "\n")
		return true
	}
	x.setHeaders(http.StatusOK, "text/plain; charset=utf-8")
	x.ctx.Response.SetBodyString("ok\n")
	return true
}

// hangUp closes the connection after the answer: where the next request would
// begin is not known, or the client is still sending.
func (x *exchange) hangUp() {
	x.ctx.SetConnectionClose()
	x.conn.linger.Store(true)
}

// hangUpIfBody is for answers given without reading the body.
func (x *exchange) hangUpIfBody() {
	if x.ctx.Request.Header.ContentLength() != 0 && x.ctx.RequestBodyStream() != nil {
		x.hangUp()
	}
}

// handleBroken answers what fasthttp could not read as a request. The
// connection is closed afterwards.
func (s *Server) handleBroken(ctx *fasthttp.RequestCtx, err error) {
	c := connOf(ctx.Conn())
	if c.unused() {
		// A client that dialled ahead of need takes an answer that it has not asked
		// for as a fault.
		_ = c.Close()
		return
	}
	s.requests.Add(1)
	x := s.exchanges.Get().(*exchange)
	x.ctx, x.conn = ctx, c
	x.req.RequestID = s.newRequestID()
	x.conn.linger.Store(true)
	var small *fasthttp.ErrSmallBuffer
	var timeout net.Error
	switch {
	case errors.As(err, &small):
		x.answerError(badRequest(fasthttp.StatusRequestHeaderFieldsTooLarge, "The request line and headers are larger than 16 KiB."))
	case errors.As(err, &timeout) && timeout.Timeout():
		x.answerError(badRequest(fasthttp.StatusRequestTimeout, "The request did not arrive in time."))
	case errors.Is(err, io.ErrUnexpectedEOF):
		x.answerError(errGoneMidway)
	default:
		x.answerError(badRequest(400, "The request is not valid HTTP."))
	}
	x.release()
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

// dateCache holds an empty answer's header with its Date, made once per second.
// fasthttp takes Date only from the system's clock, with a goroutine that never
// ends, and ignores it when set on an answer; but it copies what it has parsed.
type dateCache struct{ last atomic.Pointer[dated] }

type dated struct {
	second int64
	header fasthttp.ResponseHeader
}

// at returns the header for now; empty is an answer's header as the server
// made it, whose option to have no default Date can only be copied.
func (c *dateCache) at(now time.Time, empty *fasthttp.ResponseHeader) *fasthttp.ResponseHeader {
	second := now.Unix()
	d := c.last.Load()
	if d == nil || d.second != second {
		d = &dated{second: second}
		empty.CopyTo(&d.header)
		raw := fasthttp.AppendHTTPDate([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: "), now)
		err := d.header.Read(bufio.NewReader(bytes.NewReader(append(raw, "\r\n\r\n"...))))
		base.Check(err == nil, "cannot parse a header of ours: %v", err)
		d.header.SetStatusMessage(nil)
		d.header.DisableNormalizing()
		d.header.SetNoDefaultContentType(true)
		c.last.Store(d)
	}
	return &d.header
}
