package front

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"weir.dev/weir/internal/auth"
	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/terms"
)

// exchange is one request and its answer: everything that the front needs
// while a door works on it. Exchanges are pooled, so nothing in them outlives
// the request but the memory.
type exchange struct {
	srv *Server
	via carrier

	signed auth.Request
	head   head
	query  []byte
	req    awsapi.Request
	terms  *terms.Terms // nil when the request names none
	status int          // of the answer, once there is one
	routed bool         // there is a door for it

	begun, ended time.Time // of the work on it

	short    []byte // the body, where it was read
	body     *[]byte
	reserved int64 // of Server.bodyBytes

	// Strings that are mostly the same from request to request.
	service, operation, host, path memo

	metered lastMeter

	log  *slog.Logger // carries req.RequestID
	hash []byte       // scratch of invocation
	out  []byte       // the answer, in HTTP/1
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

// carrier is the version of HTTP that a request came by. Requests of HTTP/1
// and HTTP/2 differ in how they are read and answered, and in nothing else.
type carrier interface {
	// readHead fills x.head and what is signed but the body, and returns the
	// request target.
	readHead(x *exchange) (uri []byte, fault *awsapi.Error)
	// body returns where the body comes from, nil when there is none, and its
	// declared length, or -1.
	body() (io.Reader, int)
	// beginBody bounds the reading of the body's beginning, up to prefetched. It
	// may return a body that has no more, in memory that is good as long as the
	// request.
	beginBody() (short []byte, fault *awsapi.Error)
	// setReadDeadline bounds the further reading of the body.
	setReadDeadline(t time.Time)
	// begin returns the context of the request while a door works on it: it ends
	// when the client goes away, or with errTimeout. end must follow.
	begin() context.Context
	end()
	// watch and gone are what awsapi.Client says, between begin and end.
	watch()
	gone() bool
	// setHead begins the answer; addHeader adds to it.
	setHead(status int, contentType, requestID string)
	addHeader(name, value string)
	// send sends what was begun with a body. A body that is lent must not be
	// changed afterwards; others are copied, or gone, when send returns.
	send(body []byte, lent bool)
	// stream sends what was begun with a body in pieces, and closes the stream,
	// now or later. begin has been called; it calls end.
	stream(pieces awsapi.Stream)
	// hangUp ends the connection after the answer, where one connection is one
	// request after the other: the client is still sending, or where the next
	// request would begin is not known.
	hangUp()
	// hangUpIfBody is hangUp for answers that are given without reading the body.
	hangUpIfBody()
	// client is where the request comes from.
	client() net.Addr
}

// connOf finds our connection under what net/http serves.
func connOf(c interface{ Close() error }) *conn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.(*conn)
}

// handle is the way of one request: read its head, find its door, read its
// body, verify who sent it, call the door, answer. release must follow.
func (x *exchange) handle() {
	s := x.srv
	s.requests.Add(1)
	x.req.RequestID = s.newRequestID()
	if fault := x.perform(); fault != nil {
		x.answerError(fault)
	}
	x.ended = time.Now()
	took := x.ended.Sub(x.begun)
	if s.log.Enabled(context.Background(), slog.LevelDebug) {
		x.log.Debug("request", "operation", x.req.Operation, "service", x.req.Service, "status", x.status,
			"principal", x.req.Principal, "duration", took, "client", x.via.client().String())
	}
	if x.routed {
		s.meter.observe(&x.metered, operationName{x.req.Service, x.req.Operation}, x.status, took)
	}
}

func (x *exchange) release() {
	x.releaseBody()
	x.signed.Reset()
	x.req, x.head, x.query, x.terms = awsapi.Request{}, head{}, nil, nil
	x.via, x.routed = nil, false
	if cap(x.out) > maxKeptAnswer {
		x.out = nil
	}
	x.srv.exchanges.Put(x)
}

// perform answers the request, or says with what error to. Until the body has
// been read an error also ends the connection.
func (x *exchange) perform() *awsapi.Error {
	if fault := x.readHead(); fault != nil {
		x.via.hangUp()
		return fault
	}
	if x.path.text == healthPath {
		x.via.hangUpIfBody()
		x.answerHealth()
		return nil
	}
	if fault := x.guardLocal(); fault != nil {
		x.via.hangUpIfBody()
		return fault
	}
	door, fault := x.route()
	if fault != nil {
		x.via.hangUpIfBody()
		return fault
	}
	x.routed = true
	if fault := x.readBody(); fault != nil {
		x.via.hangUp()
		return fault
	}
	if fault := x.authenticate(); fault != nil {
		return fault
	}
	if fault := x.readTerms(); fault != nil {
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
	uri, fault := x.via.readHead(x)
	if fault != nil {
		return fault
	}
	path, query, ok := splitURI(uri)
	if !ok {
		return badRequest(400, "The request is not valid HTTP: the request target is malformed.")
	}
	if e := x.head.contentEncoding; len(e) > 0 && !bytes.EqualFold(e, []byte("identity")) {
		return frontError(http.StatusUnsupportedMediaType, "UnsupportedMediaTypeException",
			"Compressed or encoded request bodies are not supported; send the body without Content-Encoding.")
	}
	x.signed.Path, x.signed.Query = path, query
	x.signed.TLS = x.srv.opt.TLS != nil
	x.query = query
	x.host.set(x.head.host)
	x.path.set(path)
	r := &x.req
	r.Host, r.Path, r.Scheme = x.host.text, x.path.text, "http"
	if x.signed.TLS {
		r.Scheme = "https"
	}
	if len(x.head.wait) > 0 {
		r.Wait = string(x.head.wait)
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
	if x.req.Attempt = parseAttempt(x.head.attempt); len(x.head.invocation) == 0 {
		x.req.Attempt = 1 // a call without an id is its own
	}
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
	ctx := x.via.begin()
	if x.terms != nil {
		ctx = terms.With(ctx, x.terms)
	}
	streaming := false
	defer func() {
		p := recover()
		if !streaming {
			x.via.end()
			s.active.Add(-1)
		}
		if p != nil {
			s.panicked.Add(1)
			s.panics.report(x.log, x.req.Service, x.req.Operation, p)
			fault = awsapi.ErrInternalFailure
		}
	}()
	x.req.Client = x
	resp := door.Handle(ctx, &x.req)
	if resp.Stream == nil {
		x.answer(resp)
		return nil
	}
	streaming = true // who sends it does what is left to do
	x.answerStream(resp)
	return nil
}

// Watch implements awsapi.Client.
func (x *exchange) Watch() { x.via.watch() }

// Gone implements awsapi.Client.
func (x *exchange) Gone() bool { return x.via.gone() }

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
