package service

import (
	"context"

	"weir.dev/weir/internal/model"
)

// maxListedShards is how many shards a page of ListShards has when the client
// does not say, as in Kinesis.
const maxListedShards = 1000

// ListShards returns the shards that the filter selects, by id. Errors:
// *StreamError.
func (s *Service) ListShards(ctx context.Context, req *ListShardsRequest) (*ListShardsResult, error) {
	st, start, filter, err := s.shardsListed(ctx, req)
	if err != nil {
		return nil, err
	}
	if req.CreatedMs != nil && *req.CreatedMs/1000 != st.CreatedMs/1000 {
		return nil, noStream(&req.StreamRef)
	}
	shards, err := s.filterShards(st, filter)
	if err != nil {
		return nil, err
	}
	if filter != nil && filter.Type == "AFTER_SHARD_ID" {
		start = max(start, filter.ShardID)
	}
	limit := req.Limit
	if limit <= 0 {
		limit = maxListedShards
	}
	res := &ListShardsResult{}
	var more bool
	if res.Shards, more, err = pageOfShards(st, shards, start, limit); err != nil {
		return nil, err
	}
	if more {
		res.Next = s.pageToken(tokenShards, st.ID, res.Shards[len(res.Shards)-1].ID, filter)
	}
	return res, nil
}

// shardsListed finds out which stream's shards are to be listed, from where.
func (s *Service) shardsListed(ctx context.Context, req *ListShardsRequest) (st *Stream, start string, filter *ShardFilter, err error) {
	if req.Token == "" {
		if req.Name == "" && req.ID == "" {
			return nil, "", nil, streamFault(FaultStreamArgument, "Either NextToken or StreamName should be provided.")
		}
		st, err = s.stream(ctx, &req.StreamRef)
		return st, req.Start, req.Filter, err
	}
	switch {
	case req.Name != "":
		err = streamFault(FaultStreamArgument, "NextToken and StreamName cannot be provided together.")
	case req.Start != "":
		err = streamFault(FaultStreamArgument, "NextToken and ExclusiveStartShardId cannot be provided together.")
	case req.CreatedMs != nil:
		err = streamFault(FaultStreamArgument, "NextToken and StreamCreationTimestamp cannot be provided together.")
	}
	if err != nil {
		return nil, "", nil, err
	}
	t, err := s.openPageToken(tokenShards, req.Token)
	if err != nil {
		return nil, "", nil, err
	}
	st, err = s.streamOf(ctx, &req.StreamRef, t.stream)
	return st, t.last, t.filter, err
}

// filterShards are the shards that the filter selects, by number.
func (s *Service) filterShards(st *Stream, f *ShardFilter) ([]*model.Shard, error) {
	shards := s.shownShards(st)
	if f == nil {
		return shards, nil
	}
	now := s.nowMs()
	horizon := max(st.Spec.HorizonMs(now), st.CreatedMs)
	var keep func(sh *model.Shard) bool
	openAt := func(ms int64) func(sh *model.Shard) bool {
		return func(sh *model.Shard) bool { return sh.CreatedMs <= ms && (sh.Open() || sh.ClosedMs > ms) }
	}
	switch f.Type {
	case "FROM_TRIM_HORIZON", "AFTER_SHARD_ID":
		if f.Type == "AFTER_SHARD_ID" && f.ShardID == "" {
			return nil, streamFault(FaultStreamArgument, "ShardId must be provided when the ShardFilter type is AFTER_SHARD_ID.")
		}
		return shards, nil
	case "AT_TRIM_HORIZON":
		keep = openAt(horizon)
	case "AT_LATEST":
		keep = func(sh *model.Shard) bool { return sh.Open() }
	case "AT_TIMESTAMP", "FROM_TIMESTAMP":
		if f.TimestampMs == nil {
			return nil, streamFault(FaultStreamArgument, "Timestamp must be provided when the ShardFilter type is %s.", f.Type)
		}
		at := max(*f.TimestampMs, horizon)
		if at > now {
			return nil, streamFault(FaultStreamArgument, "The timestamp of the ShardFilter cannot be in the future.")
		}
		keep = openAt(at)
		if f.Type == "FROM_TIMESTAMP" {
			keep = func(sh *model.Shard) bool { return sh.Open() || sh.ClosedMs > at }
		}
	default:
		return nil, streamFault(FaultStreamArgument, "%s is not a type of ShardFilter.", f.Type)
	}
	var kept []*model.Shard
	for _, sh := range shards {
		if keep(sh) {
			kept = append(kept, sh)
		}
	}
	return kept, nil
}
