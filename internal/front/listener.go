package front

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"weir.dev/weir/internal/sockets"
)

// Pauses after a failed accept: the process is out of file descriptors, and
// trying at once would only burn the processor.
const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

// lingerBytes and lingerTime bound what is read of a connection after its last
// answer. Closing with unread bytes makes TCP discard the answer on its way.
const (
	lingerBytes = 1 << 20
	lingerTime  = 500 * time.Millisecond
)

const overLimitBody = `{"__type":"com.amazon.coral.service#ThrottlingException","message":"The server has reached its limit of connections. Try again."}`

// overLimit answers a connection that is one too many.
var overLimit = fmt.Sprintf("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"+
	"Content-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%s", len(overLimitBody), overLimitBody)

// listener accepts connections within the server's limits.
type listener struct {
	net.Listener
	srv *Server

	once sync.Once // guards err
	err  error     // of closing
}

// Close implements net.Listener. It may be called again and then returns what
// it returned before.
func (l *listener) Close() error {
	l.once.Do(func() { l.err = l.Listener.Close() })
	return l.err
}

// accept waits for the next connection that is within the limits. It returns
// nil when the server is stopping, and an error only when somebody else has
// closed the listener.
func (l *listener) accept() (*conn, error) {
	pause := minAcceptPause
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			if l.srv.stopping() {
				return nil, nil
			}
			if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
				return nil, err
			}
			l.srv.log.Warn("cannot accept a connection; trying again", "error", err, "pause", pause)
			select {
			case <-l.srv.serving.Done():
				return nil, nil
			case <-time.After(pause):
			}
			pause = min(2*pause, maxAcceptPause)
			continue
		}
		pause = minAcceptPause
		if c := l.srv.admit(raw); c != nil {
			return c, nil
		}
	}
}

// addressOf is what connections are counted by: an IPv4 address or an IPv6
// network of the size that one customer has. It is invalid for other networks,
// whose connections are not limited by address.
func addressOf(c net.Conn) netip.Prefix {
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// admit takes a connection into the server, or refuses it and returns nil.
func (s *Server) admit(raw net.Conn) *conn {
	c := &conn{Conn: sockets.Quick(raw), srv: s, addr: addressOf(raw)}
	s.mu.Lock()
	ok := !s.stopped && len(s.conns) < s.limits.MaxConns &&
		(!c.addr.IsValid() || s.perAddr[c.addr] < s.limits.MaxConnsPerAddress)
	if ok {
		s.goroutines.Add(1) // serveConn's; before stopped is set, so before Shutdown waits
		s.conns[c] = struct{}{}
		if c.addr.IsValid() {
			s.perAddr[c.addr]++
		}
	}
	s.mu.Unlock()
	if ok {
		return c
	}
	s.refusedConns.Add(1)
	if _, isTCP := raw.(*net.TCPConn); isTCP && s.opt.TLS == nil {
		// It fits a socket's empty send buffer, so this does not wait.
		_ = raw.SetWriteDeadline(time.Now().Add(lingerTime))
		_, _ = raw.Write([]byte(overLimit))
	}
	_ = raw.Close()
	return nil
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if c.addr.IsValid() {
		if s.perAddr[c.addr]--; s.perAddr[c.addr] == 0 {
			delete(s.perAddr, c.addr)
		}
	}
}

// conn is a connection in the server's book. While a door works on its request,
// watch looks whether the client is still there.
type conn struct {
	net.Conn
	srv    *Server
	addr   netip.Prefix
	closed atomic.Bool
	linger atomic.Bool // the client may still be sending

	firstBy time.Time      // bounds the first read deadline, until there is one
	served  chan struct{}  // closed when HTTP/2 is done with the connection; set before it begins
	streams sync.WaitGroup // requests of HTTP/2; grows only under mu, while not ending

	mu      sync.Mutex              // guards the fields below
	ctx     context.Context         // of the requests of this connection, until one is cancelled
	cancel  context.CancelCauseFunc // of ctx
	busy    bool                    // from a request's first byte until its answer is sent
	ending  bool                    // closed for being idle: no request may begin
	active  bool                    // a door is at work, or its answer is being sent in pieces
	endless bool                    // it is the latter, which has a timeout of its own
	started time.Time               // when it began
	peek    chan struct{}           // closed when the peek that is under way has ended
	peeked  []byte                  // read ahead, by a peek at most one byte
	peekErr error                   // the end that a peek met
}

// begin returns the context of the next request.
func (c *conn) begin(now time.Time) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil || c.ctx.Err() != nil {
		c.ctx, c.cancel = context.WithCancelCause(c.srv.base)
	}
	c.active, c.started = true, now
	return c.ctx
}

// beginStream says that the door's answer will be sent in pieces.
func (c *conn) beginStream() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endless = true
}

// end says that the door has answered. When it returns nobody else reads the
// connection, but its read deadline may have passed.
func (c *conn) end() {
	c.mu.Lock()
	c.active, c.endless = false, false
	peek := c.peek
	c.peek = nil
	c.mu.Unlock()
	if peek != nil {
		_ = c.SetReadDeadline(time.Unix(1, 0))
		<-peek
	}
}

// speaksHTTP2 reads of a new connection what tells whether it speaks HTTP/2;
// that is read again. used is false when nothing came in time.
func (c *conn) speaksHTTP2() (two, used bool) {
	by := time.Now().Add(c.srv.limits.HeaderTimeout)
	_ = c.Conn.SetReadDeadline(by) // a failure shows in Read
	var b [len(preface)]byte
	n := 0
	for n < len(b) && string(b[:n]) == preface[:n] {
		more, err := c.Read(b[n:])
		n += more
		if err != nil {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peeked, c.firstBy = append(c.peeked, b[:n]...), by
	return string(b[:n]) == preface, n > 0
}

// SetReadDeadline implements net.Conn. What was read to know the protocol took
// its time from the first head.
func (c *conn) SetReadDeadline(t time.Time) error {
	if !c.firstBy.IsZero() {
		if !t.IsZero() && c.firstBy.Before(t) {
			t = c.firstBy
		}
		c.firstBy = time.Time{}
	}
	return c.Conn.SetReadDeadline(t)
}

// beginExchange begins a request of HTTP/2; false when the connection has ended.
func (c *conn) beginExchange() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		return false
	}
	c.streams.Add(1)
	return true
}

// endExchanges waits until all requests of HTTP/2 have ended, and lets none begin.
func (c *conn) endExchanges() {
	c.mu.Lock()
	c.ending = true
	c.mu.Unlock()
	_ = c.Close() // it may be closed already
	c.streams.Wait()
}

// Read implements net.Conn: what a peek took comes first.
func (c *conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	if len(c.peeked) > 0 && len(p) > 0 {
		n := copy(p, c.peeked)
		c.peeked, c.busy = c.peeked[n:], true
		c.mu.Unlock()
		return n, nil
	}
	err := c.peekErr
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.ending {
			return 0, net.ErrClosed
		}
		c.busy = true
	}
	return n, err
}

// connState is told by the HTTP server that an answer has been sent.
func connState(nc net.Conn, state fasthttp.ConnState) {
	if state == fasthttp.StateIdle {
		c := connOf(nc)
		c.mu.Lock()
		c.busy = false
		c.mu.Unlock()
	}
}

// unused reports whether no byte of a request has arrived since the last answer.
func (c *conn) unused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.busy
}

// closeIfIdle closes the connection unless a request is on its way. Nothing of
// a request that comes too late is processed.
func (c *conn) closeIfIdle() {
	c.mu.Lock()
	c.ending = c.ending || !c.busy
	ending := c.ending
	c.mu.Unlock()
	if ending {
		_ = c.Close()
	}
}

// Close implements net.Conn.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	c.mu.Lock()
	if c.cancel != nil {
		c.cancel(errGone)
	}
	c.mu.Unlock()
	if c.linger.Load() && !c.srv.stopping() {
		c.drain()
	}
	c.srv.forget(c)
	return c.Conn.Close()
}

// drain ends our side of the connection and reads on for a moment, so that a
// client that is still sending gets to see the answer.
func (c *conn) drain() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.Conn.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes)
}
