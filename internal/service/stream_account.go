package service

import (
	"context"

	"weir.dev/weir/internal/model"
)

// Commitment is the account's minimum throughput billing commitment, which is
// kept and shown, and has no effect: nothing is billed.
type Commitment struct {
	model.Commitment
	On bool // now
}

// GetCommitment returns the account's commitment as it is now.
func (s *Service) GetCommitment(ctx context.Context) (*Commitment, error) {
	if err := s.cluster.SyncCatalog(ctx); err != nil {
		return nil, err
	}
	c := s.cluster.Catalog().Settings.Commitment
	return &Commitment{Commitment: c, On: c.OnAt(s.nowMs())}, nil
}

// SetCommitment begins or ends the account's commitment, and returns it as it
// is then. One that is younger than 24 hours ends when it is that old.
func (s *Service) SetCommitment(ctx context.Context, on bool) (*Commitment, error) {
	op := model.CatalogOp{Kind: model.OpSetCommitment, On: on}
	cmd := model.Command{Kind: model.CmdCatalog, ID: s.newRequestID(), Body: op.Append(nil)}
	if _, err := s.cluster.ProposeCatalog(ctx, &cmd); err != nil {
		return nil, err
	}
	return s.GetCommitment(ctx)
}
