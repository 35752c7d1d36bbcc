package front

import (
	"errors"
	"net"
	"os"
	"time"
)

// watchInterval is how often running requests are looked at, and how long one
// must have run before its connection is watched: most never are. Doors can ask
// for it sooner.
const watchInterval = 500 * time.Millisecond

// watch ends the contexts of requests that take too long, and of those whose
// client is gone: a long poll must not take a message for nobody.
func (s *Server) watch() {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	var open []*conn
	for {
		select {
		case <-s.base.Done():
			return
		case now := <-ticker.C:
			open = s.openConns(open[:0])
			for _, c := range open {
				c.look(now)
			}
			clear(open)
		}
	}
}

// openConns appends all open connections.
func (s *Server) openConns(dst []*conn) []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		dst = append(dst, c)
	}
	return dst
}

func (c *conn) look(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.active {
		return
	}
	running := now.Sub(c.started)
	if running >= c.srv.limits.HandleTimeout && !c.endless {
		c.cancel(errTimeout)
	}
	if running >= watchInterval {
		c.startPeek()
	}
}

// watchNow watches the connection of a request that is about to wait.
func (c *conn) watchNow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active {
		c.startPeek()
	}
}

// gone reports whether the connection is known to have ended while a request is
// at work.
func (c *conn) gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.active && c.peekErr != nil
}

// startPeek is called with mu held.
func (c *conn) startPeek() {
	if c.peek == nil && len(c.peeked) == 0 && c.peekErr == nil {
		c.peek = make(chan struct{})
		// end sets a deadline in the past to stop the peek, and the server a new
		// one before it reads again; until then there must be none.
		_ = c.SetReadDeadline(time.Time{})
		done := c.peek
		c.srv.goroutines.Go(func() { c.peekOne(done) })
	}
}

// peekOne reads one byte ahead. A pipelining client sends one; the end of the
// connection cancels the request.
func (c *conn) peekOne(done chan struct{}) {
	defer close(done)
	var b [1]byte
	n, err := c.Conn.Read(b[:])
	c.mu.Lock()
	defer c.mu.Unlock()
	if n > 0 {
		c.peeked = append(c.peeked, b[0])
	}
	var timeout net.Error
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) || (errors.As(err, &timeout) && timeout.Timeout()) {
		return
	}
	c.peekErr = err
	if c.active {
		c.cancel(errGone)
	}
}
