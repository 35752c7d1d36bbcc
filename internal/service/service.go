// Package service holds the operations without a protocol: it authorises and
// validates, builds commands and queries, sends them where they belong and
// waits for their results. Doors and pipes call it; it knows no wire form.
//
// All methods may be called from any goroutine. Every error that a client may
// see is a *model.Error.
package service

import (
	"context"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
)

// Cluster is what service needs of the cluster. *cluster.Node implements it.
type Cluster interface {
	// Propose sends the command to the tablet that owns its slot, wherever that
	// tablet's leader is, and returns the result once it is applied there. It
	// tries again with the same command until ctx ends; the command's ID makes
	// that safe. Errors: ErrUnavailable (surely not applied); ErrUnknownOutcome; ErrNotAbroad and
	// ErrNotOnAll (applied, but not where it had to be; see model.ErrorKind.Partly).
	Propose(ctx context.Context, cmd *model.Command) (model.Result, error)

	// ProposeWhenReady is Propose for commands that take something which may not
	// be there yet (CmdReceive, CmdClaim): the leader proposes only when
	// machine.Ready says that the command would find something, and otherwise
	// waits, at most wait long, for it. proposed is false when the wait ran out.
	ProposeWhenReady(ctx context.Context, cmd *model.Command, wait time.Duration) (res model.Result, proposed bool, err error)

	// AwaitReady waits, at most wait long, until ProposeWhenReady of the command
	// would propose it at once. What is there then may be taken by another before
	// the caller asks for it.
	AwaitReady(ctx context.Context, cmd *model.Command, wait time.Duration) (ready bool, err error)

	// ProposeCatalog is Propose to the catalog tablet. When it returns, Catalog
	// on this node shows the change.
	ProposeCatalog(ctx context.Context, cmd *model.Command) (model.Result, error)

	// Read answers a query at the tablet that owns its slot. Strong reads are
	// linearizable; others are answered by any replica from committed state.
	Read(ctx context.Context, q *model.Query, strong bool) (model.Result, error)

	// ReadWhenReady answers a query from the leader's committed state as soon as
	// machine.QueryReady says that it finds something, and waits for that at most
	// wait long. ready is false when the wait ran out; then there is no result.
	ReadWhenReady(ctx context.Context, q *model.Query, wait time.Duration) (res model.Result, ready bool, err error)

	// Leads reports whether this node leads the tablet that owns the slot.
	Leads(slot model.Slot) bool

	// Buried are the queues of which messages died since it was last called, in
	// tablets that this node holds, by id: there may be dead letters to move.
	Buried() []model.ResourceID

	// Catalog is this node's newest view of the catalog. It is immutable.
	Catalog() *model.Catalog

	// SyncCatalog waits until Catalog shows everything that was committed before
	// the call. Services call it before they say that a name does not exist.
	SyncCatalog(ctx context.Context) error
}

// Service performs operations on one cluster.
type Service struct {
	cluster Cluster
	clock   base.Clock
	rand    *base.Rand
	tables  tableCache
	queues  specCache[*Queue]
	profile Profile
	streams streamRoom

	laggards laggards

	mostInFlight int64 // of a queue's messages; tests lower it
}

// New returns a Service on the cluster.
func New(c Cluster, clock base.Clock, rand *base.Rand) *Service {
	return &Service{cluster: unitCluster{c}, clock: clock, rand: rand, mostInFlight: model.MaxQueueInFlight}
}
