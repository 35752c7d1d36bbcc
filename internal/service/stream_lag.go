package service

import (
	"context"
	"slices"

	"weir.dev/weir/internal/model"
)

// StreamLag tells how far the named consumers of a stream have come, by name
// and shard; group "" is all of them. Errors: *StreamError, and the cluster's.
func (s *Service) StreamLag(ctx context.Context, ref StreamRef, group string) ([]GroupLag, error) {
	st, err := s.stream(ctx, &ref)
	if err != nil {
		return nil, err
	}
	var lags []GroupLag
	for i := range st.Spec.Groups {
		g := &st.Spec.Groups[i]
		if group != "" && g.Name != group {
			continue
		}
		places, err := s.places(ctx, &ref, st, g)
		if err != nil {
			return nil, err
		}
		for k := range places {
			p := &places[k]
			if p.finished {
				continue
			}
			if !p.known {
				if err := s.placeUnread(ctx, &ref, st, g, p); err != nil {
					return nil, err
				}
			}
			lags = append(lags, s.lagOf(p))
		}
	}
	if group != "" && lags == nil {
		if _, found := findGroup(st.Spec, group); !found {
			return nil, streamFault(FaultStreamNotFound, "Consumer %s of stream %s does not exist.", group, st.Name)
		}
	}
	return lags, nil
}

// placeUnread works out what a group has to read in a shard that it never came
// to.
func (s *Service) placeUnread(ctx context.Context, ref *StreamRef, st *Stream, g *model.StreamGroup, p *groupPlace) error {
	var at model.ShardAtResult
	body := model.ShardAtQuery{Shard: p.shard, AtMs: g.StartMs}
	err := s.askShard(ctx, ref, st, p.shard, model.QueryShardAt, body.Append(nil), true, &at)
	p.lag.N, p.lag.NextMs = at.N, at.ArrivalMs
	p.lag.Records = p.state.Next - min(at.N, p.state.Next)
	if p.lag.Records == p.state.Next-p.state.Low {
		p.lag.Bytes = p.state.Bytes
	}
	return err
}

func (s *Service) lagOf(p *groupPlace) GroupLag {
	now := s.nowMs()
	lag := GroupLag{
		Group: p.lag.Group, Shard: p.shard.String(), Open: p.state.ClosedMs == 0, Position: max(p.lag.N, p.state.Low), Tip: p.state.Next,
		Records: p.lag.Records, Bytes: p.lag.Bytes, CommitMs: p.lag.CommitMs,
	}
	if p.lag.NextMs > 0 {
		lag.LagMs = max(0, now-p.lag.NextMs)
	}
	if p.lag.HeldAt(now) {
		lag.Member, lag.ExpiresMs = p.lag.Owner, p.lag.ExpiresMs
	}
	return lag
}

// ForgetNamedConsumer removes a named consumer and its positions. Errors:
// *StreamError.
func (s *Service) ForgetNamedConsumer(ctx context.Context, ref StreamRef, group string) error {
	st, err := s.changeStream(ctx, &ref, func(st *Stream, spec *model.StreamSpec) error {
		at, found := findGroup(spec, group)
		if !found {
			return streamFault(FaultStreamNotFound, "Consumer %s of stream %s does not exist.", group, st.Name)
		}
		spec.Groups = slices.Delete(slices.Clone(spec.Groups), at, at+1)
		return nil
	})
	if err == nil {
		s.forgetGroup(ctx, st, group)
	}
	return err
}
