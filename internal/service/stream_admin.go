package service

import (
	"context"
	"slices"
	"strings"

	"weir.dev/weir/internal/model"
)

// CreateStream creates a stream, which is ACTIVE at once. Errors: *StreamError.
func (s *Service) CreateStream(ctx context.Context, req *CreateStreamRequest) error {
	if !isStreamName(req.Name) {
		return streamFault(FaultStreamValidation, "1 validation error detected: Value '%.128s' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+", req.Name)
	}
	shards, err := s.shardsToCreate(ctx, req)
	if err != nil {
		return err
	}
	mode := model.ModeProvisioned
	if req.OnDemand {
		mode = model.ModeOnDemand
	}
	spec := model.NewStreamSpec(mode, shards, s.nowMs())
	if req.WarmMiBps != nil {
		spec.WarmMiBps = uint32(*req.WarmMiBps)
	}
	if req.MaxRecordKi != nil {
		spec.MaxRecordBytes = uint32(*req.MaxRecordKi << 10)
	}
	if req.RetentionHours != nil {
		if err := s.checkRetention(*req.RetentionHours); err != nil {
			return err
		}
		spec.RetentionHours = uint32(*req.RetentionHours)
	}
	if spec.Tags, err = addStreamTags(nil, req.Tags, &req.StreamRef); err != nil {
		return err
	}
	_, err = s.createResource(ctx, model.KindStream, req.Name, spec.Tags, spec.Append(nil))
	if isKind(err, model.ErrInUse) {
		return streamFault(FaultStreamInUse, "Stream %s under account %s already exists.", req.Name, req.account())
	}
	return err
}

func isStreamName(name string) bool {
	other := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_' && r != '.' && r != '-'
	}
	return name != "" && len(name) <= maxStreamName && !strings.ContainsFunc(name, other)
}

// shardsToCreate is how many shards a new stream has.
func (s *Service) shardsToCreate(ctx context.Context, req *CreateStreamRequest) (int, error) {
	if err := checkWarm(req.OnDemand, req.WarmMiBps); err != nil {
		return 0, err
	}
	if ki := req.MaxRecordKi; ki != nil {
		if err := checkRecordKi(*ki); err != nil {
			return 0, err
		}
	}
	if req.OnDemand {
		if req.ShardCount != nil {
			return 0, streamFault(FaultStreamValidation, "ShardCount must not be specified when StreamMode is ON_DEMAND.")
		}
		shards := onDemandShards
		if req.WarmMiBps != nil {
			shards = min(max(shards, int(*req.WarmMiBps)), model.MaxStreamShards)
		}
		return shards, s.checkStreamCounts(ctx, &req.StreamRef, 0, 1)
	}
	if req.ShardCount == nil {
		return 0, streamFault(FaultStreamValidation, "ShardCount is required when StreamMode is PROVISIONED.")
	}
	n := *req.ShardCount
	if n < 1 {
		return 0, streamFault(FaultStreamValidation, "1 validation error detected: Value '%d' at 'shardCount' failed to satisfy constraint: Member must have value greater than or equal to 1", n)
	}
	if n > model.MaxStreamShards {
		return 0, tooManyShards(&req.StreamRef, 0, n, model.MaxStreamShards)
	}
	return int(n), s.checkStreamCounts(ctx, &req.StreamRef, n, 0)
}

func tooManyShards(ref *StreamRef, has, more, limit int64) error {
	return streamFault(FaultStreamLimit, "This request would exceed the shard limit for the account %s. Current shard count for the account: %d. Limit: %d. "+
		"Number of additional shards that would have resulted from this request: %d. "+
		"Refer to the AWS Service Limits page (https://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to request higher limits.",
		ref.account(), has, limit, more)
}

// DeleteStream deletes a stream and all its records. Its name is free at once.
func (s *Service) DeleteStream(ctx context.Context, req *DeleteStreamRequest) error {
	st, err := s.stream(ctx, &req.StreamRef)
	if err != nil {
		return err
	}
	if st.Consumers > 0 && !req.EnforceConsumerDeletion {
		return streamFault(FaultStreamInUse, "Stream %s under account %s has %d consumers registered. Deregister them, or call DeleteStream with EnforceConsumerDeletion.", st.Name, req.account(), st.Consumers)
	}
	err = s.deleteResource(ctx, &model.Resource{ID: st.ID})
	if isKind(err, model.ErrNotFound) {
		return noStream(&req.StreamRef)
	}
	return err
}

// ListStreams returns streams by name.
func (s *Service) ListStreams(ctx context.Context, req *ListStreamsRequest) (*ListStreamsResult, error) {
	start, limit := req.Start, req.Limit
	if req.Token != "" {
		if start != "" {
			return nil, streamFault(FaultStreamArgument, "NextToken and ExclusiveStartStreamName cannot be provided together.")
		}
		t, err := s.openPageToken(tokenStreams, req.Token)
		if err != nil {
			return nil, err
		}
		start = t.last
	}
	if limit <= 0 {
		limit = defaultStreamPage
	}
	all, err := s.resources(ctx, model.KindStream, start)
	if err != nil {
		return nil, err
	}
	page := &ListStreamsResult{}
	for r := range all {
		if r.Name == start {
			continue
		}
		if len(page.Streams) == limit {
			page.Next = s.pageToken(tokenStreams, 0, page.Streams[limit-1].Name, nil)
			break
		}
		st, err := s.streams.of(s.cluster.Catalog(), r)
		if err != nil {
			return nil, err
		}
		page.Streams = append(page.Streams, st)
	}
	return page, nil
}

// DescribeStreamLimits tells how many shards and on-demand streams there are,
// and how many there may be.
func (s *Service) DescribeStreamLimits(ctx context.Context) (*StreamLimits, error) {
	all, err := s.resources(ctx, model.KindStream, "")
	if err != nil {
		return nil, err
	}
	limits := &StreamLimits{ShardLimit: maxCount, OnDemandLimit: maxCount}
	if s.awsLimits() {
		limits.ShardLimit, limits.OnDemandLimit = awsShards, awsOnDemandStreams
	}
	for r := range all {
		st, err := s.streams.of(s.cluster.Catalog(), r)
		if err != nil {
			return nil, err
		}
		if st.OnDemand {
			limits.OnDemandStreams++
		} else {
			limits.OpenShards += int64(st.OpenShards)
		}
	}
	return limits, nil
}

// DescribeStream returns the stream with a page of its shards.
func (s *Service) DescribeStream(ctx context.Context, req *DescribeStreamRequest) (*DescribeStreamResult, error) {
	st, err := s.stream(ctx, &req.StreamRef)
	if err != nil {
		return nil, err
	}
	limit := req.Limit
	if limit <= 0 {
		limit = defaultStreamPage
	}
	res := &DescribeStreamResult{Stream: st}
	res.Shards, res.More, err = pageOfShards(st, s.shownShards(st), req.Start, limit)
	return res, err
}

// shownShards are the shards that may still have a record, by number.
func (s *Service) shownShards(st *Stream) []*model.Shard {
	horizon := st.Spec.HorizonMs(s.nowMs())
	shown := make([]*model.Shard, 0, len(st.Spec.Shards))
	for i := range st.Spec.Shards {
		if sh := &st.Spec.Shards[i]; sh.Open() || sh.ClosedMs >= horizon {
			shown = append(shown, sh)
		}
	}
	return shown
}

// pageOfShards is the page of shards behind start.
func pageOfShards(st *Stream, shards []*model.Shard, start string, limit int) (page []Shard, more bool, err error) {
	at := 0
	if start != "" {
		n, err := model.ParseShardID(start)
		if err != nil {
			return nil, false, streamFault(FaultStreamArgument, "ExclusiveStartShardId %s is not the id of a shard.", start)
		}
		at, _ = slices.BinarySearchFunc(shards, n, func(sh *model.Shard, n model.ShardNumber) int {
			if sh.Number <= n {
				return -1
			}
			return 1
		})
	}
	more = len(shards)-at > limit
	for _, sh := range shards[at:min(len(shards), at+limit)] {
		page = append(page, describeShard(st.Spec, sh))
	}
	return page, more, nil
}

func describeShard(spec *model.StreamSpec, sh *model.Shard) Shard {
	d := Shard{ID: sh.Number.String(), HashFirst: sh.Range.Lo.String(), HashLast: sh.Range.Hi.String(), First: sh.First().String()}
	if !sh.Open() {
		d.Last = sh.Last().String()
	}
	for _, p := range sh.Parents {
		if _, known := spec.Shard(p); !known {
			continue
		}
		if d.Parent == "" {
			d.Parent = p.String()
		} else {
			d.AdjacentParent = p.String()
		}
	}
	return d
}

// childrenOf are the shards that go on where the shard n ended.
func childrenOf(spec *model.StreamSpec, n model.ShardNumber) []ChildShard {
	var children []ChildShard
	for _, sh := range spec.ChildrenOf(n) {
		c := ChildShard{ID: sh.Number.String(), HashFirst: sh.Range.Lo.String(), HashLast: sh.Range.Hi.String()}
		for _, p := range sh.Parents {
			c.Parents = append(c.Parents, p.String())
		}
		children = append(children, c)
	}
	return children
}
