package service

import (
	"context"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
)

// TestStreamBacklogs: what a stream holds is that of all its shards, the closed
// ones too.
func TestStreamBacklogs(t *testing.T) {
	ctx := context.Background()
	s, c := newStreamFake(t, 1)
	putKeys(t, s, "a", "b")
	oldest := c.Now().UnixMilli()
	if err := s.SplitShard(ctx, &SplitShardRequest{StreamRef: testStream, Shard: "shardId-0", HashKey: "99"}); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Minute)
	putKeys(t, s, "c")
	list, all := s.StreamBacklogs(ctx, 10)
	if all != 1 || len(list) != 1 {
		t.Fatalf("%d streams: %+v", all, list)
	}
	b := list[0]
	if b.Bytes == 0 {
		t.Error("no bytes")
	}
	if b.Bytes = 0; b != (StreamBacklog{Name: "s", OpenShards: 2, Records: 3, OldestMs: oldest, NewestMs: c.Now().UnixMilli()}) {
		t.Errorf("%+v", b)
	}
	if list, all = s.StreamBacklogs(ctx, 0); all != 1 || len(list) != 0 {
		t.Errorf("at most none: %d of %d", len(list), all)
	}
	c.Led = func(model.TabletID) bool { return false }
	if list, all = s.StreamBacklogs(ctx, 10); all != 0 || len(list) != 0 {
		t.Errorf("another node looks after it, yet: %d of %d", len(list), all)
	}
}
