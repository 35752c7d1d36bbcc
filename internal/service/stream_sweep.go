package service

import (
	"context"
	"slices"

	"weir.dev/weir/internal/model"
)

// What the nodes do for streams by themselves; internal/stream calls it.

// Streams returns all streams by name, as this node's catalog has them.
func (s *Service) Streams() ([]*Stream, error) {
	c := s.cluster.Catalog()
	var all []*Stream
	for r := range c.Resources.Of(model.KindStream) {
		st, err := s.streams.of(c, r)
		if err != nil {
			return nil, err
		}
		all = append(all, st)
	}
	return all, nil
}

// LooksAfter reports whether this node is the one that looks after the stream:
// it leads the first slot, and no other region has the stream's writes.
func (s *Service) LooksAfter(st *Stream) bool {
	return s.cluster.Leads(model.QueueSlot(st.ID)) && s.checkWrites(model.KindStream, st.Name) == nil
}

// ShardStates asks the open shards for their state, in the order of their hash
// ranges. The states are committed but may be a little old.
func (s *Service) ShardStates(ctx context.Context, st *Stream) ([]*model.Shard, []model.ShardState, error) {
	states := make([]model.ShardState, len(st.open))
	err := sideBySide(len(states), func(i int) error {
		return s.shardState(ctx, st, st.open[i].Number, &states[i])
	})
	return st.open, states, err
}

func (s *Service) shardState(ctx context.Context, st *Stream, n model.ShardNumber, into *model.ShardState) error {
	body := model.ShardQuery{Shard: n}
	return s.askShard(ctx, refOf(st.ID), st, n, model.QueryShard, body.Append(nil), false, into)
}

// TrimStream removes expired records of the shards that this node leads, once
// they are worth it.
func (s *Service) TrimStream(ctx context.Context, st *Stream) error {
	if s.checkWrites(model.KindStream, st.Name) != nil {
		return nil // the region that has the writes does it, and ships it
	}
	now := s.nowMs()
	overdue, err := s.overdue(ctx, st, now)
	if err != nil || len(overdue) == 0 {
		return err
	}
	if st, err = s.current(ctx, st); err != nil {
		return err
	}
	before := st.Spec.HorizonMs(now) - model.TrimGraceMs
	if before <= 0 {
		return nil
	}
	for _, n := range overdue {
		if err := s.trimShard(ctx, st, n, before); err != nil {
			return err
		}
	}
	return nil
}

// current is the stream as the catalog has it now. Whoever removes records must
// know the retention that holds: an increase keeps what had not expired until
// then. An increase that comes later does not matter, as long as what is removed
// is decided by a time before this call.
func (s *Service) current(ctx context.Context, st *Stream) (*Stream, error) {
	if err := s.cluster.SyncCatalog(ctx); err != nil {
		return nil, err
	}
	return s.streamOf(ctx, refOf(st.ID), st.ID)
}

// trimSteps is in how many steps what expires in one retention is removed: one
// deletion in six minutes at 24 hours.
const trimSteps = 256

// overdue are the shards that this node leads and that have a whole step of
// expired records.
func (s *Service) overdue(ctx context.Context, st *Stream, nowMs int64) (overdue []model.ShardNumber, err error) {
	before := st.Spec.HorizonMs(nowMs) - model.TrimGraceMs - st.Spec.RetentionMs()/trimSteps
	if before <= 0 {
		return nil, nil
	}
	for i := range st.Spec.Shards {
		n := st.Spec.Shards[i].Number
		if !s.cluster.Leads(model.ShardSlot(st.ID, n)) {
			continue
		}
		var state model.ShardState
		if err := s.shardState(ctx, st, n, &state); err != nil {
			return nil, err
		}
		if state.LowMs != 0 && state.LowMs < before {
			overdue = append(overdue, n)
		}
	}
	return overdue, nil
}

func (s *Service) trimShard(ctx context.Context, st *Stream, n model.ShardNumber, before int64) error {
	body := model.TrimShard{Shard: n, BeforeMs: before}
	cmd := &model.Command{Kind: model.CmdTrimShard, Resource: st.ID, Slot: model.ShardSlot(st.ID, n), Body: body.Append(nil)}
	_, err := s.cluster.Propose(ctx, cmd)
	return err
}

// ForgetShards removes the closed shards whose records have all expired from
// the stream's map, after what is left of them was removed from storage.
func (s *Service) ForgetShards(ctx context.Context, st *Stream) error {
	now := s.nowMs()
	spec := *st.Spec
	if !spec.ForgetShards(now) {
		return nil
	}
	st, err := s.current(ctx, st)
	if err != nil {
		return err
	}
	if spec = *st.Spec; !spec.ForgetShards(now) {
		return nil
	}
	before := st.Spec.HorizonMs(now) - model.TrimGraceMs
	for i := range st.Spec.Shards {
		n := st.Spec.Shards[i].Number
		if _, kept := spec.Shard(n); kept {
			continue
		}
		if err := s.trimShard(ctx, st, n, before); err != nil {
			return err
		}
		if err := s.forgetPositions(ctx, st, n); err != nil {
			return err
		}
	}
	_, err = s.changeStream(ctx, refOf(st.ID), func(_ *Stream, spec *model.StreamSpec) error {
		// By the retention as it is now, and no more shards than were swept.
		swept := spec.Shards
		if !spec.ForgetShards(now) || !slices.EqualFunc(swept, st.Spec.Shards, func(a, b model.Shard) bool { return a.Number == b.Number }) {
			return errUnchanged
		}
		return nil
	})
	return err
}

// forgetPositions removes all positions from a shard.
func (s *Service) forgetPositions(ctx context.Context, st *Stream, n model.ShardNumber) error {
	var found model.PositionsResult
	body := model.PositionsQuery{Shard: n}
	if err := s.askShard(ctx, refOf(st.ID), st, n, model.QueryPositions, body.Append(nil), true, &found); err != nil {
		return err
	}
	for i := range found.Groups {
		body := model.SetPosition{Op: model.PositionForget, Shard: n, Group: found.Groups[i].Group}
		if _, _, err := s.setPosition(ctx, st, &body); err != nil {
			return err
		}
	}
	return nil
}
