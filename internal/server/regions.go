package server

import (
	"context"
	"errors"
	"fmt"
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
		Cluster: s.node, Service: s.service, Clock: s.clock, Rand: s.rand, Logger: s.cfg.Logger, Dialer: dialer, Node: s.node, Authority: s.identity.Authority(),
	})
	s.node.SetRegions(s.regions)
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

// followRetry is the pause between two tries to follow another region.
const followRetry = 2 * time.Second

// follow asks the region that this one shall follow, until it ships here.
func (s *Server) follow(context.Context) error {
	if s.cfg.Follow == "" {
		return nil
	}
	token, authority, err := region.ParseToken(s.cfg.Token)
	if err != nil {
		return fmt.Errorf("--follow needs a --token: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.later(func() error { cancel(); return nil })
	s.tasks.Go(func() {
		for last := ""; ctx.Err() == nil; {
			err := s.regions.Follow(ctx, s.cfg.Follow, token, authority)
			if err == nil {
				s.cfg.Logger.Info("this node follows another", "primary", s.cfg.Follow)
				return
			}
			if ctx.Err() == nil && err.Error() != last {
				last = err.Error()
				s.cfg.Logger.Warn("cannot follow yet; trying again", "primary", s.cfg.Follow, "error", err)
			}
			wait := make(chan struct{})
			s.clock.AfterFunc(followRetry, func() { close(wait) })
			select {
			case <-wait:
			case <-ctx.Done():
			}
		}
	})
	return nil
}

// regionMetrics are about the links of which this node leads the first tablet,
// and what it has heard from those that ship here.
func (s *Server) regionMetrics() []metric {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	seconds := metric{"weir_region_link_lag_seconds", "gauge", "age of the oldest change that the link has not shipped", nil}
	changes := metric{"weir_region_link_lag_changes", "gauge", "changes that the link has not shipped", nil}
	bytes := metric{"weir_region_link_lag_bytes", "gauge", "bytes of these", nil}
	copying := metric{"weir_region_link_copying", "gauge", "parts of tables whose first copy is not done", nil}
	differences := metric{"weir_region_link_differences", "gauge", "items that differed, and were not mended, when both sides were compared last", nil}
	stuck := metric{"weir_region_link_stuck", "gauge", "1 while the link's last try failed, as far as this node knows", nil}
	for _, l := range s.regions.Local(ctx) {
		add := func(m *metric, v float64) {
			m.samples = append(m.samples, sample{labels: label("link", l.Name), value: v})
		}
		add(&seconds, l.Lag.Seconds())
		add(&changes, float64(l.LagChanges))
		add(&bytes, float64(l.LagBytes))
		add(&copying, float64(l.Copying))
		add(&differences, float64(l.Spec.Differences))
		add(&stuck, yes(l.Problem != "")[0].value)
	}
	heard := metric{"weir_region_inbound_lag_seconds", "gauge", "how old what was taken in may be: the link's lag as last reported, and the time since", nil}
	inbounds, err := s.regions.Inbounds(ctx)
	for i := range inbounds {
		if h := &inbounds[i].Heard; err == nil && !h.At.IsZero() {
			old := h.Lag + max(0, s.clock.Now().Sub(h.At))
			heard.samples = append(heard.samples, sample{labels: label("inbound", inbounds[i].Name), value: old.Seconds()})
		}
	}
	conflicts := metric{"weir_region_conflicts_total", "counter", "writes that met one of another region, and neither knew of the other, in the tablets that this node leads", nil}
	if n, err := s.regions.ConflictsHere(ctx); err == nil {
		conflicts.samples = append(conflicts.samples, sample{value: float64(n)})
	}
	return []metric{seconds, changes, bytes, copying, differences, stuck, heard, conflicts}
}

// InviteRegion implements console.Admin.
func (a *admin) InviteRegion(ctx context.Context, name string, ttl time.Duration) (string, error) {
	text, hash := a.identity.NewLinkToken()
	return text, a.regions.Invite(ctx, name, hash, ttl)
}
