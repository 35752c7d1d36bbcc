package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"time"

	"weir.dev/weir/internal/sockets"
)

const (
	// handshakeTimeout is what a peer has for TLS and hello together.
	handshakeTimeout = 5 * time.Second
	// acceptedQueueBytes bounds what waits on an accepted connection, which
	// carries answers only until this node has dialled the other way.
	acceptedQueueBytes = DefaultQueueBytes
	// acceptPause is how long accepting rests when the system has no file
	// descriptors or memory left.
	acceptPause = 50 * time.Millisecond
)

// acceptLoop takes connections until the listener is closed.
func (t *TCP) acceptLoop() {
	defer t.goroutines.Done()
	for {
		raw, err := t.opts.Listener.Accept()
		if err != nil {
			if t.ctx.Err() != nil {
				return
			}
			t.stats.acceptsFailed.Add(1)
			if !t.rest(acceptPause) {
				return
			}
			continue
		}
		if !t.admit(raw) {
			_ = raw.Close()
			continue
		}
		go func() {
			defer t.goroutines.Done()
			t.serve(raw)
		}()
	}
}

// rest waits for d; false when the transport is closed.
func (t *TCP) rest(d time.Duration) bool {
	over := make(chan struct{})
	timer := t.opts.Clock.AfterFunc(d, func() { close(over) })
	defer timer.Stop()
	select {
	case <-over:
		return true
	case <-t.ctx.Done():
		return false
	}
}

// admit counts a connection that has proven nothing; false when there are too
// many or the transport is closed.
func (t *TCP) admit(raw net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || len(t.raw) >= maxUnproven {
		t.stats.acceptsRefused.Add(1)
		return false
	}
	t.raw[raw] = struct{}{}
	t.goroutines.Add(1)
	return true
}

// proven takes a connection off the list of unproven ones.
func (t *TCP) proven(raw net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.raw, raw)
}

// serve does the accepting side's handshake and then what the connection is for.
func (t *TCP) serve(raw net.Conn) {
	defer t.proven(raw)
	deadline := t.opts.Clock.AfterFunc(handshakeTimeout, func() { _ = raw.Close() })
	defer deadline.Stop()
	w := &wire{Conn: sockets.Quick(raw)}
	tc := tls.Server(w, t.id.serverConfig(t.opts.Clock.Now))
	if err := tc.HandshakeContext(t.ctx); err != nil {
		t.turnedAway(raw, err)
		_ = raw.Close()
		return
	}
	if tc.ConnectionState().NegotiatedProtocol == alpnJoin {
		if !deadline.Stop() {
			return
		}
		t.serveJoin(raw, tc)
		_ = raw.Close()
		return
	}
	if tc.ConnectionState().NegotiatedProtocol == alpnRegion {
		if deadline.Stop() {
			t.proven(raw) // whoever serves it has a bound of its own
			t.handRegion(tc)
		}
		return
	}
	c, what, err := t.welcome(w, tc)
	if err != nil {
		t.turnedAway(raw, err)
		_ = raw.Close()
		return
	}
	if !deadline.Stop() {
		t.unsettle(c, what)
		return
	}
	t.proven(raw)
	t.converse(c, what)
}

// turnedAway counts and logs a connection that came to nothing. Only what a
// peer with a certificate did is worth an operator's attention.
func (t *TCP) turnedAway(raw net.Conn, err error) {
	t.stats.acceptsRefused.Add(1)
	t.opts.Logger.Debug("peer connection turned away", "addr", raw.RemoteAddr().String(), "cause", err)
}

// welcome reads the hello and answers it.
func (t *TCP) welcome(w *wire, tc *tls.Conn) (*conn, purpose, error) {
	certified, err := t.id.verify(tc.ConnectionState().PeerCertificates, x509.ExtKeyUsageClientAuth, t.opts.Clock.Now())
	if err != nil {
		return nil, 0, err
	}
	frames := newFrameReader(tc, maxHelloBytes)
	kind, payload, err := frames.next()
	if err != nil {
		return nil, 0, err
	}
	if kind != frameHello {
		return nil, 0, errFrame
	}
	h, err := decodeHello(payload)
	if err != nil {
		return nil, 0, err
	}
	c := &conn{t: t, peer: t.peer(certified), wire: w, tls: tc, frames: frames, node: certified, incarnation: h.incarnation, q: new(queue)}
	c.q.init(acceptedQueueBytes)
	refused := t.check(&h, certified)
	if refused == nil {
		refused = t.settle(c, h.purpose)
	}
	if refused != nil {
		_, _ = tc.Write(appendFrame(nil, frameRefuse, refused.append(nil)))
		linger(tc, w)
		return nil, 0, refused
	}
	if _, err := tc.Write(appendFrame(nil, frameHello, t.hello(h.node, h.purpose).append(nil))); err != nil {
		t.unsettle(c, h.purpose)
		return nil, 0, err
	}
	frames.limit = maxFrameBytes
	w.gather()
	return c, h.purpose, nil
}

// settle makes room for an acceptable connection.
func (t *TCP) settle(c *conn, what purpose) *RefusedError {
	if what == purposePeer {
		return c.peer.arrived(c)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.snaps >= maxSnapshots {
		return refuse(refuseBusy, "%d snapshots are being received already", t.snaps)
	}
	t.snaps++
	return nil
}

// unsettle undoes settle.
func (t *TCP) unsettle(c *conn, what purpose) {
	if what == purposePeer {
		c.peer.left(c)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.snaps--
}

// converse reads and writes until the connection ends.
func (t *TCP) converse(c *conn, what purpose) {
	defer t.unsettle(c, what)
	if !t.remember(c) {
		c.fail(errClosed)
		return
	}
	defer t.forget(c)
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.writeLoop()
	}()
	if what == purposeSnapshot {
		c.receiveSnapshot()
	} else {
		c.readLoop()
	}
	c.fail(errLost)
	<-written
}

// linger ends a connection so that the last words arrive: closing a socket
// with unread bytes in it would take them back. The handshake's deadline bounds
// it, and so does what the peer may send.
func linger(tc *tls.Conn, w *wire) {
	_ = tc.CloseWrite()
	var waste [1 << 10]byte
	for range 64 {
		if _, err := tc.Read(waste[:]); err != nil {
			return
		}
	}
	_ = w.Close()
}

// timeoutContext is a context of the transport that ends after d.
func (t *TCP) timeoutContext(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.ctx, d)
}
