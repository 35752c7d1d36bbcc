package cluster

import (
	"context"
	"slices"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
)

// keepJournal makes state durable so that the journal can be cut.
func (n *Node) keepJournal() {
	var cutAt uint64 // bytes ever written to the journal
	for rounds := 1; n.sleep(n.opts.HousekeepingEvery); rounds++ {
		n.journal.CheckSpace()
		written := n.journal.Metrics().Bytes
		if written-cutAt < n.opts.CutBytes && rounds < maxRoundsUncut && !n.journal.Full() {
			continue
		}
		if err := n.cutJournal(); err != nil {
			n.fatal(err)
			return
		}
		cutAt, rounds = written, 0
	}
}

// maxRoundsUncut is how many rounds of housekeeping the storage may stay
// unflushed when little is written.
const maxRoundsUncut = 20

// keepPlaces brings every tablet led here to its wanted members and leader;
// the catalog's leader also decides what is wanted and removes the data of
// deleted resources.
func (n *Node) keepPlaces() {
	for n.sleep(n.opts.HousekeepingEvery) {
		n.steer()
		if r := n.replica(model.CatalogTablet); r != nil && r.leads.Load() {
			n.place()
			n.removeDeleted()
		}
	}
}

// cutJournal flushes the storage and lets the journal forget what is durable
// there. Entries that a follower still lacks are kept while the journal is
// within its budget.
func (n *Node) cutJournal() error {
	replicas := n.allReplicas()
	durable := map[model.TabletID]model.Index{}
	behind := false
	for _, r := range replicas {
		at := model.Index(r.applied.Load())
		durable[r.id] = at
		behind = behind || uint64(at) > r.flushed
	}
	if !behind {
		return nil
	}
	if err := n.db.Flush(); err != nil {
		return err
	}
	tight := n.journal.Metrics().SizeBytes > n.opts.LogBudgetBytes
	for _, r := range replicas {
		at := durable[r.id]
		r.flushed = uint64(at)
		if bugApplyTwice {
			at -= min(at, 8) // what the stale applied record will ask for
		}
		r.lane.do(r, func(t *tablet.Tablet) {
			keep := at
			if !tight {
				for _, matched := range t.Status().Matched {
					keep = min(keep, matched)
				}
			}
			n.journal.Compact(r.id, keep)
		})
	}
	return nil
}

// steer moves the tablets led here towards what the catalog wants.
func (n *Node) steer() {
	c := n.Catalog()
	for _, r := range n.allReplicas() {
		t, ok := c.TabletByID(r.id)
		if !ok || !r.leads.Load() {
			continue
		}
		r.lane.do(r, func(rt *tablet.Tablet) {
			rt.Steer(t.Voters, t.Learners)
			rt.HandOver(preferredLeader(t))
		})
	}
}

// place writes into the catalog which nodes shall hold which tablet.
func (n *Node) place() {
	up, ok := n.holders()
	if !ok {
		return
	}
	for i := range n.Catalog().Tablets {
		c := n.Catalog() // it changes with every tablet placed
		t := &c.Tablets[i]
		voters, learners := wanted(c, t, up)
		if slices.Equal(voters, t.Voters) && slices.Equal(learners, t.Learners) {
			continue
		}
		op := model.CatalogOp{Kind: model.OpSetTablet, Version: c.Version, Tablet: model.Tablet{ID: t.ID, Voters: voters, Learners: learners}}
		if !n.proposeHousekeeping(&model.Command{Kind: model.CmdCatalog, Body: op.Append(nil)}, model.CatalogTablet) {
			return
		}
	}
}

// holders tells which nodes are up, as the catalog's leader sees it: they
// answer, and hold some of the catalog already.
func (n *Node) holders() (up func(model.NodeID) bool, ok bool) {
	r := n.replica(model.CatalogTablet)
	got := make(chan tablet.Status, 1)
	r.lane.do(r, func(t *tablet.Tablet) { got <- t.Status() })
	select {
	case s := <-got:
		return func(id model.NodeID) bool { return s.Active[id] && s.Matched[id] > 0 }, s.Leader == n.opts.Node
	case <-n.stopping:
		return nil, false
	}
}

// removeDeleted removes the data of deleted resources from every tablet and
// then forgets them.
func (n *Node) removeDeleted() {
	c := n.Catalog()
	for _, res := range c.Deleted {
		if res.Kind == model.KindPipe {
			continue // its worker ends it
		}
		gone := true
		for i := range c.Tablets {
			t := &c.Tablets[i]
			if t.ID == model.CatalogTablet {
				continue
			}
			cmd := &model.Command{Kind: model.CmdDropResource, Resource: res.ID, Slot: model.Slot(t.Lo)}
			gone = n.proposeHousekeeping(cmd, t.ID) && gone
		}
		if gone {
			op := model.CatalogOp{Kind: model.OpForgetResource, Resource: model.Resource{ID: res.ID}}
			n.proposeHousekeeping(&model.Command{Kind: model.CmdCatalog, Body: op.Append(nil)}, model.CatalogTablet)
		}
	}
}

// proposeHousekeeping proposes a command that is harmless to repeat; when it
// fails, the next round tries again.
func (n *Node) proposeHousekeeping(cmd *model.Command, id model.TabletID) bool {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a, err := n.request(ctx, &call{kind: callPropose, tablet: id, command: *cmd})
	if err == nil && id == model.CatalogTablet {
		err = n.waitCatalog(ctx, a.index)
	}
	return err == nil
}
