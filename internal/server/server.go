// Package server puts one node together: the data directory, the listeners,
// storage, journal, cluster, service, pipes, doors and front, in that order,
// and takes them down in the opposite one.
//
// It holds no logic of its own; whoever embeds Weir (the weir command, package
// weirtest) starts here, with Start.
package server

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/cluster"
	"weir.dev/weir/internal/journal"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/lost"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/pipe"
	"weir.dev/weir/internal/region"
	"weir.dev/weir/internal/service"
	"weir.dev/weir/internal/storage"
	"weir.dev/weir/internal/stream"
	"weir.dev/weir/internal/transport"
)

// Server is a running node.
type Server struct {
	cfg   Config
	clock base.Clock
	rand  *base.Rand

	dir      *dataDir
	identity *transport.Identity
	record   nodeRecord
	start    model.Start
	listen   listeners

	db      *storage.DB
	journal *journal.Journal
	node    *cluster.Node
	service *service.Service
	pipes   *pipe.Engine
	regions *region.Engine
	front   *frontDoor
	console atomic.Pointer[http.Handler] // of the console listener
	ready   readiness

	regionConns *region.Listener // of other regions, from the peer port

	stop     chan struct{}
	stopOnce sync.Once
	tasks    sync.WaitGroup
	undo     []func() error // what takes down what Start put up, in order
}

// Start starts a node. Errors are one clear line for the operator.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, clock: base.SystemClock{Offset: cfg.ClockOffset}, rand: base.NewSystemRand(), stop: make(chan struct{})}
	s.ready.begun = s.clock.Now()
	for _, step := range []func(context.Context) error{
		s.openDirectory, s.openListeners, s.serveConsole, s.openIdentity, s.openState, s.openNode, s.openDoors, s.follow,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, s.Shutdown(ctx))
		}
	}
	return s, nil
}

// later registers what Shutdown does to undo a step.
func (s *Server) later(f func() error) { s.undo = append(s.undo, f) }

// Shutdown stops the node: first no new requests, then no new work, then the
// disk. It waits for open requests until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	var errs []error
	s.stopOnce.Do(func() {
		close(s.stop)
		if s.front != nil {
			errs = append(errs, s.front.shutdown(ctx))
		}
		for i := len(s.undo) - 1; i >= 0; i-- {
			errs = append(errs, s.undo[i]())
		}
		s.tasks.Wait()
	})
	return errors.Join(errs...)
}

func (s *Server) openDirectory(context.Context) (err error) {
	if s.dir, err = openDataDir(s.cfg.DataDir); err != nil {
		return err
	}
	s.later(s.dir.close)
	return nil
}

// listeners are bound before anything is written, so that a taken port leaves
// no trace.
type listeners struct{ aws, console, peer net.Listener }

func (s *Server) openListeners(context.Context) error {
	for _, l := range []struct {
		to   *net.Listener
		addr string
		flag string
	}{{&s.listen.aws, s.cfg.AWSAddr, "--aws"}, {&s.listen.console, s.cfg.ConsoleAddr, "--console"}, {&s.listen.peer, s.cfg.PeerAddr, "--peer"}} {
		ln, err := net.Listen("tcp", l.addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("the address %s is taken by another process; choose another with %s HOST:PORT", l.addr, l.flag)
		}
		if err != nil {
			return fmt.Errorf("cannot listen on %s: %w", l.addr, err)
		}
		*l.to = ln
		s.later(func() error { return ignoreClosed(ln.Close()) })
	}
	return nil
}

// ignoreClosed forgives closing a listener that its server closed before.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// openIdentity loads who the node is, or makes it the first node of a new
// cluster, or joins one.
func (s *Server) openIdentity(ctx context.Context) error {
	rec, found, err := s.dir.load()
	if err != nil {
		return err
	}
	if rec.Recovering {
		return fmt.Errorf("weir recover has begun to change %s and has not ended: run it again", s.cfg.DataDir)
	}
	given, err := s.givenIdentity()
	if err != nil {
		return err
	}
	switch {
	case found && given != nil:
		s.identity = given
	case found:
		if s.identity, err = transport.LoadIdentity(s.dir.sub(peersDir), nil, s.clock.Now()); err != nil {
			return fmt.Errorf("cannot load this node's certificates: %w", err)
		}
	case s.cfg.Join != "":
		rec, err = s.join(ctx, given)
	default:
		rec, err = s.found(given)
	}
	if err != nil {
		return err
	}
	if s.identity.Node() != rec.Node || s.identity.ClusterID() != rec.ClusterID {
		return fmt.Errorf("%s belongs to node %v of cluster %s, but its certificates are of node %v of cluster %s", s.cfg.DataDir, rec.Node, rec.ClusterID, s.identity.Node(), s.identity.ClusterID())
	}
	rec.Starts++
	s.record = rec
	s.start = model.Start(rec.Starts<<24 | s.rand.Uint64()&(1<<24-1))
	return s.dir.save(rec)
}

func (s *Server) givenIdentity() (*transport.Identity, error) {
	if s.cfg.PeerCert == "" && s.cfg.PeerKey == "" && s.cfg.PeerCA == "" {
		return nil, nil
	}
	return transport.LoadGivenIdentity(s.cfg.PeerCert, s.cfg.PeerKey, s.cfg.PeerCA)
}

// found makes this node the first of a new cluster.
func (s *Server) found(given *transport.Identity) (rec nodeRecord, err error) {
	s.identity = given
	if given == nil {
		var random [24]byte
		_, _ = rand.Read(random[:]) // crypto/rand.Read never fails: it ends the process instead
		id := model.NodeID(binary.LittleEndian.Uint64(random[16:]) | 1)
		if s.identity, err = transport.NewIdentity(hex.EncodeToString(random[:16]), id, s.clock.Now()); err != nil {
			return rec, err
		}
		if err := s.saveIdentity(); err != nil {
			return rec, err
		}
	}
	return nodeRecord{
		ClusterID: s.identity.ClusterID(), Node: s.identity.Node(), Tablets: s.cfg.Tablets,
		Seeds: []model.Node{{ID: s.identity.Node(), PeerAddr: s.peerAddress()}},
	}, nil
}

// join makes this node a member of another's cluster.
func (s *Server) join(ctx context.Context, given *transport.Identity) (rec nodeRecord, err error) {
	ask := transport.JoinAsk{PeerAddr: s.peerAddress(), Given: given, Now: s.clock.Now}
	id, answer, err := transport.Join(ctx, s.cfg.Join, s.cfg.Token, ask)
	if err != nil {
		return rec, err
	}
	s.identity = id
	if err := s.saveIdentity(); err != nil {
		return rec, err
	}
	seeds, err := cluster.DecodeMembers(answer)
	if err != nil {
		return rec, fmt.Errorf("cannot read the answer to joining: %w", err)
	}
	return nodeRecord{ClusterID: id.ClusterID(), Node: id.Node(), Seeds: seeds}, nil
}

func (s *Server) saveIdentity() error {
	if err := os.MkdirAll(s.dir.sub(peersDir), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot write in the data directory: %w", err)
	}
	return s.identity.Save(s.dir.sub(peersDir), nil)
}

// peerAddress is where other nodes reach this one.
func (s *Server) peerAddress() string {
	if s.cfg.Advertise != "" {
		return s.cfg.Advertise
	}
	return s.listen.peer.Addr().String()
}

// openState opens what the node has stored.
func (s *Server) openState(context.Context) (err error) {
	disk := storage.DiskFS()
	s.db, err = storage.Open(storage.Options{FS: disk, Dir: s.dir.path, CacheBytes: s.cfg.CacheBytes, Sequence: keys.Sequence, Logger: s.cfg.Logger, Fatal: s.cfg.Fatal})
	if err != nil {
		return err
	}
	s.later(s.db.Close)
	s.journal, err = journal.Open(journal.Options{FS: disk, Dir: s.dir.sub(storage.JournalDir), BallastBytes: journal.DefaultBallastBytes, Rand: s.rand, Fatal: s.cfg.Fatal})
	if err != nil {
		return err
	}
	s.later(s.journal.Close)
	if s.record.Tablets == 0 {
		return nil
	}
	return cluster.Genesis(s.db, s.journal, s.record.ClusterID, s.record.Seeds[0], s.record.Tablets)
}

// openNode starts the member of the cluster.
func (s *Server) openNode(context.Context) (err error) {
	s.regionConns = region.NewListener(s.listen.peer.Addr())
	s.node, err = cluster.Open(cluster.Options{
		Node: s.record.Node, ClusterID: s.record.ClusterID, Seeds: s.record.Seeds,
		Storage: s.db, Journal: s.journal, Transport: s.openTransport,
		Clock: s.clock, Rand: s.rand, Logger: s.cfg.Logger, Lanes: s.cfg.Lanes,
		LogBudgetBytes: logBudgetBytes, CutBytes: cutBytes, HousekeepingEvery: housekeepingEvery, Fatal: s.cfg.Fatal,
		KeepLost: func(w []lost.Write) (string, error) { return lost.Save(s.dir.sub(lost.Dir), w) },
	})
	if err != nil {
		return err
	}
	s.later(func() error {
		s.node.Resign()
		return s.node.Close()
	})
	s.service = service.New(s.node, s.clock, s.rand)
	s.service.SetProfile(s.cfg.Profile)
	s.openRegions()
	s.pipes = pipe.NewEngine(s.node, s.service, s.clock, s.rand, s.cfg.Logger)
	s.later(func() error { s.pipes.Close(); return nil })
	streams := stream.NewEngine(s.service, s.clock, s.rand, s.cfg.Logger)
	s.later(func() error { streams.Close(); return nil })
	s.tasks.Go(s.announce)
	return nil
}

// openTransport starts the peers' connections. The node is not there yet when
// the first peer may ask, so the callbacks look for it.
func (s *Server) openTransport(h transport.Handler) (transport.Transport, error) {
	known := func(id model.NodeID) (string, bool) {
		if n, ok := h.(cluster.Members); ok {
			return n.Address(id)
		}
		return "", false
	}
	return transport.New(transport.Options{
		Identity: s.identity, Incarnation: uint64(s.start), Listener: s.listen.peer,
		Addr: known, Allow: func(id model.NodeID) bool { _, ok := known(id); return ok },
		Removed: func(id model.NodeID) bool { return s.knownCatalog(h).WasRemoved(id) },
		Known: func(id model.NodeID) model.Start {
			if m, ok := s.knownCatalog(h).Node(id); ok {
				return m.Start
			}
			return 0
		},
		Refused: func(err *transport.RefusedError) {
			s.cfg.Fatal(fmt.Errorf("this node cannot be part of its cluster: %w", err))
		},
		SnapshotBytesPerSecond: s.cfg.SnapshotRate,
		Region:                 s.regionConns.Hand,
		Joiner:                 h.(transport.Joiner), Clock: s.clock, Rand: s.rand, Logger: s.cfg.Logger,
	}, h)
}

// knownCatalog is the catalog as the node knows it.
func (s *Server) knownCatalog(h transport.Handler) *model.Catalog {
	if n, ok := h.(cluster.Members); ok {
		return n.Catalog()
	}
	return &model.Catalog{}
}

// announce tells the cluster of this node: where it is, what it is, and how
// often it has started.
func (s *Server) announce() {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		err := s.node.SyncCatalog(ctx)
		if err == nil {
			err = s.node.Announce(ctx, cluster.Announcement{
				PeerAddr: s.peerAddress(), Zone: s.cfg.Zone, ReadOnly: s.cfg.ReadOnly, Start: s.start,
			})
		}
		cancel()
		var refused *model.Error
		if errors.As(err, &refused) && refused.Kind == model.ErrAccessDenied {
			s.cfg.Fatal(err)
			return
		}
		if err == nil {
			return
		}
		select {
		case <-s.stop:
			return
		case <-time.After(time.Second):
		}
	}
}

// defaultLanes is one event loop per core, at least two: a lane that waits for
// a slow read must not be the only one.
func defaultLanes() int { return max(1, min(runtime.GOMAXPROCS(0)/2, 16)) }
