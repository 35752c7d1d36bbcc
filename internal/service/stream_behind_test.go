package service

import (
	"context"
	"testing"

	"weir.dev/weir/internal/model"
)

// TestShardsBehind: a node whose catalog does not have a stream's new shards
// yet serves them all the same. It must not take a shard that it does not know
// for one that ended and was forgotten: a named consumer would commit that end,
// and skip the shard's records.
func TestShardsBehind(t *testing.T) {
	ctx := context.Background()
	s, c := newStreamFake(t, 1)
	if _, err := s.LeaseShards(ctx, &LeaseRequest{StreamRef: testStream, Group: "g", Member: "m"}); err != nil {
		t.Fatal(err)
	}
	old := c.Catalog()
	late := func() { // as it was before the resharding
		c.mu.Lock()
		defer c.mu.Unlock()
		c.behind = old
	}
	if err := s.SplitShard(ctx, &SplitShardRequest{StreamRef: testStream, Shard: "shardId-000000000000", HashKey: "170141183460469231731687303715884105728"}); err != nil {
		t.Fatal(err)
	}
	putKeys(t, s, "a", "b", "c", "d")
	child := "shardId-000000000001"
	begin := iteratorAt(t, s, child, ShardPosition{Type: "TRIM_HORIZON"})

	late()
	res, err := s.GetRecords(ctx, &GetRecordsRequest{Iterator: begin})
	if err != nil || res.Next == "" || len(res.Records) == 0 {
		t.Fatalf("read of a child that this node's catalog does not have: %+v, %v", res, err)
	}
	late()
	if _, err := s.GetShardIterator(ctx, &ShardIteratorRequest{StreamRef: testStream, Shard: child, Position: ShardPosition{Type: "LATEST"}}); err != nil {
		t.Errorf("iterator: %v", err)
	}
	late()
	_, err = s.CommitPosition(ctx, &CommitRequest{StreamRef: testStream, Group: "g", Shard: child, Generation: 1, Sequence: res.Records[0].Sequence})
	wantFault(t, err, FaultStreamInUse, "belongs to another member") // the shard is known, the generation is not
	late()
	if err := s.SplitShard(ctx, &SplitShardRequest{StreamRef: testStream, Shard: child, HashKey: "1000"}); err != nil {
		t.Errorf("split: %v", err)
	}

	// Shards that never were are no ends either.
	id := mustStream(t, s).ID
	_, err = s.GetRecords(ctx, &GetRecordsRequest{Iterator: iterator{stream: id, shard: 77, n: 1, createdMs: s.nowMs()}.String()})
	wantFault(t, err, FaultStreamArgument, "Invalid ShardIterator.")
}

// TestForgot: only a shard that was there, and is not planned, was forgotten.
func TestForgot(t *testing.T) {
	spec := model.NewStreamSpec(model.ModeProvisioned, 2, 1000)
	if err := spec.BeginSplit(0, spec.Shards[0].Range.Middle(), 2000); err != nil {
		t.Fatal(err)
	}
	for n := range model.ShardNumber(5) {
		if spec.Forgot(n) {
			t.Errorf("while shard 0 is split, shard %d is forgotten", n)
		}
	}
	if err := spec.FinishReshard([]model.ShardEnd{{Number: 0, End: 1, ClosedMs: 3000}}, 3000); err != nil {
		t.Fatal(err)
	}
	if !spec.ForgetShards(3000 + spec.RetentionMs() + model.TrimGraceMs + 1) {
		t.Fatal("nothing to forget")
	}
	for n, want := range []bool{true, false, false, false, false} {
		if got := spec.Forgot(model.ShardNumber(n)); got != want {
			t.Errorf("afterwards, shard %d: forgotten %v", n, got)
		}
	}
}
