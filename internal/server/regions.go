package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"weir.dev/weir/internal/region"
)

// openRegions starts what ships to other regions and takes in what they ship.
func (s *Server) openRegions() {
	dialer := region.NewHTTPDialer(s.clock.Now)
	s.later(dialer.Close)
	s.regions = region.NewEngine(region.Options{
		Cluster: s.node, Service: s.service, Clock: s.clock, Rand: s.rand, Logger: s.cfg.Logger, Dialer: dialer,
	})
	s.later(func() error { s.regions.Close(); return nil })
	srv := &http.Server{
		Handler: s.regions, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
	s.later(srv.Close)
	s.tasks.Go(func() {
		if err := srv.Serve(s.regionConns); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.cfg.Fatal(err)
		}
	})
}

// InviteRegion implements console.Admin.
func (a *admin) InviteRegion(ctx context.Context, name string, ttl time.Duration) (string, error) {
	text, hash := a.identity.NewLinkToken()
	return text, a.regions.Invite(ctx, name, hash, ttl)
}
