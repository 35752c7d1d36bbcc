package cluster

import (
	"context"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/terms"
)

// Read implements service.Cluster.
func (n *Node) Read(ctx context.Context, q *model.Query, strong bool) (model.Result, error) {
	id, err := n.tabletOf(q.Slot)
	if err != nil {
		return model.Result{}, err
	}
	t := terms.Of(ctx)
	if !strong {
		if r := n.replica(id); r.member() {
			if lag, ok := n.freshEnough(ctx, r, t); ok {
				a := n.queryHere(r, q)
				t.ReadAt(id, a.index, lag)
				n.noteRegionLag(t, q.Resource)
				return a.result, a.err
			}
		}
		strong = t != nil // the leader gives what the terms ask for
	}
	a, err := n.request(ctx, &call{kind: callRead, tablet: id, strong: strong, query: *q})
	if err == nil {
		t.ReadAt(id, a.index, 0)
		n.noteRegionLag(t, q.Resource)
	}
	return a.result, err
}

const (
	// sessionPatience is how long an eventual read waits for this node's replica
	// to show what its session has seen, before it goes to the leader.
	sessionPatience = 200 * time.Millisecond
	// tellingLag is how old the knowledge may be of how far a replica lags, for
	// reads that are told of it and name no bound.
	tellingLag = 100 * time.Millisecond
)

// freshEnough reports whether the replica shows what the terms ask for, and how
// far it lags at most: it has applied everything that was committed that long
// ago. Requests without terms ask for nothing and are told nothing.
func (n *Node) freshEnough(ctx context.Context, r *replica, t *terms.Terms) (lag time.Duration, ok bool) {
	if t == nil {
		return 0, true
	}
	if !base.Bug("ignoretoken") && !n.reached(ctx, r, t.Least(r.id), sessionPatience) {
		return 0, false
	}
	bound := t.Lag()
	if bound == 0 {
		bound = tellingLag
	}
	if lag = r.lag(n.clock.Now()); lag <= bound {
		return lag, true
	}
	// Everything that is committed now is at or below the leader's read index.
	asked := n.clock.Now()
	a, err := n.request(ctx, &call{kind: callReadIndex, tablet: r.id})
	if err == nil && (n.reached(ctx, r, a.index, max(bound, sessionPatience)) || base.Bug("falselag")) {
		r.fresh.Store(asked.UnixMilli())
	}
	lag = r.lag(n.clock.Now())
	return lag, lag <= bound || t.Lag() == 0
}

// lag is how long ago the replica was known to hold all that was committed.
func (r *replica) lag(now time.Time) time.Duration {
	return max(0, time.Duration(now.UnixMilli()-r.fresh.Load())*time.Millisecond)
}

// reached waits until the replica has applied the entry at index.
func (n *Node) reached(ctx context.Context, r *replica, index model.Index, patience time.Duration) bool {
	if model.Index(r.applied.Load()) >= index {
		return true
	}
	late := make(chan struct{})
	timer := n.clock.AfterFunc(patience+n.jitter(), func() { close(late) })
	defer timer.Stop()
	select {
	case <-r.marks.wait(index):
		return true
	case <-late:
	case <-ctx.Done():
	case <-n.stopping:
	}
	return false
}

// ReadWhenReady implements service.Cluster.
func (n *Node) ReadWhenReady(ctx context.Context, q *model.Query, wait time.Duration) (model.Result, bool, error) {
	id, err := n.tabletOf(q.Slot)
	if err != nil {
		return model.Result{}, false, err
	}
	a, err := n.request(ctx, &call{kind: callAwaitRead, tablet: id, query: *q, wait: wait})
	return a.result, a.ready, err
}

// SyncCatalog implements service.Cluster.
func (n *Node) SyncCatalog(ctx context.Context) error {
	a, err := n.request(ctx, &call{kind: callReadIndex, tablet: model.CatalogTablet})
	if err != nil {
		return err
	}
	return n.waitCatalog(ctx, a.index)
}

// waitCatalog waits until this node's catalog holds the entry at index.
func (n *Node) waitCatalog(ctx context.Context, index model.Index) error {
	r := n.replica(model.CatalogTablet)
	if r == nil {
		return model.Errorf(model.ErrUnavailable, "this node has not received the catalog yet; try again")
	}
	if n.reached(ctx, r, index, requestTimeout) {
		return nil
	}
	return model.Errorf(model.ErrUnknownOutcome, "this node's catalog is behind; the outcome cannot be shown here yet")
}

// Leads reports whether this node leads the tablet that owns the slot.
func (n *Node) Leads(slot model.Slot) bool {
	t, ok := n.Catalog().TabletOf(slot)
	if !ok {
		return false
	}
	r := n.replica(t.ID)
	return r != nil && r.leads.Load()
}
