package service

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

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
	late := func() { c.Behind = old } // as it was before the resharding
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

// TestTrimBehind: a node whose catalog is hours behind an increase of the
// retention neither removes nor passes over what the increase keeps.
func TestTrimBehind(t *testing.T) {
	ctx := context.Background()
	s, c := newStreamFake(t, 1)
	putKeys(t, s, "a", "b")
	if err := s.SplitShard(ctx, &SplitShardRequest{StreamRef: testStream, Shard: "shardId-0", HashKey: "99"}); err != nil {
		t.Fatal(err)
	}
	c.Advance(23 * time.Hour)
	old := c.Catalog()
	if err := s.SetStreamRetention(ctx, &StreamRetentionRequest{StreamRef: testStream, Hours: 48}); err != nil {
		t.Fatal(err)
	}
	c.Advance(5 * time.Hour)
	late := func() *Stream {
		c.Behind = old
		st := mustStream(t, s)
		if st.Retention != 24 {
			t.Fatalf("the retention is %d hours: the catalog is not behind", st.Retention)
		}
		return st
	}
	if err := s.TrimStream(ctx, late()); err != nil {
		t.Fatal(err)
	}
	if err := s.ForgetShards(ctx, late()); err != nil {
		t.Fatal(err)
	}
	late()
	putKeys(t, s, "c")
	late()
	it := iteratorAt(t, s, "shardId-0", ShardPosition{Type: "TRIM_HORIZON"})
	late()
	if data, last := readAll(t, s, it); strings.Join(data, " ") != "a b" || len(last.Children) != 2 {
		t.Errorf("of the records that the increase keeps are there: %v, then %+v", data, last)
	}
	// What has expired goes all the same.
	c.Advance(48 * time.Hour)
	if err := s.TrimStream(ctx, late()); err != nil {
		t.Fatal(err)
	}
	var state model.ShardState
	if err := s.shardState(ctx, mustStream(t, s), 0, &state); err != nil || state.Bytes != 0 {
		t.Errorf("expired records are still there: %+v, %v", state, err)
	}
}

// TestLateFirstTry: the first try of a call may come after the client has given
// it up, sent the call again, and the stream was resharded. Each record is there
// once, where the answers say.
func TestLateFirstTry(t *testing.T) {
	ctx := context.Background()
	for _, generations := range []int{1, 2} {
		s, c := newStreamFake(t, 2)
		req := &PutRecordsRequest{StreamRef: testStream, Invocation: model.RequestID{7}}
		for i := range 20 {
			k := fmt.Sprint("k", i)
			req.Records = append(req.Records, OutgoingRecord{Key: k, Data: []byte(k)})
		}
		retry := *req
		retry.Retry = true
		first, err := s.PutRecords(ctx, &retry)
		if err != nil || first.Failed > 0 {
			t.Fatal(first, err)
		}
		for i := range generations {
			if _, err := s.UpdateShardCount(ctx, &UpdateShardCountRequest{StreamRef: testStream, Target: int64(3 + i)}); err != nil {
				t.Fatal(err)
			}
		}
		late, err := s.PutRecords(ctx, req)
		if err != nil || late.Failed > 0 {
			t.Fatal(late, err)
		}
		for i := range late.Records {
			if late.Records[i] != first.Records[i] {
				t.Errorf("%d reshardings: record %d is %+v for the retry, %+v for the late first try", generations, i, first.Records[i], late.Records[i])
			}
		}
		// A first try of another call goes to the open shards at once, when no shard
		// took a retry before it was closed.
		c.Advance(7 * time.Minute)
		if _, err := s.UpdateShardCount(ctx, &UpdateShardCountRequest{StreamRef: testStream, Target: 1}); err != nil {
			t.Fatal(err)
		}
		before := len(c.Proposals)
		if _, err := s.PutRecords(ctx, &PutRecordsRequest{StreamRef: testStream, Invocation: model.RequestID{8}, Records: req.Records[:1]}); err != nil {
			t.Fatal(err)
		}
		if n := len(c.Proposals) - before; n != 1 {
			t.Errorf("a first try made %d proposals after a resharding without retries", n)
		}
	}
}
