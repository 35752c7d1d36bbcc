package cluster

import (
	"context"
	"time"

	"weir.dev/weir/internal/model"
)

// Read implements service.Cluster.
func (n *Node) Read(ctx context.Context, q *model.Query, strong bool) (model.Result, error) {
	id, err := n.tabletOf(q.Slot)
	if err != nil {
		return model.Result{}, err
	}
	if !strong {
		if r := n.replica(id); r.member() {
			a := n.queryHere(r, q)
			return a.result, a.err
		}
	}
	a, err := n.request(ctx, &call{kind: callRead, tablet: id, strong: strong, query: *q})
	return a.result, err
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
	late := make(chan struct{})
	timer := n.clock.AfterFunc(requestTimeout, func() { close(late) })
	defer timer.Stop()
	select {
	case <-r.marks.wait(index):
		return nil
	case <-late:
	case <-ctx.Done():
	case <-n.stopping:
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
