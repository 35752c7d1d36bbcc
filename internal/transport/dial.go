package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/sockets"
)

// connect makes a connection to a node: TCP, TLS, hello. ctx bounds it.
func (t *TCP) connect(ctx context.Context, to model.NodeID, what purpose, q *queue) (*conn, error) {
	addr, ok := t.opts.Addr(to)
	if !ok {
		return nil, errNoAddress
	}
	dialer := net.Dialer{KeepAlive: 15 * time.Second}
	raw, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", addr, err)
	}
	c, err := t.greet(ctx, raw, to, what, q)
	if err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("cannot connect to %s: %w", addr, err)
	}
	return c, nil
}

// greet does the dialling side's handshake on a fresh socket.
func (t *TCP) greet(ctx context.Context, raw net.Conn, to model.NodeID, what purpose, q *queue) (*conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	w := &wire{Conn: sockets.Quick(raw)}
	tc := tls.Client(w, t.id.clientConfig(to, t.opts.Clock.Now))
	if err := tc.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	if _, err := tc.Write(appendFrame(nil, frameHello, t.hello(to, what).append(nil))); err != nil {
		return nil, err
	}
	frames := newFrameReader(tc, maxHelloBytes)
	kind, payload, err := frames.next()
	switch {
	case err != nil:
		return nil, err
	case kind == frameRefuse:
		return nil, decodeRefusal(payload)
	case kind != frameHello:
		return nil, errFrame
	}
	answer, err := decodeHello(payload)
	if err != nil {
		return nil, err
	}
	if err := t.checkAnswer(&answer, to); err != nil {
		if t.isCopy(&answer) { // it may have nothing to say, and so never hear of it
			_, _ = tc.Write(appendFrame(nil, frameRefuse, refuseOldCopy(to).append(nil)))
			linger(tc, w)
		}
		return nil, err
	}
	if !stop() {
		return nil, ctx.Err()
	}
	frames.limit = maxFrameBytes
	w.gather()
	return &conn{t: t, peer: t.peer(to), wire: w, tls: tc, frames: frames, node: to, incarnation: answer.incarnation, q: q}, nil
}
