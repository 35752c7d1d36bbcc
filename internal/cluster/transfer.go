package cluster

import (
	"context"
	"slices"
	"time"

	"weir.dev/weir/internal/model"
)

// transferLook is the time between two looks at who leads.
const transferLook = 100 * time.Millisecond

// TransferLeader makes a voter lead a tablet, and keep leading it while it can:
// it comes before the balance of leaders, also after restarts. With to zero the
// balance decides again. It returns when that node leads. Errors: ErrNotFound (no
// such tablet), ErrValidation (that node cannot lead it), ErrUnavailable (it does
// not lead it yet when ctx ends: it takes over when it can).
func (n *Node) TransferLeader(ctx context.Context, id model.TabletID, to model.NodeID) error {
	if err := n.setLead(ctx, id, to); err != nil || to == 0 {
		return err
	}
	for {
		s := n.Status(ctx)
		for i := range s.Tablets {
			if t := &s.Tablets[i]; t.ID == id && t.Leader == to {
				return nil
			}
		}
		if ctx.Err() != nil || !n.sleep(transferLook) {
			return model.Errorf(model.ErrUnavailable, "node %v does not lead tablet %v yet; it takes over when it is up and has caught up", to, id)
		}
	}
}

// setLead writes into the catalog who shall lead.
func (n *Node) setLead(ctx context.Context, id model.TabletID, to model.NodeID) error {
	for {
		if err := n.SyncCatalog(ctx); err != nil {
			return err
		}
		c := n.Catalog()
		t, ok := c.TabletByID(id)
		if !ok {
			return model.Errorf(model.ErrNotFound, "there is no tablet %v", id)
		}
		member, ok := c.Node(to)
		switch {
		case to != 0 && !slices.Contains(t.Voters, to):
			return model.Errorf(model.ErrValidation, "node %v is no voter of tablet %v; its voters are %s", to, id, allOf(t.Voters))
		case ok && member.Draining:
			return model.Errorf(model.ErrValidation, "node %v is draining: it leads nothing", to)
		}
		changed := *t
		changed.Lead = to
		status, err := n.changeMembers(ctx, &model.CatalogOp{Kind: model.OpSetTablet, Version: c.Version, Tablet: changed})
		if err != nil || status == model.StatusOK {
			return err
		}
		// Another change of the catalog came first.
	}
}
