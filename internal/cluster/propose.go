package cluster

import (
	"context"
	"errors"
	"sync"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/machine"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
	"weir.dev/weir/internal/terms"
)

const (
	// requestTimeout ends a request whose context has no earlier end: a few
	// failovers fit, and AWS SDKs wait longer.
	requestTimeout = 8 * time.Second
	// attemptTimeout is how long one node may take to answer before the
	// request is tried again: longer than a leader needs to notice that it has
	// lost its majority.
	attemptTimeout = 3 * time.Second
	// retryPause is the first pause between tries; it doubles up to maxRetryPause.
	retryPause    = 2 * time.Millisecond
	maxRetryPause = 100 * time.Millisecond
)

// Propose implements service.Cluster.
func (n *Node) Propose(ctx context.Context, cmd *model.Command) (model.Result, error) {
	id, err := n.tabletOf(cmd.Slot)
	if err != nil {
		return model.Result{}, err
	}
	t := terms.Of(ctx)
	a, err := n.request(ctx, &call{kind: callPropose, tablet: id, command: *cmd, level: t.Asked(), regions: t.Abroad()})
	return wrote(t, id, &a, err)
}

// wrote notes what a write was given, and fails one that is less durable than
// was asked for.
func wrote(t *terms.Terms, id model.TabletID, a *answer, err error) (model.Result, error) {
	if err != nil {
		return model.Result{}, err
	}
	t.Wrote(id, a.index, a.level)
	if a.abroad.waited {
		t.Shipped(a.abroad.have)
	}
	if lacks := a.abroad.lacks; lacks > 0 {
		return model.Result{}, model.Errorf(model.ErrNotAbroad, "this region has the write on disk and ships it, but %d other regions that must have it did not say within %v that they do; it is safe to send it again", lacks, model.RegionPatience)
	}
	if a.short {
		return model.Result{}, model.Errorf(model.ErrNotOnAll, "the write was carried out and stays: a majority of its replicas has it on disk, but not all of them in time, as level all asks: one is down or slow. It is safe to send it again: under the same amz-sdk-invocation-id it takes effect once")
	}
	return a.result, nil
}

// ProposeCatalog implements service.Cluster.
func (n *Node) ProposeCatalog(ctx context.Context, cmd *model.Command) (model.Result, error) {
	a, err := n.request(ctx, &call{kind: callPropose, tablet: model.CatalogTablet, command: *cmd})
	if err != nil {
		return model.Result{}, err
	}
	return a.result, n.waitCatalog(ctx, a.index)
}

// ProposeWhenReady implements service.Cluster.
func (n *Node) ProposeWhenReady(ctx context.Context, cmd *model.Command, wait time.Duration) (model.Result, bool, error) {
	id, err := n.tabletOf(cmd.Slot)
	if err != nil {
		return model.Result{}, false, err
	}
	t := terms.Of(ctx)
	a, err := n.request(ctx, &call{kind: callWhenReady, tablet: id, command: *cmd, wait: wait, level: t.Asked(), regions: t.Abroad()})
	if err != nil || !a.ready {
		return model.Result{}, false, err
	}
	res, err := wrote(t, id, &a, nil)
	return res, err == nil, err
}

// AwaitReady implements service.Cluster.
func (n *Node) AwaitReady(ctx context.Context, cmd *model.Command, wait time.Duration) (bool, error) {
	id, err := n.tabletOf(cmd.Slot)
	if err != nil {
		return false, err
	}
	a, err := n.request(ctx, &call{kind: callAwait, tablet: id, command: *cmd, wait: wait})
	return a.ready, err
}

func (n *Node) tabletOf(slot model.Slot) (model.TabletID, error) {
	t, ok := n.Catalog().TabletOf(slot)
	if !ok {
		return 0, model.Errorf(model.ErrUnavailable, "this node has not received the catalog yet; try again")
	}
	return t.ID, nil
}

// request carries a call to its tablet's leader, wherever that is, and tries
// again while the leader changes. Trying again is safe: the command keeps its
// request id. The call's wait counts from the beginning.
func (n *Node) request(ctx context.Context, c *call) (answer, error) {
	begun := n.clock.Now()
	waitEnd := begun.Add(c.wait)
	end := waitEnd.Add(requestTimeout)
	unknown, asked := false, false
	var refused *refusal
	var refusedEnd time.Time
	for pause := retryPause; ; pause = min(2*pause, maxRetryPause) {
		if c.kind.waits() {
			c.wait = max(0, waitEnd.Sub(n.clock.Now()))
		}
		a := n.attempt(ctx, c)
		switch {
		case a.err == nil && asked && machine.TookNothing(&c.command, a.result):
			c.kind, asked = callWhenReady, false // it had not been applied: wait on
			continue
		case a.err == nil:
			return a, nil
		case errors.Is(a.err, tablet.ErrUnknown):
			unknown = true
			if c.kind == callWhenReady {
				// If it was applied, what it took is no longer there to wait for; the
				// dedupe table knows.
				c.kind, asked = callPropose, true
			}
			if base.Bug("forwardtwice") {
				c.command.ID = n.newRequestID()
			}
		case errors.Is(a.err, tablet.ErrNotLeader), errors.Is(a.err, tablet.ErrBusy):
		case errors.As(a.err, &refused):
			now := n.clock.Now()
			if refusedEnd.IsZero() {
				refusedEnd = now.Add(model.RegionPatience)
			}
			if !refused.soon || !now.Before(refusedEnd) {
				end = now
			}
		case errors.Is(a.err, errDiskFull) && unknown:
			end = n.clock.Now() // an earlier try may have been carried out
		default:
			return a, a.err
		}
		if ctx.Err() != nil || !n.clock.Now().Before(end) || !n.pause(ctx, pause) {
			break
		}
	}
	if unknown {
		return answer{}, model.Errorf(model.ErrUnknownOutcome, "the request may or may not have been carried out; it is safe to send it again with the same request id")
	}
	if refused != nil {
		return answer{}, refused.why
	}
	return answer{}, model.Errorf(model.ErrUnavailable, "no leader could be reached for the data; the request was not carried out")
}

// attempt carries the call to the leader that this node knows of.
func (n *Node) attempt(ctx context.Context, c *call) answer {
	r := n.replica(c.tablet)
	if r != nil && r.leads.Load() {
		return n.attemptHere(ctx, r, c)
	}
	var changed <-chan struct{}
	if r != nil {
		changed = r.leaders.change() // before looking, so that no change is missed
	}
	to, ok := n.leaderOf(r, c.tablet)
	if !ok {
		return answer{err: tablet.ErrNotLeader}
	}
	done := make(chan answer, 1)
	if c.kind.waits() {
		c.number = n.waitNumber.Add(1)
	}
	n.ask(to, c, attemptTimeout+c.wait, func(a answer) { done <- a })
	a := n.await(ctx, done, changed)
	if !r.member() {
		n.leads.learn(c.tablet, n.opts.Node, to, &a)
	}
	if c.kind.waits() && errors.Is(a.err, tablet.ErrUnknown) {
		n.ask(to, &call{kind: callLeave, tablet: c.tablet, number: c.number}, attemptTimeout, func(answer) {})
	}
	return a
}

// waitHere carries out a call that waits, at the leader.
func (n *Node) waitHere(ctx context.Context, r *replica, c *call) answer {
	switch c.kind {
	case callWhenReady:
		return n.proposeWhenReady(ctx, r, c)
	case callAwait:
		return n.awaitReady(ctx, r, &c.command, c.wait)
	default:
		return n.readWhenReady(ctx, r, &c.query, c.wait)
	}
}

func (n *Node) attemptHere(ctx context.Context, r *replica, c *call) answer {
	if c.kind.waits() {
		return n.waitHere(ctx, r, c)
	}
	if c.kind == callPropose {
		return n.proposeHere(ctx, r, c)
	}
	done := make(chan answer, 1)
	r.readIndex(func(a answer) { done <- a })
	a := n.await(ctx, done, nil)
	if a.err == nil && c.kind == callRead {
		return n.queryHere(r, &c.query)
	}
	return a
}

// proposeHere proposes to a replica that leads and waits for the answer. The
// lane stamps its own copy of the command: one of an earlier try may still be
// in its hands.
func (n *Node) proposeHere(ctx context.Context, r *replica, c *call) answer {
	done := make(chan answer, 1)
	stamped := c.command
	n.proposeTo(r, &stamped, c, func(a answer) { done <- a })
	return n.await(ctx, done, nil)
}

// await waits for an answer, or until it may never come: the request has
// ended, or, when changed is closed, there is another leader than the one that
// was asked. An answer that is there counts, whatever else has happened.
func (n *Node) await(ctx context.Context, done <-chan answer, changed <-chan struct{}) answer {
	select {
	case a := <-done:
		return a
	case <-changed:
	case <-ctx.Done():
	}
	select {
	case a := <-done:
		return a
	default:
		return answer{err: tablet.ErrUnknown}
	}
}

// leaderOf is the node to ask: the leader that the local replica knows, or,
// without one, who is said to lead, or else any of the tablet's members.
func (n *Node) leaderOf(r *replica, id model.TabletID) (model.NodeID, bool) {
	if r.member() {
		lead := model.NodeID(r.lead.Load())
		return lead, lead != 0 && lead != n.opts.Node
	}
	if to := n.leads.of(id); to != 0 {
		return to, true
	}
	var members []model.NodeID
	if t, ok := n.Catalog().TabletByID(id); ok {
		members = t.Voters
	} else {
		for _, m := range n.Catalog().Nodes {
			members = append(members, m.ID)
		}
	}
	if len(members) == 0 {
		return 0, false
	}
	to := members[n.rand.IntN(len(members))]
	return to, to != n.opts.Node
}

// hearsay is who leads the tablets that this node holds no replica of, as far
// as other nodes have said.
type hearsay struct {
	mu    sync.Mutex // guards leads
	leads map[model.TabletID]model.NodeID
}

func (h *hearsay) of(id model.TabletID) model.NodeID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.leads[id]
}

// learn takes from an answer who leads: the one that was asked, another, or
// nobody knows. This node does not, whatever others still believe.
func (h *hearsay) learn(id model.TabletID, self, asked model.NodeID, a *answer) {
	lead := asked
	if a.err != nil {
		lead = a.leader
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.leads == nil {
		h.leads = map[model.TabletID]model.NodeID{}
	}
	if lead == 0 || lead == self || lead == asked && a.err != nil {
		delete(h.leads, id)
		return
	}
	h.leads[id] = lead
}

// jitter keeps those who wait for one event from all coming back at once.
func (n *Node) jitter() time.Duration { return time.Duration(n.rand.IntN(int(time.Millisecond))) }

// pause waits before the next try; false when the request or the node ends.
func (n *Node) pause(ctx context.Context, d time.Duration) bool {
	done := make(chan struct{})
	t := n.clock.AfterFunc(d+n.jitter(), func() { close(done) })
	select {
	case <-done:
		return true
	case <-ctx.Done():
	case <-n.stopping:
	}
	t.Stop()
	return false
}
