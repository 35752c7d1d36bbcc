package cluster

import (
	"context"

	"weir.dev/weir/internal/model"
)

// Announcement is what a node tells the cluster of itself at each start.
type Announcement struct {
	PeerAddr string // HOST:PORT at which its peers reach it
	Zone     string
	ReadOnly bool
	Start    model.Start
}

// Announce tells the catalog about this node, if that has changed. Errors:
// ErrAccessDenied when the cluster knows of a later start of this node: its
// directory is an older copy.
func (n *Node) Announce(ctx context.Context, a Announcement) error {
	if m, ok := n.Catalog().Node(n.opts.Node); ok && m.PeerAddr == a.PeerAddr && m.Zone == a.Zone && m.ReadOnly == a.ReadOnly && m.Start == a.Start {
		return nil
	}
	op := model.CatalogOp{Kind: model.OpSetNode, Node: model.Node{ID: n.opts.Node, PeerAddr: a.PeerAddr, Zone: a.Zone, ReadOnly: a.ReadOnly, Start: a.Start}}
	status, err := n.changeMembers(ctx, &op)
	if err == nil && status == model.StatusStale {
		return model.Errorf(model.ErrAccessDenied, "this data directory is an older copy: the cluster knows of later starts of node %v; remove the directory and join again", n.opts.Node)
	}
	return err
}

// DrainNode makes a member give up its replicas to others, as far as others can
// take them, or no longer. With leave it also ends its membership, once it holds
// none; that is for good. The work goes on in the background: see Status.
// Errors: ErrNotFound; ErrValidation when no other member could hold the data.
func (n *Node) DrainNode(ctx context.Context, id model.NodeID, drain, leave bool) error {
	if err := n.SyncCatalog(ctx); err != nil {
		return err
	}
	if leave && !n.othersStay(id) {
		return model.Errorf(model.ErrValidation, "node %v is the last one that can hold the data: it cannot leave", id)
	}
	op := model.CatalogOp{Kind: model.OpDrainNode, Node: model.Node{ID: id, Draining: drain, Leaving: leave}}
	status, err := n.changeMembers(ctx, &op)
	if err == nil && status == model.StatusNotFound {
		return model.Errorf(model.ErrNotFound, "no member has the id %v", id)
	}
	return err
}

// othersStay reports whether a member besides this one stays and may hold
// voters.
func (n *Node) othersStay(id model.NodeID) bool {
	for _, m := range n.Catalog().Nodes {
		if m.ID != id && !m.Leaving && !m.ReadOnly {
			return true
		}
	}
	return false
}

// SetSettings changes the cluster's settings.
func (n *Node) SetSettings(ctx context.Context, s model.ClusterSettings) error {
	_, err := n.changeMembers(ctx, &model.CatalogOp{Kind: model.OpSetSettings, Settings: s})
	return err
}

func (n *Node) changeMembers(ctx context.Context, op *model.CatalogOp) (model.Status, error) {
	res, err := n.ProposeCatalog(ctx, &model.Command{Kind: model.CmdCatalog, ID: n.newRequestID(), Body: op.Append(nil)})
	return res.Status, err
}
