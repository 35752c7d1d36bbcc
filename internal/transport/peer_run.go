package transport

import (
	"errors"
	"time"
)

// run connects and writes until the connection is lost, then again while
// something waits to be sent.
func (p *peer) run() {
	defer p.t.goroutines.Done()
	for {
		c, err := p.connect()
		if err != nil {
			p.unreachable(err)
			return
		}
		if p.up(c) {
			p.t.goroutines.Add(1)
			go func() {
				defer p.t.goroutines.Done()
				c.readLoop()
			}()
			c.writeLoop()
		}
		p.t.forget(c)
		if !p.lost(c) {
			return
		}
	}
}

// connect dials the peer at its present address.
func (p *peer) connect() (*conn, error) {
	ctx, cancel := p.t.dialContext()
	defer cancel()
	return p.t.connect(ctx, p.node, purposePeer, &p.q)
}

// up makes c the peer's connection; false when the transport was closed.
func (p *peer) up(c *conn) bool {
	if !p.t.remember(c) {
		c.fail(errClosed)
		return false
	}
	p.q.mu.Lock()
	defer p.q.mu.Unlock()
	if p.state == peerClosed {
		return false
	}
	if p.lastErr != "" || p.upSince.IsZero() {
		p.t.opts.Logger.Info("peer connected", "peer", p.node)
	}
	p.state, p.dialled, p.lastErr = peerUp, c, ""
	p.newest = max(p.newest, c.incarnation)
	p.upSince = p.t.opts.Clock.Now()
	return true
}

// lost cleans up after a connection; it reports whether to dial again now.
func (p *peer) lost(c *conn) bool {
	c.fail(errClosed)
	p.q.mu.Lock()
	ended := p.calls.lose(&p.q, c.cause)
	p.q.rewind()
	p.dialled = nil
	accepted := p.accepted
	again := p.state != peerClosed && (len(p.q.buf) > 0 || len(p.q.large) > 0)
	lived := p.t.opts.Clock.Now().Sub(p.upSince)
	first := p.lastErr == "" && p.state != peerClosed
	p.lastErr = c.cause.Error()
	switch {
	case p.state == peerClosed:
	case lived < stableAfter:
		ended = append(ended, p.back(c.cause)...)
		again = false
	case again:
		p.failures = 0
		p.state = peerDialing
	default:
		p.failures = 0
		p.state = peerIdle
	}
	p.q.mu.Unlock()

	if first {
		p.t.opts.Logger.Warn("peer connection lost", "peer", p.node, "cause", c.cause)
	}
	if accepted != nil && accepted.routed.Load() {
		accepted.fail(errLost) // answers to it were lost here: its caller must learn of it
	}
	for _, e := range ended {
		e.finish()
	}
	return again
}

// unreachable gives up what waits, and tries again later if it is wanted then.
func (p *peer) unreachable(cause error) {
	p.q.mu.Lock()
	first := p.failures == 0 && p.state != peerClosed
	var ended []endedCall
	if p.state != peerClosed {
		p.lastErr = cause.Error()
		ended = p.back(cause)
	}
	p.q.mu.Unlock()
	p.t.stats.dialsFailed.Add(1)
	if first {
		p.t.opts.Logger.Warn("peer cannot be reached", "peer", p.node, "cause", cause)
	}
	for _, e := range ended {
		e.finish()
	}
	p.t.refused(cause)
}

// refused tells the owner when another node has refused this one for good.
func (t *TCP) refused(cause error) {
	var r *RefusedError
	if errors.As(cause, &r) && r.Final() && t.opts.Refused != nil {
		t.opts.Refused(r)
	}
}

// back drops what waits and begins a pause. Called with the queue's mutex held.
func (p *peer) back(cause error) []endedCall {
	ended := p.calls.refuse(cause)
	p.q.clear()
	p.state = peerBackoff
	pause := min(backoffMin<<min(p.failures, 10), backoffMax)
	p.failures++
	pause = pause/2 + time.Duration(p.t.opts.Rand.IntN(int(pause/2)))
	p.timer = p.t.opts.Clock.AfterFunc(pause, p.backoffOver)
	return ended
}

// backoffOver ends the pause.
func (p *peer) backoffOver() {
	p.q.mu.Lock()
	defer p.q.mu.Unlock()
	if p.state == peerBackoff {
		p.resume()
	}
}

// resume ends a pause. Called with the queue's mutex held.
func (p *peer) resume() {
	if p.wanted {
		p.dial()
		return
	}
	p.state = peerIdle
}

// arrived makes c the connection that the other node dialled. A node dials
// again when it has lost the last one, so an older one is ended; what leads to
// an earlier start of that node is ended too.
func (p *peer) arrived(c *conn) *RefusedError {
	p.q.mu.Lock()
	if c.incarnation < p.newest {
		p.q.mu.Unlock()
		return refuse(refuseIncarnation, "a later start of node %v is known: %d, not %d", p.node, p.newest, c.incarnation)
	}
	p.newest = c.incarnation
	old, dialled := p.accepted, p.dialled
	p.accepted = c
	if p.state == peerBackoff { // it is back: there is nothing to wait for
		p.timer.Stop()
		p.failures = 0
		p.resume()
	}
	p.q.mu.Unlock()
	if old != nil {
		old.fail(errors.New("the peer has connected anew"))
	}
	if dialled != nil && dialled.incarnation < c.incarnation {
		dialled.fail(errors.New("the peer has started anew"))
	}
	return nil
}

// left is told when an accepted connection ended.
func (p *peer) left(c *conn) {
	p.q.mu.Lock()
	defer p.q.mu.Unlock()
	if p.accepted == c {
		p.accepted = nil
	}
}

// close refuses everything from now on.
func (p *peer) close() {
	p.q.mu.Lock()
	var ended []endedCall
	if p.state != peerClosed {
		ended = p.calls.lose(&p.q, errClosed)
		ended = append(ended, p.calls.refuse(errClosed)...)
		p.state, p.lastErr = peerClosed, errClosed.Error()
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	p.q.mu.Unlock()
	for _, e := range ended {
		e.finish()
	}
}
