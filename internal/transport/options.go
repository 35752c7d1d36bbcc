package transport

import (
	"log/slog"
	"net"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
)

// Options configure a TCP transport. Identity, Incarnation, Addr and Allow
// are required; Listener is required to be reachable.
type Options struct {
	Identity    *Identity // this node's certificates; gives its node id and cluster id
	Incarnation uint64    // model.Start of this run: grows with every start; peers refuse an older one

	Listener net.Listener // where peers connect; nil for a transport that only dials. Close closes it.

	// Addr tells where a node's peer port is, HOST:PORT; false when unknown.
	Addr func(model.NodeID) (string, bool)
	// Allow tells whether a node is a member. It is asked at each connection and
	// about once a second for each open one; a removed node is cut off. A node
	// that this node has not heard of yet must be refused: it will try again.
	Allow func(model.NodeID) bool
	// Removed tells whether a node was a member and is none any more, and Known
	// the last start of a node that the cluster knows of; nil where nobody knows.
	// Refused is called when another node refuses this one for good (RefusedError.Final);
	// nil ignores it.
	Removed func(model.NodeID) bool
	Known   func(model.NodeID) model.Start
	Refused func(*RefusedError)
	// Region takes the connections of other regions, to close them; nil closes
	// them at once. It must not block.
	Region func(net.Conn)
	// Joiner admits new nodes; nil refuses all.
	Joiner Joiner

	Clock  base.Clock   // base.SystemClock{} when nil
	Rand   *base.Rand   // jitter; seeded by the system when nil
	Logger *slog.Logger // discarded when nil

	QueueBytes             int // DefaultQueueBytes when 0
	SnapshotBytesPerSecond int // all snapshots sent, together; 0 is no limit
}

func (o *Options) fill() {
	if o.Clock == nil {
		o.Clock = base.SystemClock{}
	}
	if o.Rand == nil {
		o.Rand = base.NewSystemRand()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.QueueBytes == 0 {
		o.QueueBytes = DefaultQueueBytes
	}
}
