// Package transport connects the nodes of one cluster: raft messages, calls
// (a request and its answer), snapshot streams, and the admission of new
// nodes. It owns the peers' TLS identities.
//
// It carries bytes and knows nothing of what they mean: no catalog, no tablet,
// no retry of a call. It promises bounded memory per peer and says truthfully
// whether a call was surely not delivered.
//
// Each node dials each other node once. That connection carries the dialling
// node's raft messages, its calls, and its answers to the other node's calls,
// so that everything one node has for another at one moment is one write. A
// snapshot has a connection of its own. The bytes are described in
// docs/format/transport.md, who may connect in docs/security-peers.md.
//
// All methods may be called from any goroutine. Per connection there is one
// reading and one writing goroutine; handlers and callbacks run on the reading
// one and must not block.
//
// Start with Transport (what a cluster needs), then New in tcp.go,
// peer.go and peer_run.go (one other node), queue.go (what waits to be
// written), frame.go (the bytes), identity.go, join.go and joiner.go.
package transport

import (
	"context"
	"errors"
	"io"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/model"
)

// Handler is the receiving side. Raft and Call run on a connection's reading
// goroutine: they must return quickly and never block on a disk, a socket or a
// lock that is held across either.
type Handler interface {
	// Raft takes one raft message. The message belongs to the callee.
	Raft(from model.NodeID, tablet model.TabletID, msg *raftpb.Message)

	// Call takes one request. reply must be called exactly once, from any
	// goroutine, now or later; it copies resp before it returns and does not
	// block. req belongs to the callee. An err that is a *model.Error reaches
	// the caller as an equal *model.Error, any other as a *RemoteError.
	Call(from model.NodeID, req []byte, reply func(resp []byte, err error))

	// Snapshot consumes a snapshot stream; it runs on a goroutine of its own and
	// may block. body ends with io.EOF when, and only when, the sender finished;
	// any other error means that the stream is incomplete. header belongs to the
	// callee. The returned error is told to the sender.
	Snapshot(from model.NodeID, header []byte, body io.Reader) error
}

// Transport is what a cluster needs of the network. *TCP is the real one; the
// simulator has its own.
type Transport interface {
	// Send queues raft messages for a node: best effort, in order, never
	// blocking. The messages are marshalled before Send returns, since raft's
	// messages alias its unstable log. Messages that do not fit into the peer's
	// queue, or that are for a node which cannot be reached just now, are dropped
	// and counted. They leave at the next Flush, or with the next call or answer
	// to that node.
	Send(to model.NodeID, tablet model.TabletID, msgs []*raftpb.Message)

	// Flush lets everything that Send queued go out. Lanes call it at the end of
	// a turn, so that a turn's messages to one node are one write.
	Flush()

	// Call sends req to a node's Handler.Call and later calls done, exactly once,
	// from another goroutine or before Call returns; done must not block. req is
	// copied before Call returns; resp belongs to done. When err is set it is
	// ErrNotSent (the request was surely not delivered), ErrUnknown (the
	// connection broke or timeout passed after the request was sent: it was
	// carried out or not), or what the other side answered: a *model.Error or a
	// *RemoteError. Test with errors.Is and errors.As. done comes at most
	// CallTick after timeout.
	Call(to model.NodeID, req []byte, timeout time.Duration, done func(resp []byte, err error))

	// SendSnapshot streams what body writes to a node's Handler.Snapshot, on a
	// connection of its own, and returns when that has returned. header is at
	// most MaxSnapshotHeaderBytes. nil means that the other side has consumed the
	// whole stream; an error of the other side is a *RemoteError; after any
	// other error the other side may have consumed it or not. It blocks; ctx
	// ends it.
	SendSnapshot(ctx context.Context, to model.NodeID, header []byte, body func(io.Writer) error) error

	// Close ends all connections and waits for all goroutines of the transport,
	// those inside Handler.Snapshot (whose body fails at its next read) and
	// Joiner.Join (whose ctx ends) among them. Every outstanding call's done has
	// been called when it returns.
	Close() error
}

// ErrNotSent says that a call was surely not delivered: nobody carried it out.
var ErrNotSent = errors.New("the request was not sent")

// ErrUnknown says that a call may have been carried out or not.
var ErrUnknown = errors.New("the outcome of the request is unknown")

// RemoteError is an error that the other node's handler returned and that is
// not a *model.Error.
type RemoteError struct{ Message string }

func (e *RemoteError) Error() string { return e.Message }

// callError is an ErrNotSent or ErrUnknown with its cause.
type callError struct {
	outcome error // ErrNotSent or ErrUnknown
	cause   string
}

func (e *callError) Error() string { return e.outcome.Error() + ": " + e.cause }
func (e *callError) Unwrap() error { return e.outcome }

// Limits of the transport.
const (
	// MaxCallBytes bounds a call's request and answer: a command of
	// model.MaxCommandBytes with room for its envelope.
	MaxCallBytes = model.MaxCommandBytes + 1<<20

	// MaxRaftBytes bounds one encoded raft message: one entry of the largest
	// command beside a message's worth of small ones.
	MaxRaftBytes = 32 << 20

	// MaxSnapshotHeaderBytes bounds a snapshot's header.
	MaxSnapshotHeaderBytes = 1 << 20

	// DefaultQueueBytes is what may wait for one peer: three largest commands,
	// or half a second of a gigabit link.
	DefaultQueueBytes = 64 << 20

	// MaxPendingCalls bounds the unanswered calls to one peer.
	MaxPendingCalls = 1 << 16

	// CallTick is how late a call's timeout may be noticed.
	CallTick = 100 * time.Millisecond
)
