package front

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/base"
)

// http1 is the carrier of a request of HTTP/1.1 or 1.0. fasthttp reads its head
// and sends its answer, both on the connection's goroutine.
type http1 struct {
	srv  *Server
	ctx  *fasthttp.RequestCtx
	conn *conn
}

// handle1 answers one request of HTTP/1.
func (s *Server) handle1(ctx *fasthttp.RequestCtx) {
	x := s.exchanges.Get().(*exchange)
	x.one = http1{srv: s, ctx: ctx, conn: connOf(ctx.Conn())}
	x.via = &x.one
	x.handle()
	if s.stopping() {
		ctx.SetConnectionClose()
	}
}

func (c *http1) readHead(x *exchange) ([]byte, *awsapi.Error) {
	header := &c.ctx.Request.Header
	if p := header.Protocol(); !bytes.Equal(p, []byte("HTTP/1.1")) && !bytes.Equal(p, []byte("HTTP/1.0")) {
		return nil, badRequest(fasthttp.StatusHTTPVersionNotSupported, "The HTTP version is not supported.")
	}
	var fault string
	if x.signed.Headers, fault = parseHead(&x.head, x.signed.Headers[:0], header.RawHeaders()); fault != "" {
		return nil, badRequest(400, "The request is not valid HTTP: "+fault+".")
	}
	if header.ContentLength() == 0 && c.srv.tooLarge(x.head.contentLength) {
		return nil, awsapi.ErrTooLarge
	}
	x.signed.Method = header.Method()
	return header.RequestURI(), nil
}

// headReceived is told the head of a request before any of its body is read. A
// body that is declared larger than may be is not waited for, whether or not
// the client waits to be told to go on: readHead refuses it at once.
func (s *Server) headReceived(h *fasthttp.RequestHeader) (unchanged fasthttp.RequestConfig) {
	if h.ContentLength() > s.limits.MaxBodyBytes {
		h.SetContentLength(0)
		h.Del(fasthttp.HeaderExpect)
	}
	return unchanged
}

// tooLarge reports whether a body is declared to be larger than may be.
func (s *Server) tooLarge(contentLength []byte) bool {
	if len(contentLength) < len("1000") { // none, or none that matters
		return false
	}
	n, err := strconv.ParseUint(string(contentLength), 10, 64)
	return err != nil || n > uint64(s.limits.MaxBodyBytes)
}

func (c *http1) body() (io.Reader, int) {
	return c.ctx.RequestBodyStream(), c.ctx.Request.Header.ContentLength()
}

func (c *http1) setReadDeadline(t time.Time) { _ = c.conn.SetReadDeadline(t) } // a failure shows in Read

func (c *http1) begin() context.Context { return c.conn.begin(c.ctx.Time()) }
func (c *http1) end()                   { c.conn.end() }

func (c *http1) watch()     { c.conn.watchNow() }
func (c *http1) gone() bool { return c.conn.gone() }

func (c *http1) client() (net.Addr, time.Time) { return c.ctx.RemoteAddr(), c.ctx.Time() }

func (c *http1) setHead(status int, contentType, requestID string) {
	h := &c.ctx.Response.Header
	hangUp := h.ConnectionClose()
	c.srv.dates.at(c.srv.opt.Clock.Now(), h).CopyTo(h)
	if hangUp {
		h.SetConnectionClose()
	}
	h.SetStatusCode(status)
	h.SetContentType(contentType)
	h.Add("x-amzn-RequestId", requestID)
}

func (c *http1) addHeader(name, value string) { c.ctx.Response.Header.Add(name, value) }

func (c *http1) send(body []byte, lent bool) {
	if lent {
		c.ctx.Response.SetBodyRaw(body)
		return
	}
	c.ctx.Response.SetBody(body)
}

// stream gives the answer to fasthttp, which reads its body piece by piece
// after the request has been handled.
func (c *http1) stream(pieces awsapi.Stream) {
	c.conn.beginStream()
	c.ctx.Response.ImmediateHeaderFlush = true
	c.ctx.Response.SetBodyStream(newStreamReader(c.srv, c.conn, pieces), -1)
}

func (c *http1) hangUp() {
	c.ctx.SetConnectionClose()
	c.conn.linger.Store(true)
}

func (c *http1) hangUpIfBody() {
	if c.ctx.Request.Header.ContentLength() != 0 && c.ctx.RequestBodyStream() != nil {
		c.hangUp()
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
	x.one = http1{srv: s, ctx: ctx, conn: c}
	x.via = &x.one
	x.req.RequestID = s.newRequestID()
	c.linger.Store(true)
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
