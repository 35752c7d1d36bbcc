// Package front owns the AWS port: listeners, TLS, limits on what a client may
// send and how slowly, signatures, and the choice of a door for each request.
//
// It knows no operation of any service and reads no storage; a door does not
// see HTTP. A Server may be used from any goroutine. Each connection is served
// by one goroutine, in HTTP/2 each request, and a request belongs to it until
// the door has answered.
//
// docs/http.md says what clients see. Start with Server; exchange.go is the
// way of one request, http1.go and http2.go how it comes and goes, stream.go
// what answers in pieces. The rest of HTTP/1 is in head_parser.go, http1_body.go,
// http1_answer.go and input.go.
package front

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"weir.dev/weir/internal/auth"
	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
)

// Limits bound what clients can make the server hold and wait for. A zero
// field is the default, which is named beside it.
type Limits struct {
	HeaderTimeout time.Duration // DefaultHeaderTimeout: for the head and the first bytes of the body, from the first byte (on a new connection: from accepting it)
	BodyTimeout   time.Duration // DefaultBodyTimeout: for each started MiB of the body
	IdleTimeout   time.Duration // DefaultIdleTimeout: between requests of one connection
	WriteTimeout  time.Duration // DefaultWriteTimeout: for one answer
	HandleTimeout time.Duration // DefaultHandleTimeout: for the door; then its context ends
	StreamTimeout time.Duration // DefaultStreamTimeout: for an answer that is made in pieces
	DrainTime     time.Duration // DefaultDrainTime: how long Shutdown lets requests finish before their contexts end

	MaxConns           int   // DefaultMaxConns: connections, and as many requests of HTTP/2 at once
	MaxConnsPerAddress int   // DefaultMaxConnsPerAddress: the same of one IPv4 address or IPv6 /64 network
	MaxBodyBytes       int   // model.MaxBodyBytes: one request's body
	MaxBodyMemory      int64 // DefaultMaxBodyMemory: bytes of all bodies held at once
}

// The default limits.
const (
	DefaultHeaderTimeout = 5 * time.Second
	DefaultBodyTimeout   = 30 * time.Second // 35 KB/s: slower than any network that SQS or DynamoDB is used over
	DefaultIdleTimeout   = 3 * time.Minute  // longer than SDKs keep idle connections, so that they close first
	DefaultWriteTimeout  = 30 * time.Second
	DefaultHandleTimeout = 30 * time.Second // SQS's longest poll of 20 s, and time to answer
	DefaultStreamTimeout = 6 * time.Minute  // a Kinesis subscription's 5 min, and time to end by itself
	DefaultDrainTime     = 2 * time.Second

	DefaultMaxConns           = 10_000
	DefaultMaxConnsPerAddress = 4_000
	DefaultMaxBodyMemory      = 512 << 20 // 32 requests of the largest size

	// MaxHeadBytes bounds the request line and headers together.
	MaxHeadBytes = 16 << 10
)

func (l Limits) withDefaults() Limits {
	setDefault(&l.HeaderTimeout, DefaultHeaderTimeout)
	setDefault(&l.BodyTimeout, DefaultBodyTimeout)
	setDefault(&l.IdleTimeout, DefaultIdleTimeout)
	setDefault(&l.WriteTimeout, DefaultWriteTimeout)
	setDefault(&l.HandleTimeout, DefaultHandleTimeout)
	setDefault(&l.StreamTimeout, DefaultStreamTimeout)
	setDefault(&l.DrainTime, DefaultDrainTime)
	setDefault(&l.MaxConns, DefaultMaxConns)
	setDefault(&l.MaxConnsPerAddress, DefaultMaxConnsPerAddress)
	setDefault(&l.MaxBodyBytes, model.MaxBodyBytes)
	setDefault(&l.MaxBodyMemory, DefaultMaxBodyMemory)
	return l
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Options configure a Server. Doors, Verifier and Rand are needed.
type Options struct {
	Doors    []awsapi.Door
	Verifier *auth.Verifier
	Rand     *base.Rand
	Clock    base.Clock   // nil: the system's
	Log      *slog.Logger // nil: none
	TLS      *tls.Config  // nil: plain HTTP
	Region   string       // of requests that name none; "" is us-east-1
	Account  string       // "" is 000000000000

	// LocalOnly refuses what a web page could make a browser send: requests with
	// an Origin, or to a host name that is not a local one. Set it in open mode
	// on loopback, where being able to connect is the only right a client needs.
	LocalOnly bool

	// Health says why this node cannot serve, or nil. nil is always healthy.
	Health func() error

	Limits Limits
}

// Stats counts what a Server has done since it was made.
type Stats struct {
	Connections    int   // open now
	Active         int64 // requests in a door now
	Requests       int64 // requests that were read, whatever their answer
	RefusedConns   int64 // connections, or requests of HTTP/2, over a limit
	RefusedAuth    int64 // requests with bad or missing credentials
	Panics         int64 // panics in doors
	BodyBytesInUse int64
}

// Server serves the AWS APIs on any number of listeners.
type Server struct {
	opt    Options
	limits Limits
	doors  map[string]awsapi.Door
	log    *slog.Logger
	dates  dateCache
	panics panicLog
	meter  meter

	http2     *http.Server
	http2Once sync.Once // starts http2
	handOver  *handOver // connections to http2

	base        context.Context // parent of all requests' contexts
	cancelBase  context.CancelCauseFunc
	serving     context.Context // ends when Shutdown begins
	stopServing context.CancelFunc
	watchOnce   sync.Once
	goroutines  sync.WaitGroup // one per connection, watch, and what it started
	exchanges   sync.Pool      // of *exchange

	mu             sync.Mutex           // guards the fields below
	conns          map[*conn]struct{}   // open connections
	perAddr        map[netip.Prefix]int // how many of them are from one address
	streams        int                  // requests of HTTP/2 that are under way
	streamsPerAddr map[netip.Prefix]int // how many of them are from one address
	listeners      []*listener
	stopped        bool

	requests, refusedConns, refusedAuth, panicked, active, bodyBytes atomic.Int64
}

var (
	errStopping = errors.New("the server is stopping")
	errTimeout  = errors.New("the request took too long")
	errGone     = errors.New("the client has closed its connection")
)

// New returns a Server that listens nowhere yet.
func New(opt Options) *Server {
	setDefault(&opt.Region, "us-east-1")
	setDefault(&opt.Account, "000000000000")
	if opt.Clock == nil {
		opt.Clock = base.SystemClock{}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		opt: opt, limits: opt.Limits.withDefaults(), log: opt.Log,
		doors: make(map[string]awsapi.Door, len(opt.Doors)),
		conns: make(map[*conn]struct{}), perAddr: make(map[netip.Prefix]int), streamsPerAddr: make(map[netip.Prefix]int),
	}
	if opt.TLS != nil {
		s.opt.TLS = opt.TLS.Clone()
		s.opt.TLS.NextProtos = []string{"h2", "http/1.1"}
	}
	for _, door := range opt.Doors {
		s.doors[door.Target()] = door
	}
	s.base, s.cancelBase = context.WithCancelCause(context.Background())
	s.serving, s.stopServing = context.WithCancel(context.Background())
	s.exchanges.New = func() any { return newExchange(s) }
	s.http2, s.handOver = s.newHTTP2(), &handOver{conns: make(chan net.Conn), done: s.serving.Done()}
	return s
}

// Serve serves connections of ln, which it takes over, until Shutdown, which
// makes it return nil, or an error of ln. It blocks.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		_ = ln.Close() // nothing was served on it
		return errStopping
	}
	own := &listener{Listener: ln, srv: s}
	s.listeners = append(s.listeners, own)
	s.watchOnce.Do(func() { s.goroutines.Go(s.watch) })
	s.mu.Unlock()
	for {
		c, err := own.accept()
		if err != nil {
			return fmt.Errorf("cannot serve %s: %w", ln.Addr(), err)
		}
		if c == nil {
			return nil
		}
		go s.serveConn(c)
	}
}

// serveConn serves one connection to its end. The connection is closed then.
//
// A panic of the HTTP code costs the connection, not the node.
func (s *Server) serveConn(c *conn) {
	defer s.goroutines.Done()
	defer c.Close()
	defer func() {
		if p := recover(); p != nil {
			s.panicked.Add(1)
			s.panics.report(s.log, "", "", p)
		}
	}()
	if err := s.speak(c); err != nil && s.log.Enabled(context.Background(), slog.LevelDebug) {
		s.log.Debug("connection failed", "client", c.RemoteAddr().String(), "error", err)
	}
}

// speak serves a connection in the protocol that its client speaks.
func (s *Server) speak(c *conn) error {
	if s.opt.TLS != nil {
		return s.serveTLS(c)
	}
	switch two, used := c.speaksHTTP2(); {
	case two:
		return s.serveHTTP2(c)
	case used:
		return s.serveHTTP1(c, c)
	}
	return nil
}

// sweepInterval is how often Shutdown looks for connections that have become idle.
const sweepInterval = 20 * time.Millisecond

// Shutdown stops listening, lets requests finish and closes connections as they
// become idle. After Limits.DrainTime the contexts of requests still running
// end, so that long polls answer with what they have. When ctx ends first, all
// connections are closed and the error says so; doors whose context has ended
// are still waited for, because what they use may go away next. Shutdown may be
// called once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stopped = true
	listeners := s.listeners
	s.mu.Unlock()
	s.stopServing()
	s.goroutines.Go(func() { _ = s.http2.Shutdown(ctx) }) // its connections are among those that sweep waits for
	var err error
	for _, ln := range listeners {
		err = errors.Join(err, ln.Close())
	}
	drained := time.AfterFunc(s.limits.DrainTime, func() { s.cancelBase(errStopping) })
	defer drained.Stop()
	err = errors.Join(err, s.sweep(ctx))
	s.cancelBase(errStopping)
	for _, c := range s.openConns(nil) {
		_ = c.Close()
	}
	s.goroutines.Wait()
	if err != nil {
		return fmt.Errorf("cannot stop serving gracefully: %w", err)
	}
	return nil
}

// sweep closes idle connections until none is open or ctx ends.
func (s *Server) sweep(ctx context.Context) error {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		open := s.openConns(nil)
		if len(open) == 0 {
			return nil
		}
		for _, c := range open {
			c.closeIfIdle()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	conns := len(s.conns)
	s.mu.Unlock()
	return Stats{
		Connections: conns, Active: s.active.Load(), Requests: s.requests.Load(),
		RefusedConns: s.refusedConns.Load(), RefusedAuth: s.refusedAuth.Load(),
		Panics: s.panicked.Load(), BodyBytesInUse: s.bodyBytes.Load(),
	}
}

func (s *Server) stopping() bool { return s.serving.Err() != nil }

// httpLog takes what net/http would print: faults of single connections.
type httpLog struct{ log *slog.Logger }

// Write implements io.Writer.
func (l httpLog) Write(line []byte) (int, error) {
	l.log.Debug("connection failed", "error", string(line))
	return len(line), nil
}
