package transport

import (
	"context"
	"crypto/hmac"

	"weir.dev/weir/internal/model"
)

// Joiner decides who may join. The cluster implements it.
type Joiner interface {
	// Join handles one request to join; it runs on a goroutine of its own, may
	// block and must end with ctx. It looks for an unused, unexpired token in
	// the catalog for which req.Proves holds, uses the token up, and adds the
	// node to the catalog, all in one command. The returned error's text is
	// shown to the joining node, so a failed proof says no more than that the
	// token is not valid.
	Join(ctx context.Context, req *JoinRequest) (*JoinGrant, error)
}

// JoinRequest is what a joining node asks, as the member sees it.
type JoinRequest struct {
	// Node is the id in the joining node's certificate when the operator gave
	// certificates; zero otherwise: the Joiner chooses a fresh id.
	Node     model.NodeID
	PeerAddr string // HOST:PORT where the joining node says that peers reach it
	Body     []byte // the cluster's own

	signed []byte // what the proof covers
	proof  []byte
}

// Proves reports whether the joining node holds the token with that hash. The
// proof covers this TLS session and the request, so it cannot be replayed or
// carried over.
func (r *JoinRequest) Proves(tokenHash [32]byte) bool {
	return hmac.Equal(r.proof, joinProof(tokenHash, r.signed))
}

// JoinGrant is a Joiner's consent.
type JoinGrant struct {
	Node model.NodeID // the new node's id; equal to the request's when that is not zero
	Body []byte       // the cluster's own, such as the members' addresses
}
