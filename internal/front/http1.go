package front

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"weir.dev/weir/internal/awsapi"
)

// http1 is a connection that speaks HTTP/1.1 or 1.0, and the carrier of its
// requests, one after the other. All of it runs on the connection's goroutine.
//
// http1_body.go reads bodies, http1_answer.go writes answers, input.go holds
// what was read ahead.
type http1 struct {
	srv  *Server
	conn *conn
	in   input

	// Of the request that is being worked on.
	x           *exchange
	began       time.Time // when its first byte was there
	ended       time.Time // when it was answered
	headBy      time.Time // when its head, and the beginning of its body, must be there
	old         bool      // it is of HTTP/1.0
	mayContinue bool      // its client waits to be told that it may send the body
	headOnly    bool      // the answer has no body, whatever its head says
	last        bool      // the connection ends after it
	request     body
	reply       reply
}

// serveHTTP1 serves a connection that speaks HTTP/1 to its end; nc is ours, or
// TLS on it.
func (s *Server) serveHTTP1(c *conn, nc net.Conn) error {
	h := &http1{srv: s, conn: c, in: input{conn: c, nc: nc}}
	by := c.firstBy // of a new connection: for the first head, too
	if c.firstBy = (time.Time{}); by.IsZero() {
		by = time.Now().Add(s.limits.HeaderTimeout)
	}
	h.headBy = by
	for {
		if err := h.awaitRequest(by); err != nil {
			return silence(err)
		}
		h.began = time.Now()
		if h.headBy.IsZero() {
			h.headBy = h.began.Add(s.limits.HeaderTimeout)
		}
		if err := h.serve(); err != nil || h.last {
			return err
		}
		by, h.headBy = h.ended.Add(s.limits.IdleTimeout), time.Time{}
	}
}

// silence is what is left of an error while no request is on its way: nothing,
// when the client has ended the connection, or was quiet for long. It is not
// told: a client that dialled ahead of need takes an answer that it has not
// asked for as a fault.
func silence(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || isTimeout(err) {
		return nil
	}
	return err
}

// awaitRequest waits for the first byte of the next request.
func (h *http1) awaitRequest(by time.Time) error {
	if len(h.in.waiting()) > 0 {
		return nil
	}
	if len(h.conn.peeked) == 0 {
		h.conn.rest()
	}
	return h.in.await(by)
}

// serve answers one request, of which something has arrived. An error is that
// the answer could not be sent, or not to its end.
func (h *http1) serve() error {
	x := h.srv.exchanges.Get().(*exchange)
	x.via, x.begun, h.x = h, h.began, x
	x.handle()
	if !h.request.whole {
		h.last = true // what comes next is not known to be a request
	}
	x.releaseBody() // the client may take its time
	err := h.sendAnswer()
	stream := h.reply.stream
	h.ended = x.ended
	h.forget()
	if stream != nil {
		err = h.sendPieces(stream, err)
		h.ended = time.Now()
	}
	return err
}

// forget gives back what the request was worked on with.
func (h *http1) forget() {
	x := h.x
	h.x, h.request, h.reply = nil, body{}, reply{}
	h.old, h.mayContinue, h.headOnly = false, false, false
	x.release()
	h.in.finish()
}

func (h *http1) readHead(x *exchange) ([]byte, *awsapi.Error) {
	p := headParser{head: &x.head, lines: x.signed.Headers[:0]}
	p.reset()
	for {
		done, bad := p.parse(h.in.waiting())
		x.signed.Headers = p.lines
		if bad != nil {
			return nil, bad.answer()
		}
		if done {
			break
		}
		if h.in.w == inputBytes {
			if !h.in.makeRoom(len(h.in.waiting()) + 1) {
				return nil, badRequest(http.StatusRequestHeaderFieldsTooLarge, "The request line and headers are larger than 16 KiB.")
			}
			p.reset()
		}
		if err := h.in.await(h.headBy); err != nil {
			return nil, headFault(err)
		}
	}
	h.in.take(p.at)
	h.in.keep()
	return p.target, h.note(&p)
}

// answer is what the client is told.
func (b *badHead) answer() *awsapi.Error {
	if b.status == http.StatusHTTPVersionNotSupported {
		return badRequest(b.status, "The HTTP version is not supported.")
	}
	return badRequest(b.status, "The request is not valid HTTP: "+b.fault+".")
}

func headFault(err error) *awsapi.Error {
	if isTimeout(err) {
		return badRequest(http.StatusRequestTimeout, "The request did not arrive in time.")
	}
	return errGoneMidway
}

// note takes over what the head says of the request's form.
func (h *http1) note(p *headParser) *awsapi.Error {
	x, head := h.x, p.head
	x.signed.Method = p.method
	h.old = p.old
	h.headOnly = string(p.method) == http.MethodHead
	h.last = head.close || p.old && !head.keepAlive
	h.mayContinue = !p.old && bytes.EqualFold(head.expect, []byte("100-continue"))
	switch {
	case head.transferEncoding != nil && p.old: // its length is anybody's guess
		return malformed("Transfer-Encoding is not of HTTP/1.0").answer()
	case head.transferEncoding != nil:
		h.request = body{length: -1}
	case h.srv.tooLarge(head.contentLength):
		return awsapi.ErrTooLarge
	case head.contentLength != nil:
		n, err := strconv.Atoi(string(head.contentLength))
		if err != nil {
			return awsapi.ErrTooLarge
		}
		h.request = body{length: n, left: n, whole: n == 0}
	default:
		h.request = body{whole: true}
	}
	return nil
}

// tooLarge reports whether a body is declared to be larger than may be.
func (s *Server) tooLarge(contentLength []byte) bool {
	if len(contentLength) < len("1000") { // none, or none that matters
		return false
	}
	n, err := strconv.ParseUint(string(contentLength), 10, 64)
	return err != nil || n > uint64(s.limits.MaxBodyBytes)
}

func (h *http1) setReadDeadline(t time.Time) { h.in.arm(t) }

func (h *http1) begin() context.Context { return h.conn.begin(h.began) }

func (h *http1) end() {
	if h.conn.end() {
		h.in.disarmed()
	}
}

func (h *http1) watch()     { h.conn.watchNow() }
func (h *http1) gone() bool { return h.conn.gone() }

func (h *http1) client() net.Addr { return h.conn.RemoteAddr() }

func (h *http1) hangUp() {
	h.last = true
	h.conn.linger.Store(true)
}

func (h *http1) hangUpIfBody() {
	if !h.request.whole {
		h.hangUp()
	}
}

// serveTLS serves a connection on which TLS is spoken, in what the client asks for.
func (s *Server) serveTLS(c *conn) error {
	secure := tls.Server(c, s.opt.TLS)
	_ = c.SetReadDeadline(time.Now().Add(s.limits.HeaderTimeout)) // failures show in the handshake
	_ = c.SetWriteDeadline(time.Now().Add(s.limits.WriteTimeout))
	if err := secure.HandshakeContext(s.base); err != nil {
		return fmt.Errorf("cannot agree on TLS: %w", err)
	}
	_ = c.SetDeadline(time.Time{})
	if secure.ConnectionState().NegotiatedProtocol == "h2" {
		return s.serveHTTP2(secure)
	}
	defer secure.Close()
	return s.serveHTTP1(c, secure)
}
