package front

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"time"

	"github.com/valyala/fasthttp"

	"weir.dev/weir/internal/auth"
	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
)

// exchange is one request and its answer: everything that the front needs
// while a door works on it. Exchanges are pooled, so nothing in them outlives
// the request but the memory.
type exchange struct {
	srv  *Server
	ctx  *fasthttp.RequestCtx
	conn *conn

	signed auth.Request
	head   head
	query  []byte
	req    awsapi.Request

	body     *[]byte
	reserved int64 // of Server.bodyBytes

	// Strings that are mostly the same from request to request.
	service, operation, host, path memo

	log  *slog.Logger // carries req.RequestID
	hash []byte       // scratch of invocation
}

// memo is a string that is made anew only when it changes. Doors may keep the
// string: it is never overwritten.
type memo struct{ text string }

func (m *memo) set(b []byte) {
	if m.text != string(b) {
		m.text = string(b)
	}
}

func newExchange(s *Server) *exchange {
	x := &exchange{srv: s}
	x.log = slog.New(&requestHandler{Handler: s.log.Handler(), x: x})
	return x
}

// connOf finds our connection under what fasthttp serves.
func connOf(c interface{ Close() error }) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.(*conn)
}

// handle is the way of one request: read its head, find its door, read its
// body, verify who sent it, call the door, answer.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	s.requests.Add(1)
	x := s.exchanges.Get().(*exchange)
	x.ctx, x.conn = ctx, connOf(ctx.Conn())
	x.req.RequestID = s.newRequestID()
	if fault := x.perform(); fault != nil {
		x.answerError(fault)
	}
	if s.stopping() {
		ctx.SetConnectionClose()
	}
	if s.log.Enabled(context.Background(), slog.LevelDebug) {
		x.log.Debug("request", "operation", x.req.Operation, "service", x.req.Service, "status", ctx.Response.StatusCode(),
			"principal", x.req.Principal, "duration", time.Since(ctx.Time()), "client", ctx.RemoteAddr().String())
	}
	x.release()
}

func (x *exchange) release() {
	x.releaseBody()
	x.signed.Reset()
	x.req, x.head, x.query = awsapi.Request{}, head{}, nil
	x.ctx, x.conn = nil, nil
	x.srv.exchanges.Put(x)
}

// perform answers the request, or says with what error to. Until the body has
// been read an error also ends the connection.
func (x *exchange) perform() *awsapi.Error {
	if fault := x.readHead(); fault != nil {
		x.hangUp()
		return fault
	}
	if x.answerPlain() {
		x.hangUpIfBody()
		return nil
	}
	if fault := x.guardLocal(); fault != nil {
		x.hangUpIfBody()
		return fault
	}
	door, fault := x.route()
	if fault != nil {
		x.hangUpIfBody()
		return fault
	}
	if fault := x.readBody(); fault != nil {
		x.hangUp()
		return fault
	}
	if fault := x.authenticate(); fault != nil {
		return fault
	}
	if x.req.Protocol == awsapi.Query {
		if fault := x.readForm(); fault != nil {
			return fault
		}
	} else {
		x.req.Body = x.bodyBytes()
	}
	return x.call(door)
}

// frontError is an error that the front answers with before any door.
func frontError(status int, code, message string) *awsapi.Error {
	return &awsapi.Error{Code: code, Namespace: "com.amazon.coral.service", HTTPStatus: status, Sender: true, Message: message}
}

// badRequest is the answer to what is not well-formed HTTP.
func badRequest(status int, message string) *awsapi.Error {
	return frontError(status, "BadRequestException", message)
}

func (x *exchange) readHead() *awsapi.Error {
	header := &x.ctx.Request.Header
	if p := header.Protocol(); !bytes.Equal(p, []byte("HTTP/1.1")) && !bytes.Equal(p, []byte("HTTP/1.0")) {
		return badRequest(fasthttp.StatusHTTPVersionNotSupported, "The HTTP version is not supported.")
	}
	var fault string
	if x.signed.Headers, fault = parseHead(&x.head, x.signed.Headers[:0], header.RawHeaders()); fault != "" {
		return badRequest(400, "The request is not valid HTTP: "+fault+".")
	}
	path, query, ok := splitURI(header.RequestURI())
	if !ok {
		return badRequest(400, "The request is not valid HTTP: the request target is malformed.")
	}
	if e := x.head.contentEncoding; len(e) > 0 && !bytes.EqualFold(e, []byte("identity")) {
		return frontError(fasthttp.StatusUnsupportedMediaType, "UnsupportedMediaTypeException",
			"Compressed or encoded request bodies are not supported; send the body without Content-Encoding.")
	}
	x.signed.Method, x.signed.Path, x.signed.Query = x.ctx.Method(), path, query
	x.signed.TLS = x.srv.opt.TLS != nil
	x.query = query
	x.host.set(x.head.host)
	x.path.set(path)
	r := &x.req
	r.Host, r.Path, r.Scheme = x.host.text, x.path.text, "http"
	if x.signed.TLS {
		r.Scheme = "https"
	}
	r.Region, r.Account, r.Log = x.srv.opt.Region, x.srv.opt.Account, x.log
	return nil
}

// guardLocal keeps web pages out of a server that takes anyone from this machine.
func (x *exchange) guardLocal() *awsapi.Error {
	if !x.srv.opt.LocalOnly {
		return nil
	}
	if x.head.fromPage() {
		return awsapi.AccessDenied("Requests of web pages are refused while no access keys are configured.")
	}
	if !isLocalHost(x.head.host) {
		return awsapi.AccessDenied("The host name " + x.host.text + " is not a local one, and no access keys are configured: " +
			"use localhost or an address, configure keys, or start with --insecure.")
	}
	return nil
}

func (x *exchange) authenticate() *awsapi.Error {
	x.signed.Body = x.bodyBytes()
	id, err := x.srv.opt.Verifier.Verify(&x.signed, signingNames[x.req.Service])
	if err != nil {
		x.srv.refusedAuth.Add(1)
		return authFault(err, x.req.Service)
	}
	x.req.Principal = id.Principal
	if id.Region != "" {
		x.req.Region = id.Region
	}
	x.req.Attempt = parseAttempt(x.head.attempt)
	x.req.Invocation = x.invocation(id.AccessKey)
	return nil
}

// invocation names the call that this request is a try of: a hash of the id
// that the SDK sends with every try, and of everything that makes the call what
// it is. So an id that comes with another caller, operation or body is another
// call, whatever a careless client reuses. A call without an id is its own.
func (x *exchange) invocation(accessKey string) (id model.RequestID) {
	if len(x.head.invocation) == 0 {
		binary.LittleEndian.PutUint64(id[:8], x.srv.opt.Rand.Uint64())
		binary.LittleEndian.PutUint64(id[8:], x.srv.opt.Rand.Uint64())
		return id
	}
	h := x.hash[:0]
	for _, part := range [][]byte{x.head.invocation, x.head.target, x.signed.Path, x.query} {
		h = append(binary.AppendUvarint(h, uint64(len(part))), part...)
	}
	h = append(h, accessKey...)
	h = append(h, x.signed.BodyHash()[:]...)
	x.hash = h
	sum := sha256.Sum256(h)
	copy(id[:], sum[:])
	return id
}

// call lets the door answer.
func (x *exchange) call(door awsapi.Door) (fault *awsapi.Error) {
	s := x.srv
	s.active.Add(1)
	ctx := x.conn.begin(x.ctx.Time())
	defer func() {
		x.conn.end()
		s.active.Add(-1)
		if p := recover(); p != nil {
			s.panicked.Add(1)
			s.panics.report(x.log, x.req.Service, x.req.Operation, p)
			fault = awsapi.ErrInternalFailure
		}
	}()
	x.answer(door.Handle(ctx, &x.req))
	return nil
}

// newRequestID is a random UUID (RFC 9562, version 4).
func (s *Server) newRequestID() string {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], s.opt.Rand.Uint64())
	binary.LittleEndian.PutUint64(b[8:], s.opt.Rand.Uint64())
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var text [36]byte
	hex.Encode(text[0:8], b[0:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:], b[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
