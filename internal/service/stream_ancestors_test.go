package service

import (
	"context"
	"testing"
)

// TestLeaseBehindAncestors: a shard that was split again before any record came
// is between its parent and its children, too: a named consumer gets the
// children when it has finished the parent.
func TestLeaseBehindAncestors(t *testing.T) {
	ctx := context.Background()
	s, _ := newStreamFake(t, 1)
	putKeys(t, s, "a", "b", "c")
	for _, split := range []SplitShardRequest{
		{StreamRef: testStream, Shard: "shardId-000000000000", HashKey: "340282366920938463463374607431768211000"},
		{StreamRef: testStream, Shard: "shardId-000000000001", HashKey: "1000"}, // no record came to it
	} {
		if err := s.SplitShard(ctx, &split); err != nil {
			t.Fatal(err)
		}
	}
	putKeys(t, s, "a", "b", "c")
	lease := func() []ShardLease {
		t.Helper()
		res, err := s.LeaseShards(ctx, &LeaseRequest{StreamRef: testStream, Group: "g", Member: "m"})
		if err != nil {
			t.Fatal(err)
		}
		return res.Leases
	}
	first := lease()
	if len(first) != 1 || first[0].Shard != "shardId-000000000000" {
		t.Fatalf("leases before the first shard is finished: %+v", first)
	}
	if _, err := s.CommitPosition(ctx, &CommitRequest{StreamRef: testStream, Group: "g", Shard: first[0].Shard, Generation: first[0].Generation, End: true, Release: true}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range lease() {
		got = append(got, l.Shard)
	}
	if len(got) != 3 || got[0] != "shardId-000000000002" {
		t.Fatalf("leases after the first shard was finished: %v", got)
	}
}
