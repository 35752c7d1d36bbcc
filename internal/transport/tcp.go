package transport

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/model"
)

// TCP is the Transport over TCP and TLS 1.3.
type TCP struct {
	opts     Options
	id       *Identity
	receiver Handler
	firstGen uint32 // of call ids, so that those of two starts differ
	limiter  *limiter
	stats    counters
	tick     atomic.Uint64 // counts CallTicks

	peers atomic.Pointer[peerSet]

	mu    sync.Mutex // guards what follows, and replacing peers
	conns map[*conn]struct{}
	raw   map[net.Conn]struct{} // accepted and not yet proven
	snaps int                   // snapshots being received
	joins int                   // requests to join being handled
	ended bool

	goroutines sync.WaitGroup
	ctx        context.Context // ends with Close
	cancel     context.CancelFunc
	timers     [2]stopper // of the next tick and renewal; guarded by mu
}

// peerSet is the other nodes seen so far. It is replaced, never changed.
type peerSet struct {
	byID map[model.NodeID]*peer
	list []*peer // by id
}

func (s *peerSet) with(p *peer) *peerSet {
	grown := &peerSet{byID: maps.Clone(s.byID), list: append(slices.Clone(s.list), p)}
	if grown.byID == nil {
		grown.byID = make(map[model.NodeID]*peer)
	}
	grown.byID[p.node] = p
	slices.SortFunc(grown.list, func(a, b *peer) int { return cmp.Compare(a.node, b.node) })
	return grown
}

const (
	maxUnproven     = 256 // connections in their handshake
	maxSnapshots    = 64  // received at one time
	maxJoins        = 4   // handled at one time
	pingTicks       = 10  // a second: how often something is sent at least
	deafAfterTicks  = 30  // 3 seconds: when a silent peer is given up
	renewalInterval = time.Minute
)

// New starts a transport that serves o.Listener and hands what arrives to h,
// from now on.
func New(o Options, h Handler) (*TCP, error) {
	o.fill()
	if o.Identity == nil || o.Addr == nil || o.Allow == nil || h == nil {
		return nil, fmt.Errorf("cannot start transport: Identity, Addr, Allow and a Handler are required")
	}
	t := &TCP{
		opts: o, id: o.Identity, receiver: h,
		firstGen: uint32(o.Rand.IntN(1 << 20)),
		conns:    make(map[*conn]struct{}),
		raw:      make(map[net.Conn]struct{}),
	}
	t.limiter = &limiter{clock: o.Clock, bytesPerSecond: o.SnapshotBytesPerSecond}
	t.peers.Store(&peerSet{})
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.schedule(0, CallTick, t.onTick)
	t.schedule(1, renewalInterval, t.onRenewal)
	if o.Listener != nil {
		t.goroutines.Add(1)
		go t.acceptLoop()
	}
	return t, nil
}

var _ Transport = (*TCP)(nil)

// Send implements Transport.
func (t *TCP) Send(to model.NodeID, tablet model.TabletID, msgs []*raftpb.Message) {
	t.peer(to).send(tablet, msgs)
}

// Flush implements Transport.
func (t *TCP) Flush() {
	for _, p := range t.peers.Load().list {
		p.flush()
	}
}

// Call implements Transport.
func (t *TCP) Call(to model.NodeID, req []byte, timeout time.Duration, done func(resp []byte, err error)) {
	switch {
	case to == t.id.node:
		done(nil, &callError{ErrNotSent, "a node does not call itself"})
	case len(req) > MaxCallBytes:
		done(nil, &callError{ErrNotSent, "the request is too large"})
	case timeout <= 0:
		done(nil, &callError{ErrNotSent, "there was no time left"})
	default:
		t.peer(to).call(req, timeout, done)
	}
}

// Close implements Transport.
func (t *TCP) Close() error {
	t.mu.Lock()
	t.ended = true
	for _, timer := range t.timers {
		if timer != nil && timer.Stop() {
			t.goroutines.Done()
		}
	}
	t.timers = [2]stopper{}
	for c := range t.raw {
		_ = c.Close()
	}
	conns := make([]*conn, 0, len(t.conns))
	for c := range t.conns {
		conns = append(conns, c)
	}
	t.mu.Unlock()

	t.cancel()
	var err error
	if t.opts.Listener != nil {
		err = t.opts.Listener.Close()
	}
	for _, p := range t.peers.Load().list {
		p.close()
	}
	for _, c := range conns {
		c.fail(errClosed)
	}
	t.goroutines.Wait()
	return err
}

// peer returns the other node's record, which lives as long as the transport.
// After Close it may be a closed one that nobody else sees.
func (t *TCP) peer(id model.NodeID) *peer {
	if p, ok := t.peers.Load().byID[id]; ok {
		return p
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.peers.Load()
	if p, ok := old.byID[id]; ok {
		return p
	}
	p := &peer{t: t, node: id}
	p.q.init(t.opts.QueueBytes)
	if t.ended {
		p.state = peerClosed
		return p
	}
	t.peers.Store(old.with(p))
	return p
}

// remember registers an established connection; false after Close.
func (t *TCP) remember(c *conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return false
	}
	t.conns[c] = struct{}{}
	return true
}

func (t *TCP) forget(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
}

// dialContext bounds an attempt to connect.
func (t *TCP) dialContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.ctx, dialTimeout)
}

// schedule calls f after d unless the transport is closed before.
func (t *TCP) schedule(which int, d time.Duration, f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return
	}
	t.goroutines.Add(1)
	t.timers[which] = t.opts.Clock.AfterFunc(d, func() {
		defer t.goroutines.Done()
		f()
	})
}

// onTick ends late calls, pings, and gives up silent and removed peers.
func (t *TCP) onTick() {
	tick := t.tick.Add(1)
	for _, p := range t.peers.Load().list {
		p.expire(tick)
	}
	t.mu.Lock()
	conns := make([]*conn, 0, len(t.conns))
	for c := range t.conns {
		conns = append(conns, c)
	}
	t.mu.Unlock()
	for _, c := range conns {
		c.checkAlive()
		if tick%pingTicks == 0 {
			if !t.opts.Allow(c.node) {
				c.fail(refuse(refuseMember, "node %v was removed", c.node))
			}
			c.q.ping()
		}
	}
	t.schedule(0, CallTick, t.onTick)
}

// checkAlive counts the ticks in which nothing arrived although somebody was
// waiting for it. Ticks are counted, not time, so that a node that was itself
// stopped for a while does not blame its peers.
func (c *conn) checkAlive() {
	read := c.wire.read.Load()
	if read != c.lastRead || !c.wire.reading.Load() {
		c.lastRead, c.deafTicks = read, 0
		return
	}
	if c.deafTicks++; c.deafTicks > deafAfterTicks {
		c.fail(errDeaf)
	}
}

// onRenewal keeps this node's certificate fresh.
func (t *TCP) onRenewal() {
	if err := t.id.Renew(t.opts.Clock.Now()); err != nil {
		t.opts.Logger.Error("peer certificate not renewed; the old one stays in use", "expires", t.id.ExpiresAt(), "err", err)
	}
	t.schedule(1, renewalInterval, t.onRenewal)
}
