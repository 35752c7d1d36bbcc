package front

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"weir.dev/weir/internal/sockets"
)

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
// connection. watched says that somebody did: its read deadline has passed.
func (c *conn) end() (watched bool) {
	c.mu.Lock()
	c.active, c.endless = false, false
	peek := c.peek
	c.peek = nil
	c.mu.Unlock()
	if peek != nil {
		_ = c.SetReadDeadline(time.Unix(1, 0))
		<-peek
	}
	return peek != nil
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

// Read implements net.Conn: what a peek took comes first. It must not be called
// while a door is at work in HTTP/1, as then a peek may read.
func (c *conn) Read(p []byte) (int, error) {
	if n, err := c.readPeeked(p); n > 0 || err != nil {
		return n, err
	}
	return c.arrived(c.Conn.Read(p))
}

// readLent is Read into memory that is borrowed while something is read.
func (c *conn) readLent(from sockets.Lender) (int, error) {
	if len(c.peeked) > 0 || c.peekErr != nil {
		n, err := c.readPeeked(from.Lend())
		if n == 0 {
			from.TakeBack()
		}
		return n, err
	}
	return c.arrived(sockets.ReadLent(c.Conn, from))
}

// readPeeked takes what a peek has left. Its fields are not guarded here: who
// reads is who ended the last peek, and begins what the next one is for.
func (c *conn) readPeeked(p []byte) (int, error) {
	if len(c.peeked) == 0 {
		return 0, c.peekErr
	}
	n := copy(p, c.peeked)
	if c.peeked = c.peeked[n:]; len(c.peeked) == 0 {
		c.peeked = nil
	}
	return c.arrived(n, nil)
}

// arrived notes that a request is on its way. What comes too late, when the
// connection is being closed for being idle, has not arrived.
func (c *conn) arrived(n int, err error) (int, error) {
	if n == 0 || c.busy { // only who reads sets busy
		return n, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		return 0, net.ErrClosed
	}
	c.busy = true
	return n, err
}

// rest says that the last request is answered, and none is on its way.
func (c *conn) rest() {
	c.mu.Lock()
	c.busy = false
	c.mu.Unlock()
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
