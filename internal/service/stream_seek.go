package service

import (
	"context"
	"slices"

	"weir.dev/weir/internal/model"
)

// SeekRequest moves a named consumer.
type SeekRequest struct {
	StreamRef
	Group string
	// To is where it goes on: TRIM_HORIZON, with all that there is; LATEST, with
	// what is put from now on; AT_TIMESTAMP, with what arrived at TimestampMs or
	// later.
	To ShardPosition
}

// SeekConsumer moves a named consumer, forward or back, in all shards. Members
// lose what they hold: a commit of what they had before is refused, and they go
// on at the new place. The shards are moved one by one: a call that fails may
// have moved some, and is safe to repeat. Errors: *StreamError, and the
// cluster's.
func (s *Service) SeekConsumer(ctx context.Context, req *SeekRequest) error {
	if err := checkSeek(&req.To, s.nowMs()); err != nil {
		return err
	}
	if err := s.cluster.SyncCatalog(ctx); err != nil {
		return err
	}
	// Every shard that is there gets a position below. One that comes to be later
	// is read from its first record on, whatever its consumer began with: what is
	// in it was put after this call began.
	st, err := s.changeStream(ctx, &req.StreamRef, func(st *Stream, spec *model.StreamSpec) error {
		at, found := findGroup(spec, req.Group)
		switch {
		case !found:
			return streamFault(FaultStreamNotFound, "Consumer %s of stream %s does not exist.", req.Group, st.Name)
		case spec.Groups[at].StartMs == 0:
			return errUnchanged
		}
		spec.Groups = slices.Clone(spec.Groups)
		spec.Groups[at].StartMs = 0
		return nil
	})
	if err != nil {
		return err
	}
	return sideBySide(len(st.Spec.Shards), func(i int) error {
		return s.seekShard(ctx, req, st, &st.Spec.Shards[i])
	})
}

func checkSeek(to *ShardPosition, nowMs int64) error {
	switch {
	case to.Type == "TRIM_HORIZON", to.Type == "LATEST":
		return nil
	case to.Type != "AT_TIMESTAMP":
		return streamFault(FaultStreamArgument, "A named consumer goes to TRIM_HORIZON, LATEST or AT_TIMESTAMP, not to %s.", to.Type)
	case to.TimestampMs == nil || *to.TimestampMs < 0 || *to.TimestampMs > nowMs:
		return streamFault(FaultStreamArgument, "AT_TIMESTAMP needs a timestamp that has passed.")
	default:
		return nil
	}
}

func (s *Service) seekShard(ctx context.Context, req *SeekRequest, st *Stream, sh *model.Shard) error {
	n, err := s.position(ctx, &req.StreamRef, st, sh, &req.To)
	if err != nil {
		return err
	}
	if req.To.Type == "TRIM_HORIZON" {
		n = 0
	}
	body := model.SetPosition{Op: model.PositionSeek, Shard: sh.Number, Group: req.Group, N: n}
	_, status, err := s.setPosition(ctx, st, &body)
	switch {
	case err != nil:
		return err
	case status == model.StatusOverLimit:
		return streamFault(FaultStreamLimit, "Shard %s in stream %s under account %s has too many consumers.", sh.Number, st.Name, req.account())
	case status != model.StatusOK:
		return model.Errorf(model.ErrUnavailable, "shard %v was changed at the same time; try again", sh.Number)
	}
	return nil
}
