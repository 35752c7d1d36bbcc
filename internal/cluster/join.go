package cluster

import (
	"context"
	"fmt"
	"net"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/transport"
)

// AddToken makes a join token good until it expires; hash is the one that
// belongs to the token's text.
func (n *Node) AddToken(ctx context.Context, hash [32]byte, expires time.Time) error {
	op := model.CatalogOp{Kind: model.OpAddToken, Token: model.JoinToken{Hash: hash, ExpiresMs: expires.UnixMilli()}}
	_, err := n.ProposeCatalog(ctx, &model.Command{Kind: model.CmdCatalog, ID: n.newRequestID(), Body: op.Append(nil)})
	return err
}

func (n *Node) newRequestID() model.RequestID { return model.RequestID(n.rand.Bytes16()) }

// join makes the holder of an unused token a member.
func (n *Node) join(ctx context.Context, req *transport.JoinRequest) (*transport.JoinGrant, error) {
	<-n.opened
	if _, _, err := net.SplitHostPort(req.PeerAddr); err != nil {
		return nil, fmt.Errorf("the peer address %q is not HOST:PORT", req.PeerAddr)
	}
	if err := n.SyncCatalog(ctx); err != nil {
		return nil, err
	}
	for _, t := range n.Catalog().Tokens {
		if !req.Proves(t.Hash) {
			continue
		}
		id := req.Node
		for id == 0 {
			id = model.NodeID(n.rand.Uint64())
		}
		op := model.CatalogOp{Kind: model.OpAddNode, Node: model.Node{ID: id, PeerAddr: req.PeerAddr}, Token: t}
		res, err := n.ProposeCatalog(ctx, &model.Command{Kind: model.CmdCatalog, ID: n.newRequestID(), Body: op.Append(nil)})
		if err != nil {
			return nil, err
		}
		switch res.Status {
		case model.StatusOK:
			n.log.Info("a node joined", "node", id, "address", req.PeerAddr)
			return &transport.JoinGrant{Node: id, Body: encodeMembers(n.Catalog().Nodes)}, nil
		case model.StatusExists:
			return nil, fmt.Errorf("node %v is a member already", id)
		}
	}
	return nil, fmt.Errorf("the join token is not valid: it was used, has expired, or is of another cluster; make a new one with weir token create")
}

func encodeMembers(nodes []model.Node) []byte {
	b := model.AppendUvarint(nil, uint64(len(nodes)))
	for i := range nodes {
		b = nodes[i].Append(b)
	}
	return b
}

// DecodeMembers reads the members from a JoinGrant's body: a new node's Seeds.
func DecodeMembers(b []byte) ([]model.Node, error) {
	d := model.NewDecoder(b)
	nodes := make([]model.Node, d.Count())
	for i := range nodes {
		nodes[i].Decode(d)
	}
	return nodes, d.Done()
}
