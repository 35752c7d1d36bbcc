package service

import (
	"context"

	"weir.dev/weir/internal/model"
)

// PipeLag is how far a pipe from a stream has come.
type PipeLag struct {
	Records  uint64 // that nothing was done with yet
	UnderWay uint64 // that are being applied
	LagMs    int64  // how long the oldest of all of these has been there
}

// PipeLag asks all shards how far a pipe has come. Errors: ErrNotFound when the
// stream was deleted, and the cluster's.
func (s *Service) PipeLag(ctx context.Context, p *Pipe) (PipeLag, error) {
	st, err := s.StreamByID(ctx, p.Spec.Source)
	if err != nil {
		return PipeLag{}, err
	}
	if st == nil {
		return PipeLag{}, model.Errorf(model.ErrNotFound, "the pipe's stream was deleted")
	}
	parts := make([]PipeLag, len(st.Spec.Shards))
	err = sideBySide(len(parts), func(i int) (err error) {
		parts[i], err = s.pipeLagIn(ctx, p, st, st.Spec.Shards[i].Number)
		return err
	})
	var sum PipeLag
	for _, l := range parts {
		sum.Records, sum.UnderWay = sum.Records+l.Records, sum.UnderWay+l.UnderWay
		sum.LagMs = max(sum.LagMs, l.LagMs)
	}
	return sum, err
}

// pipeLagIn is the lag in one shard.
func (s *Service) pipeLagIn(ctx context.Context, p *Pipe, st *Stream, n model.ShardNumber) (PipeLag, error) {
	g := &model.StreamGroup{Name: model.PipeGroup(p.Resource.ID), StartMs: p.Spec.StartMs}
	place, err := s.placeIn(ctx, refOf(st.ID), st, g, n)
	if err == nil && !place.known && !place.finished {
		err = s.placeUnread(ctx, refOf(st.ID), st, g, &place)
	}
	if err != nil || place.finished {
		return PipeLag{}, err
	}
	lag := PipeLag{Records: place.lag.Records}
	if place.lag.NextMs > 0 {
		lag.LagMs = max(0, s.nowMs()-place.lag.NextMs)
	}
	if place.lag.Owner == "" {
		return lag, nil
	}
	var claims model.ClaimsResult
	body := model.ClaimsQuery{Pipe: p.Resource.ID}
	if err := s.askShard(ctx, refOf(st.ID), st, n, model.QueryClaims, body.Append(nil), true, &claims); err != nil {
		return lag, err
	}
	for i := range claims.Claims {
		if claims.Claims[i].Shard == n {
			lag.UnderWay += uint64(len(claims.Claims[i].Messages))
		}
	}
	lag.UnderWay = min(lag.UnderWay, lag.Records)
	lag.Records -= lag.UnderWay
	return lag, nil
}

// PipeBacklog is how far a pipe from a stream is behind.
type PipeBacklog struct {
	Name string
	PipeLag
}

// PipeBacklogs tells of the pipes from streams that this node looks after, by
// name, within the same bounds as QueueBacklogs.
func (s *Service) PipeBacklogs(ctx context.Context, most int) (list []PipeBacklog, all int) {
	for r := range s.cluster.Catalog().Resources.Of(model.KindPipe) {
		p, err := NewPipe(r)
		if err != nil || p.Spec.SourceKind != model.KindStream || !s.cluster.Leads(p.Spec.Slots()[0]) {
			continue
		}
		if all++; len(list) >= most || ctx.Err() != nil {
			continue
		}
		if lag, err := s.PipeLag(ctx, p); err == nil {
			list = append(list, PipeBacklog{r.Name, lag})
		}
	}
	return list, all
}
