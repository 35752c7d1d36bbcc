package front

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

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
