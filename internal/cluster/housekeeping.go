package cluster

import (
	"context"

	"weir.dev/weir/internal/base"
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
	if !base.Bug("cutearly") {
		if err := n.db.Flush(); err != nil {
			return err
		}
	}
	tight := n.journal.Metrics().SizeBytes > n.opts.LogBudgetBytes
	for _, r := range replicas {
		at := durable[r.id]
		r.flushed = uint64(at)
		if base.Bug("applytwice") {
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
