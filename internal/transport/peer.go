package transport

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/model"
)

// peerState is what a peer's outgoing connection is doing.
type peerState uint8

const (
	peerIdle    peerState = iota // nobody has wanted anything yet, or since it was lost
	peerDialing                  // what comes is queued
	peerUp
	peerBackoff // dialling failed just now; what comes is refused
	peerClosed  // the transport is closed
)

func (s peerState) String() string {
	return [...]string{"idle", "dialing", "up", "backoff", "closed"}[s]
}

// peer is one other node: what waits to go there, the calls it has to answer,
// and the connection that this node dialled. What the other node dialled is in
// accepted.
type peer struct {
	t    *TCP
	node model.NodeID
	held atomic.Bool // Send queued something that was not pushed yet

	q queue // its mutex guards all that follows

	calls    callTable
	state    peerState
	wanted   bool      // something was refused while in backoff
	failures int       // dialling attempts failed in a row
	upSince  time.Time // when the connection was made
	dialled  *conn     // while up
	accepted *conn     // the newest one that the other node made; nil when it ended
	newest   uint64    // highest incarnation seen
	lastErr  string    // why it is not up, for Stats
	timer    stopper   // of the backoff
}

type stopper interface{ Stop() bool }

const (
	dialTimeout = 5 * time.Second // of TCP, TLS and hello together
	backoffMin  = 50 * time.Millisecond
	backoffMax  = 2 * time.Second
	// stableAfter is how long a connection must have lived for its loss to be
	// followed by a try at once.
	stableAfter = time.Second
)

var errNoAddress = errors.New("no address is known")

// send queues raft messages.
func (p *peer) send(tablet model.TabletID, msgs []*raftpb.Message) {
	p.q.mu.Lock()
	defer p.q.mu.Unlock()
	if !p.usable() {
		p.t.stats.raftDropped.Add(uint64(len(msgs)))
		return
	}
	dropped := p.q.addRaft(tablet, msgs)
	if dropped > 0 {
		p.t.stats.raftDropped.Add(uint64(dropped))
	}
	p.t.stats.raftSent.Add(uint64(len(msgs) - dropped))
	if !p.q.urgent {
		p.held.Store(true)
	}
}

// flush pushes what send queued.
func (p *peer) flush() {
	if !p.held.Load() {
		return
	}
	p.q.mu.Lock()
	defer p.q.mu.Unlock()
	p.held.Store(false)
	p.q.push()
}

// usable reports whether something may be queued, and begins to dial when it
// is time. Called with the queue's mutex held.
func (p *peer) usable() bool {
	switch p.state {
	case peerIdle:
		p.dial()
		return true
	case peerBackoff:
		p.wanted = true
		return false
	case peerClosed:
		return false
	}
	return true
}

// dial begins to connect. Called with the queue's mutex held.
func (p *peer) dial() {
	p.state = peerDialing
	p.wanted = false
	p.t.goroutines.Add(1)
	go p.run()
}

// call queues a call.
func (p *peer) call(req []byte, timeout time.Duration, done func([]byte, error)) {
	if err := p.tryCall(req, timeout, done); err != nil {
		done(nil, err)
	}
}

// tryCall queues a call or says why it cannot; done is not called then.
func (p *peer) tryCall(req []byte, timeout time.Duration, done func([]byte, error)) error {
	p.q.mu.Lock()
	defer p.q.mu.Unlock()
	if !p.usable() {
		return &callError{ErrNotSent, fmt.Sprintf("node %v cannot be reached: %s", p.node, p.lastErr)}
	}
	if !p.q.fits(len(req) + 16) {
		return &callError{ErrNotSent, fmt.Sprintf("too much waits for node %v", p.node)}
	}
	id, call, ok := p.calls.add(p.t.firstGen)
	if !ok {
		return &callError{ErrNotSent, fmt.Sprintf("too many calls wait for node %v", p.node)}
	}
	call.done = done
	// One tick more, because part of the present one has passed.
	call.deadline = p.t.tick.Load() + uint64((timeout+CallTick-1)/CallTick) + 1
	call.batch = p.q.batch
	call.kindAt, call.large = p.q.addIDFrame(frameCall, id, req)
	return nil
}

// answered ends a call. Answers to calls that have ended are ignored.
func (p *peer) answered(id uint64, resp []byte, err error) {
	p.q.mu.Lock()
	done := p.calls.take(id)
	p.q.mu.Unlock()
	if done != nil {
		done(resp, err)
	}
}

// replyVia queues the answer to a request that came by in, if there is a
// connection the other way; false when there is not. An answer that does not
// fit is dropped and counted.
func (p *peer) replyVia(in *conn, kind frameKind, id uint64, resp []byte) bool {
	p.q.mu.Lock()
	defer p.q.mu.Unlock()
	if p.state != peerUp || p.dialled.dead.Load() {
		return false
	}
	if !p.q.fits(len(resp) + 16) {
		p.t.stats.repliesDropped.Add(1)
		return true
	}
	in.routed.Store(true)
	p.q.addIDFrame(kind, id, resp)
	return true
}

// expire ends calls that have waited too long.
func (p *peer) expire(tick uint64) {
	p.q.mu.Lock()
	ended := p.calls.expire(&p.q, tick)
	p.q.mu.Unlock()
	p.t.stats.callsTimedOut.Add(uint64(len(ended)))
	for _, e := range ended {
		e.finish()
	}
}
