// Package weirtest starts a Weir inside a Go test: a whole node in the test's
// process, on loopback ports of its own and a temporary directory, gone when
// the test ends.
//
//	func TestOrders(t *testing.T) {
//		srv := weirtest.Start(t)
//		cfg, err := config.LoadDefaultConfig(ctx, config.WithBaseEndpoint(srv.Endpoint()), ...)
//
// Package awsclient beside this one makes the AWS SDK's clients; this package
// does without the SDK, so that tests in which only a server is needed stay
// light. The node is the real one, writes are synced to disk as always, and
// any credentials are accepted.
//
// A Server may be used by many goroutines. Start with Start.
package weirtest

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"weir.dev/weir/internal/server"
)

const (
	// shutdownTimeout bounds how long requests still open at the end of the test
	// are waited for.
	shutdownTimeout = 5 * time.Second
	// A test holds little data: few tablets and a small cache start faster.
	tablets    = 2
	lanes      = 2
	cacheBytes = 8 << 20
)

// Server is a running node.
type Server struct {
	t   testing.TB
	cfg server.Config

	mu   sync.Mutex // guards node and at
	node *server.Server
	at   server.Addresses
}

// Start starts a node on free ports of 127.0.0.1 and a directory of its own,
// waits until it serves, and stops it when the test and its subtests are over.
// It fails the test if that cannot be done.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, cfg: server.Config{
		DataDir: t.TempDir(), AWSAddr: "127.0.0.1:0", ConsoleAddr: "127.0.0.1:0", PeerAddr: "127.0.0.1:0",
		Tablets: tablets, Lanes: lanes, CacheBytes: cacheBytes,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Fatal:  func(err error) { panic("weirtest: the node stops: " + err.Error()) },
	}}
	s.start()
	t.Cleanup(s.stop)
	return s
}

// Endpoint is the URL for AWS clients, for DynamoDB and SQS alike.
func (s *Server) Endpoint() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "http://" + s.at.AWS
}

// ConsoleURL is the URL of the admin API, health checks and metrics.
func (s *Server) ConsoleURL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "http://" + s.at.Console
}

// Restart stops the node and starts it again on the same data and, for AWS
// clients and the console, the same addresses: what was acknowledged before is
// there afterwards.
func (s *Server) Restart() {
	s.t.Helper()
	s.stop()
	s.mu.Lock()
	s.cfg.AWSAddr, s.cfg.ConsoleAddr = s.at.AWS, s.at.Console
	s.mu.Unlock()
	s.start()
}

func (s *Server) start() {
	s.t.Helper()
	node, err := server.Start(context.Background(), s.cfg)
	if err != nil {
		s.t.Fatalf("cannot start Weir: %v", err)
	}
	s.mu.Lock()
	s.node, s.at = node, node.Addresses()
	s.mu.Unlock()
}

func (s *Server) stop() {
	s.t.Helper()
	s.mu.Lock()
	node := s.node
	s.node = nil
	s.mu.Unlock()
	if node == nil {
		return // Restart failed between its two halves
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := node.Shutdown(ctx); err != nil {
		s.t.Errorf("cannot stop Weir cleanly: %v", err)
	}
}
