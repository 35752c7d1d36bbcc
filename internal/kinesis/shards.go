package kinesis

import (
	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/service"
)

func listShards(c *call, in *ListShardsInput) (output, error) {
	req := &service.ListShardsRequest{
		Token: in.NextToken.V, Start: in.ExclusiveStartShardId.V, Limit: int(in.MaxResults.V), CreatedMs: set(in.StreamCreationTimestamp),
	}
	switch {
	case !in.NextToken.Set:
		ref, err := c.stream(in.StreamName, in.StreamARN, in.StreamId)
		if err != nil {
			return nil, err
		}
		req.StreamRef = ref
	case in.StreamName.Set:
		return nil, errInvalidArgument.error("NextToken and StreamName cannot be provided together.")
	default: // the token knows its stream; clients may name it beside
		req.Account = c.req.Account
		if in.StreamARN.Set || in.StreamId.Set {
			ref, err := c.stream(text{}, in.StreamARN, in.StreamId)
			if err != nil {
				return nil, err
			}
			req.StreamRef = ref
		}
	}
	if f := in.ShardFilter; f != nil {
		req.Filter = &service.ShardFilter{Type: f.Type.V, ShardID: f.ShardId.V, TimestampMs: set(f.Timestamp)}
	}
	page, err := c.door.service.ListShards(c.ctx, req)
	if err != nil {
		return nil, err
	}
	return &ListShardsOutput{Shards: shardsOut(page.Shards), NextToken: optional(page.Next)}, nil
}

func splitShard(c *call, in *SplitShardInput) (output, error) {
	ref, err := c.stream(in.StreamName, in.StreamARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	return nil, c.door.service.SplitShard(c.ctx, &service.SplitShardRequest{StreamRef: ref, Shard: in.ShardToSplit.V, HashKey: in.NewStartingHashKey.V})
}

func mergeShards(c *call, in *MergeShardsInput) (output, error) {
	ref, err := c.stream(in.StreamName, in.StreamARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	return nil, c.door.service.MergeShards(c.ctx, &service.MergeShardsRequest{StreamRef: ref, Shard: in.ShardToMerge.V, Adjacent: in.AdjacentShardToMerge.V})
}

func updateShardCount(c *call, in *UpdateShardCountInput) (output, error) {
	ref, err := c.stream(in.StreamName, in.StreamARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	res, err := c.door.service.UpdateShardCount(c.ctx, &service.UpdateShardCountRequest{StreamRef: ref, Target: in.TargetShardCount.V})
	if err != nil {
		return nil, err
	}
	return &UpdateShardCountOutput{
		StreamName: awsapi.Some(res.Stream.Name), StreamARN: awsapi.Some(c.streamARN(res.Stream.Name)),
		CurrentShardCount: awsapi.Some(res.Current), TargetShardCount: awsapi.Some(res.Target),
	}, nil
}

func shardsOut(shards []service.Shard) []Shard {
	list := make([]Shard, len(shards))
	for i, s := range shards {
		list[i] = Shard{
			ShardId: awsapi.Some(s.ID), ParentShardId: optional(s.Parent), AdjacentParentShardId: optional(s.AdjacentParent),
			HashKeyRange:        &HashKeyRange{StartingHashKey: awsapi.Some(s.HashFirst), EndingHashKey: awsapi.Some(s.HashLast)},
			SequenceNumberRange: &SequenceNumberRange{StartingSequenceNumber: awsapi.Some(s.First), EndingSequenceNumber: optional(s.Last)},
		}
	}
	return list
}

// childrenOut is nil, and left out, unless a shard has ended.
func childrenOut(children []service.ChildShard) []ChildShard {
	var list []ChildShard
	for _, s := range children {
		list = append(list, ChildShard{
			ShardId: awsapi.Some(s.ID), ParentShards: s.Parents,
			HashKeyRange: &HashKeyRange{StartingHashKey: awsapi.Some(s.HashFirst), EndingHashKey: awsapi.Some(s.HashLast)},
		})
	}
	return list
}
