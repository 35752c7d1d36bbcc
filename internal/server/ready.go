package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"weir.dev/weir/internal/console"
)

// maxStall is how long a write to the journal may take before the node says
// that it is not ready: whatever needs it waits behind it.
const maxStall = 5 * time.Second

// startPatience is how long a node that starts calls itself not ready because
// some tablet has no leader yet. After that, or when all have had one, only the
// loss of all leaders makes it so: a load balancer that took every node out
// because of one tablet would turn a small fault into a large one.
const startPatience = 30 * time.Second

// readiness is what the node tells load balancers.
type readiness struct {
	started  atomic.Bool // every tablet held had a leader once, or startPatience is over
	draining atomic.Bool
	begun    time.Time
}

// Ready is nil when this node should be sent requests; else it says why not.
func (s *Server) Ready() error {
	switch {
	case s.stopping():
		return errors.New("the node is stopping")
	case s.ready.draining.Load():
		return errors.New("the node is about to stop")
	}
	if err := s.node.Healthy(); err != nil {
		return err
	}
	if stall := s.journal.Stalled(); stall > maxStall {
		return fmt.Errorf("the disk has not finished a write to the journal for %v", stall.Round(time.Second))
	}
	if s.ready.started.Load() {
		return nil
	}
	if c := s.node.Counts(); c.Leaderless > 0 && s.clock.Now().Sub(s.ready.begun) < startPatience {
		return fmt.Errorf("the node is starting: %d of the %d tablets held here have no leader yet", c.Leaderless, c.Held)
	}
	s.ready.started.Store(true)
	return nil
}

// Drain says from now on that the node is not ready, and goes on serving for
// that long, so that load balancers send their requests elsewhere before
// Shutdown refuses them. ctx ends it early.
func (s *Server) Drain(ctx context.Context, grace time.Duration) {
	s.ready.draining.Store(true)
	if grace <= 0 {
		return
	}
	s.cfg.Logger.Info("serving on for load balancers to notice", "for", grace)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// serveConsole serves the console listener from the start on: until the node
// is open, with nothing but the answer that it is starting.
func (s *Server) serveConsole(context.Context) error {
	var starting http.Handler = console.Starting()
	s.console.Store(&starting)
	srv := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*s.console.Load()).ServeHTTP(w, r) }),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10,
	}
	s.later(srv.Close)
	s.tasks.Go(func() {
		if err := srv.Serve(s.listen.console); err != http.ErrServerClosed {
			s.cfg.Fatal(err)
		}
	})
	return nil
}

// Healthy implements console.Admin.
func (a *admin) Healthy() error { return (*Server)(a).Ready() }

// Metrics implements console.Admin.
func (a *admin) Metrics(w io.Writer) { (*Server)(a).writeMetrics(w) }
