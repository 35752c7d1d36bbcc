package transport

import (
	"sync/atomic"

	"weir.dev/weir/internal/model"
)

// counters count since the start.
type counters struct {
	bytesSent, writes          atomic.Uint64
	raftSent, raftDropped      atomic.Uint64
	repliesDropped             atomic.Uint64
	callsTimedOut              atomic.Uint64
	dialsFailed, acceptsFailed atomic.Uint64
	acceptsRefused             atomic.Uint64
}

// Stats are a transport's counters since its start and the state of its peers.
type Stats struct {
	BytesSent      uint64 // before TLS
	Writes         uint64 // batches; BytesSent/Writes is the batching reached
	RaftSent       uint64 // messages queued for a peer
	RaftDropped    uint64 // messages dropped: peer out of reach or queue full
	RepliesDropped uint64 // answers dropped: queue full
	CallsTimedOut  uint64
	DialsFailed    uint64
	AcceptsFailed  uint64 // the system could not accept
	AcceptsRefused uint64 // handshakes that failed, and connections over the limit

	Peers []PeerStats // by node
}

// PeerStats is the state of one peer.
type PeerStats struct {
	Node         model.NodeID
	State        string // of the connection that this node makes: idle, dialing, up, backoff, closed
	Accepted     bool   // the other node has a connection to this one
	QueuedBytes  int
	PendingCalls int
	LastError    string // why State is not up; empty when it is
}

// Stats may be called at any time.
func (t *TCP) Stats() Stats {
	s := Stats{
		BytesSent: t.stats.bytesSent.Load(), Writes: t.stats.writes.Load(),
		RaftSent: t.stats.raftSent.Load(), RaftDropped: t.stats.raftDropped.Load(),
		RepliesDropped: t.stats.repliesDropped.Load(), CallsTimedOut: t.stats.callsTimedOut.Load(),
		DialsFailed: t.stats.dialsFailed.Load(), AcceptsFailed: t.stats.acceptsFailed.Load(),
		AcceptsRefused: t.stats.acceptsRefused.Load(),
	}
	for _, p := range t.peers.Load().list {
		s.Peers = append(s.Peers, p.stats())
	}
	return s
}

func (p *peer) stats() PeerStats {
	p.q.mu.Lock()
	defer p.q.mu.Unlock()
	return PeerStats{
		Node: p.node, State: p.state.String(), Accepted: p.accepted != nil,
		QueuedBytes: len(p.q.buf) + p.q.bytes, PendingCalls: p.calls.pending, LastError: p.lastErr,
	}
}
