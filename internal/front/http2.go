package front

import (
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"weir.dev/weir/internal/awsapi"
)

// HTTP/2 is spoken in clear text by clients that begin with its preface (prior
// knowledge), and over TLS by those that ask for h2. Frames, flow control and
// hostile peers are net/http's to deal with; a stream becomes an exchange.

const (
	// maxStreams bounds the requests that are under way on one connection.
	maxStreams = 250
	// connWindow and streamWindow bound what a connection, and one request of it,
	// may have sent that was not read yet.
	connWindow   = 1 << 20
	streamWindow = 256 << 10
)

// preface is how a client begins a connection of HTTP/2 (RFC 9113, 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// connKey is the context key of a stream's connection.
type connKey struct{}

// newHTTP2 returns the server of all HTTP/2 connections, which come by handOver.
func (s *Server) newHTTP2() *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:   http.HandlerFunc(s.handle2),
		Protocols: &protocols,
		TLSConfig: s.opt.TLS,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: connWindow, MaxReceiveBufferPerStream: streamWindow,
			WriteByteTimeout: s.limits.WriteTimeout,
		},
		MaxHeaderBytes:    MaxHeadBytes,
		ReadHeaderTimeout: s.limits.HeaderTimeout,
		IdleTimeout:       s.limits.IdleTimeout,
		ErrorLog:          log.New(httpLog{s.log}, "", 0),
		BaseContext:       func(net.Listener) context.Context { return s.base },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, connOf(c))
		},
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				close(connOf(c).served)
			}
		},
	}
}

// serveHTTP2 serves a connection that speaks HTTP/2 to its end. It is ours, or
// TLS on one of ours.
func (s *Server) serveHTTP2(nc net.Conn) error {
	c := connOf(nc)
	c.served = make(chan struct{})
	s.http2Once.Do(func() {
		s.goroutines.Go(func() { _ = s.http2.Serve(s.handOver) }) // it ends with http.ErrServerClosed
	})
	if !s.handOver.give(nc) {
		return errStopping
	}
	<-c.served
	c.endExchanges()
	return nil
}

// handOver is a listener for connections that were accepted elsewhere.
type handOver struct {
	conns chan net.Conn
	done  <-chan struct{} // closed when the server stops
}

func (h *handOver) give(c net.Conn) bool {
	select {
	case <-h.done: // also when there is who would take it
		return false
	default:
	}
	select {
	case h.conns <- c:
		return true
	case <-h.done:
		return false
	}
}

// Accept implements net.Listener.
func (h *handOver) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handOver) Close() error { return nil }

// Addr implements net.Listener.
func (h *handOver) Addr() net.Addr { return &net.UnixAddr{Name: "http2", Net: "memory"} }

// http2Stream is the carrier of a request of HTTP/2.
type http2Stream struct {
	srv     *Server
	conn    *conn
	w       http.ResponseWriter
	r       *http.Request
	began   time.Time
	cancel  context.CancelFunc
	status  int
	aborted bool // the answer broke off
}

// handle2 answers one request of HTTP/2, on a goroutine of its own.
func (s *Server) handle2(w http.ResponseWriter, r *http.Request) {
	c := r.Context().Value(connKey{}).(*conn)
	if !c.beginExchange() {
		panic(http.ErrAbortHandler) // the connection is closed
	}
	defer c.streams.Done()
	stream := &http2Stream{srv: s, conn: c, w: w, r: r, began: time.Now()}
	x := s.exchanges.Get().(*exchange)
	x.via, x.begun = stream, stream.began
	if s.admitStream(c) {
		defer s.forgetStream(c)
		x.handle()
	} else {
		s.refusedConns.Add(1)
		x.req.RequestID = s.newRequestID()
		x.answerError(awsapi.ErrOverloaded)
	}
	x.release()
	if stream.aborted {
		panic(http.ErrAbortHandler) // resets the stream, so that it is not taken for ended
	}
}

// admitStream counts a request of HTTP/2. Each may hold as much as a connection
// of HTTP/1, so there may be as many of them, together and from one address.
func (s *Server) admitStream(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams >= s.limits.MaxConns || c.addr.IsValid() && s.streamsPerAddr[c.addr] >= s.limits.MaxConnsPerAddress {
		return false
	}
	s.streams++
	if c.addr.IsValid() {
		s.streamsPerAddr[c.addr]++
	}
	return true
}

func (s *Server) forgetStream(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams--
	if c.addr.IsValid() {
		if s.streamsPerAddr[c.addr]--; s.streamsPerAddr[c.addr] == 0 {
			delete(s.streamsPerAddr, c.addr)
		}
	}
}

// readHead makes the header lines of HTTP/1 of those of HTTP/2: what is signed
// is the same.
func (c *http2Stream) readHead(x *exchange) ([]byte, *awsapi.Error) {
	x.signed.Method = []byte(c.r.Method)
	x.head = head{}
	lines, fault := x.head.add(x.signed.Headers[:0], []byte("host"), []byte(c.r.Host))
	for _, name := range slices.Sorted(maps.Keys(c.r.Header)) {
		values := c.r.Header[name]
		if name == "Host" && len(values) == 1 && values[0] == c.r.Host {
			continue // said twice, as by clients that translate
		}
		for _, value := range values {
			if fault == "" {
				lines, fault = x.head.add(lines, []byte(name), []byte(value))
			}
		}
	}
	x.signed.Headers = lines
	if fault == "" {
		fault = x.head.check()
	}
	if fault != "" {
		return nil, badRequest(400, "The request is not valid HTTP: "+fault+".")
	}
	if c.srv.tooLarge(x.head.contentLength) {
		return nil, awsapi.ErrTooLarge
	}
	return []byte(c.r.RequestURI), nil
}

func (c *http2Stream) body() (io.Reader, int) { return c.r.Body, int(c.r.ContentLength) }

func (c *http2Stream) beginBody() ([]byte, *awsapi.Error) {
	c.setReadDeadline(c.began.Add(c.srv.limits.HeaderTimeout))
	return nil, nil
}

func (c *http2Stream) setReadDeadline(t time.Time) {
	_ = http.NewResponseController(c.w).SetReadDeadline(t) // a failure shows in Read
}

func (c *http2Stream) setWriteDeadline() {
	_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(c.srv.limits.WriteTimeout))
}

func (c *http2Stream) begin() (ctx context.Context) {
	ctx, c.cancel = context.WithTimeoutCause(c.r.Context(), c.srv.limits.HandleTimeout, errTimeout)
	return ctx
}

func (c *http2Stream) end() { c.cancel() }

// watch has nothing to do: connections of HTTP/2 are always being read.
func (c *http2Stream) watch() {}

func (c *http2Stream) gone() bool {
	return c.r.Context().Err() != nil && !c.srv.stopping()
}

func (c *http2Stream) client() net.Addr { return c.conn.RemoteAddr() }

func (c *http2Stream) setHead(status int, contentType, requestID string) {
	h := c.w.Header()
	clear(h) // of an answer that was begun before a panic
	c.status = status
	h.Set("Date", c.srv.opt.Clock.Now().UTC().Format(http.TimeFormat))
	h.Set("Content-Type", contentType)
	h.Set("x-amzn-RequestId", requestID)
}

func (c *http2Stream) addHeader(name, value string) { c.w.Header().Add(name, value) }

func (c *http2Stream) send(body []byte, _ bool) {
	c.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	c.setWriteDeadline()
	c.w.WriteHeader(c.status)
	_, _ = c.w.Write(body) // when the client is gone there is nobody to tell
}

// stream sends the pieces on the request's own goroutine.
func (c *http2Stream) stream(pieces awsapi.Stream) {
	c.end()
	t := c.srv.newStreaming(c.r.Context(), pieces)
	defer t.close()
	out := http.NewResponseController(c.w)
	c.w.WriteHeader(c.status)
	for err := out.Flush(); err == nil; {
		var piece []byte
		if piece, err = t.next(); errors.Is(err, io.EOF) {
			return
		}
		if err == nil {
			c.setWriteDeadline()
			_, err = c.w.Write(piece)
		}
		if err == nil {
			err = out.Flush()
		}
	}
	c.aborted = true
}

// hangUp has nothing to do: what is still sent of a request hinders no other.
func (c *http2Stream) hangUp() {}

func (c *http2Stream) hangUpIfBody() {}
