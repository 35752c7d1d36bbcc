package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"time"

	"weir.dev/weir/internal/auth"
	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/console"
	"weir.dev/weir/internal/dynamo"
	"weir.dev/weir/internal/front"
	"weir.dev/weir/internal/kinesis"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/sqs"
)

// frontDoor is the AWS listener and what serves it.
type frontDoor struct{ srv *front.Server }

func (f *frontDoor) shutdown(ctx context.Context) error { return f.srv.Shutdown(ctx) }

// openDoors opens the node to clients.
func (s *Server) openDoors(context.Context) error {
	addrs := []string{s.listen.aws.Addr().String(), s.listen.console.Addr().String()}
	open := s.cfg.Keys == nil || s.cfg.Keys.Len() == 0
	if err := front.CheckOpen(addrs, !open, s.cfg.Insecure); err != nil {
		return err
	}
	secure, err := s.clientTLS()
	if err != nil {
		return err
	}
	verifier := auth.NewVerifier(auth.Config{Keys: s.cfg.Keys, Open: open, Clock: s.clock})
	srv := front.New(front.Options{
		Doors:    []awsapi.Door{dynamo.New(s.service), sqs.New(s.service), kinesis.New(s.service)},
		Verifier: verifier, Rand: s.rand, Clock: s.clock, Log: s.cfg.Logger, TLS: secure,
		Region: s.cfg.Region, Account: s.cfg.Account, LocalOnly: open && !s.cfg.Insecure, Health: s.Ready,
		Limits: front.Limits{MaxBodyMemory: bodyMemory(systemMemory(os.DirFS("/")))},
	})
	s.front = &frontDoor{srv}
	s.tasks.Go(func() {
		if err := srv.Serve(s.listen.aws); err != nil && !s.stopping() {
			s.cfg.Fatal(err)
		}
	})
	admin := console.New((*admin)(s), s.pipes, s.service, s.regions, s.authorizeAdmin(verifier))
	s.console.Store(&admin)
	stopped := console.Stopping()
	s.later(func() error { s.console.Store(&stopped); return nil })
	return nil
}

// stopping reports whether Shutdown has begun, perhaps before a listener was
// served.
func (s *Server) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

func (s *Server) clientTLS() (*tls.Config, error) {
	if s.cfg.TLSCert == "" && s.cfg.TLSKey == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(s.cfg.TLSCert, s.cfg.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("cannot load the certificate of the AWS listener: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}, nil
}

// authorizeAdmin holds admin requests to the same keys as the AWS APIs.
func (s *Server) authorizeAdmin(v *auth.Verifier) console.Authorize {
	return func(r *http.Request, body []byte) error {
		signed := auth.Request{Method: []byte(r.Method), Path: []byte(r.URL.EscapedPath()), Query: []byte(r.URL.RawQuery), Body: body, TLS: r.TLS != nil}
		signed.Headers = append(signed.Headers, auth.Header{Name: []byte("Host"), Value: []byte(r.Host)})
		for name, values := range r.Header {
			for _, value := range values {
				signed.Headers = append(signed.Headers, auth.Header{Name: []byte(name), Value: []byte(value)})
			}
		}
		if _, err := v.Verify(&signed, "weir"); err != nil {
			return model.Errorf(model.ErrAccessDenied, "%v", err)
		}
		return nil
	}
}

// admin is the node as the console sees it.
type admin Server

// Status implements console.Admin.
func (a *admin) Status(ctx context.Context) *cluster.ClusterStatus { return a.node.Status(ctx) }

// DrainNode implements console.Admin.
func (a *admin) DrainNode(ctx context.Context, id model.NodeID, drain, leave bool) error {
	return a.node.DrainNode(ctx, id, drain, leave)
}

// SetSettings implements console.Admin.
func (a *admin) SetSettings(ctx context.Context, s model.ClusterSettings) error {
	s.RegionName = a.node.Catalog().Settings.RegionName // has a request of its own
	return a.node.SetSettings(ctx, s)
}

// TransferLeader implements console.Admin.
func (a *admin) TransferLeader(ctx context.Context, id model.TabletID, to model.NodeID) error {
	return a.node.TransferLeader(ctx, id, to)
}

// CreateToken implements console.Admin.
func (a *admin) CreateToken(ctx context.Context, ttl time.Duration) (string, error) {
	text, hash := a.identity.NewToken()
	return text, a.node.AddToken(ctx, hash, a.clock.Now().Add(ttl))
}

// Addresses are where the node listens.
type Addresses struct{ AWS, Console, Peer string }

// Addresses tells where the node listens.
func (s *Server) Addresses() Addresses {
	return Addresses{AWS: s.listen.aws.Addr().String(), Console: s.listen.console.Addr().String(), Peer: s.listen.peer.Addr().String()}
}

// Open reports whether the node takes requests without checking who sent them.
func (s *Server) Open() bool { return s.cfg.Keys == nil || s.cfg.Keys.Len() == 0 }

// Node is the node's id and cluster.
func (s *Server) Node() (id, clusterID string) { return s.record.Node.String(), s.record.ClusterID }
