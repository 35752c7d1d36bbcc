package cluster

import (
	"context"
	"fmt"
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/journal"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
)

// dropStrays removes replicas that belong elsewhere. Data is never removed
// because somebody seems to be missing: the catalog, which is agreed, must want
// the tablet elsewhere, and the tablet's leader must say that this node is no
// member any more.
func (n *Node) dropStrays() {
	strays := n.strays()
	if len(strays) == 0 {
		return
	}
	// A stray hears nothing from here on. Should the tablet's leader make this
	// node a member again after the look below, it cannot have been told of
	// entries that are then no longer here.
	for _, r := range strays {
		n.onLane(r, func() { r.deaf = true })
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	sure := map[model.TabletID]bool{}
	if n.SyncCatalog(ctx) == nil {
		status := n.Status(ctx)
		for i := range status.Tablets {
			t := &status.Tablets[i]
			sure[t.ID] = base.Bug("dropunasked") || t.Leader != 0 && t.Settled && !t.Members.Has(n.opts.Node)
		}
	}
	still := n.strays()
	for _, r := range strays {
		if sure[r.id] && slices.Contains(still, r) {
			n.dropReplica(r)
		} else {
			n.onLane(r, func() { r.deaf = false })
		}
	}
}

// strays are the replicas here that the catalog wants elsewhere.
func (n *Node) strays() (strays []*replica) {
	for _, r := range n.allReplicas() {
		if r.stray.Load() {
			strays = append(strays, r)
		}
	}
	return strays
}

// dropReplica forgets a replica but for its term and vote: if the node becomes
// a member again, it must not vote twice. The journal forgets first. After a
// crash in between, the state is still there and the replica is a stray again.
func (n *Node) dropReplica(r *replica) {
	var hard *pb.HardState
	r.ready.Store(false)
	if !n.onLane(r, func() {
		r.tablet.Abandon()
		if !n.mustKeepLost(r, r.tablet.Unagreed(), false) {
			return
		}
		if hard = r.hard.value; hard == nil {
			hard = r.log.HardState()
		}
		r.dropped = true
	}) {
		return
	}
	if hard == nil {
		return // the node cannot go on
	}
	reset := journal.Write{Tablet: r.id, Reset: &journal.LogStart{}, Hard: &pb.HardState{Term: hard.Term, Vote: hard.Vote}}
	if !n.finished(func(done func()) {
		reset.Done = done
		n.journal.Submit([]journal.Write{reset})
	}) {
		return
	}
	var err error
	if !n.finished(func(done func()) {
		r.lane.applier.submit(work{replica: r, run: func() {
			err = n.removeState(r)
			done()
		}})
	}) {
		return
	}
	if err != nil {
		n.fatal(fmt.Errorf("cannot remove tablet %v: %w", r.id, err))
		return
	}
	n.mu.Lock()
	delete(n.replicas, r.id)
	n.mu.Unlock()
	r.waits.wakeAll()
	n.log.Info("removed a replica that was moved to other nodes", "tablet", r.id)
}

// removeState removes what the storage holds of the replica.
func (n *Node) removeState(r *replica) error {
	spans, err := tabletSpans(n.view, r.id, &r.state)
	if err != nil {
		return err
	}
	b := n.db.NewBatch()
	defer b.Close()
	for _, s := range spans {
		b.DeleteRange(s[0], s[1])
	}
	r.state = tablet.Applied{}
	return b.Commit()
}

// onLane runs f on the replica's lane and waits for it; false when the node
// stops before.
func (n *Node) onLane(r *replica, f func()) bool {
	return n.finished(func(done func()) {
		r.lane.do(r, func(*tablet.Tablet) {
			f()
			done()
		})
	})
}

// finished waits until what start started calls done; false when the node
// stops before.
func (n *Node) finished(start func(done func())) bool {
	ended := make(chan struct{})
	start(func() { close(ended) })
	select {
	case <-ended:
		return true
	case <-n.stopping:
		return false
	}
}
