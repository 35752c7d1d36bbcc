package service

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
)

// leases are the shards that a round of the member ends with: the last digits
// of their ids.
func leases(t testing.TB, s *Service, member string) (string, []ShardLease) {
	t.Helper()
	res, err := s.LeaseShards(context.Background(), &LeaseRequest{StreamRef: testStream, Group: "g", Member: member})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range res.Leases {
		name := l.Shard[len(l.Shard)-1:]
		if l.Wanted {
			name += "?"
		}
		names = append(names, name)
	}
	return strings.Join(names, " "), res.Leases
}

// TestNamedConsumer: members share the shards, hand some over to one that
// comes, and take over from one that dies; a commit of who lost a shard is
// refused; children wait for their parents.
func TestNamedConsumer(t *testing.T) {
	ctx := context.Background()
	s, c := newStreamFake(t, 2)
	putKeys(t, s, "a", "b", "c", "d", "e", "f")
	if got, _ := leases(t, s, "one"); got != "0 1" {
		t.Fatalf("alone: %s", got)
	}
	if got, _ := leases(t, s, "two"); got != "" {
		t.Fatalf("at first: %s", got)
	}
	got, held := leases(t, s, "one")
	if got != "0 1?" && got != "0? 1" {
		t.Fatalf("asked: %s", got)
	}
	given := held[1]
	if held[0].Wanted {
		given = held[0]
	}
	data, last := readAll(t, s, given.Iterator)
	if len(data) == 0 || last.Next == "" {
		t.Fatalf("%v, %+v", data, last)
	}
	page, err := s.GetRecords(ctx, &GetRecordsRequest{Iterator: given.Iterator, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	give := CommitRequest{StreamRef: testStream, Group: "g", Shard: given.Shard, Generation: given.Generation, Sequence: page.Records[0].Sequence, Release: true}
	if _, err := s.CommitPosition(ctx, &give); err != nil {
		t.Fatal(err)
	}
	_, held = leases(t, s, "two")
	if len(held) != 1 || held[0].Shard != given.Shard {
		t.Fatalf("handed over: %+v", held)
	}
	if rest, _ := readAll(t, s, held[0].Iterator); len(rest) != len(data)-1 {
		t.Errorf("goes on with %v of %v", rest, data)
	}
	give.Release = false
	_, err = s.CommitPosition(ctx, &give)
	wantFault(t, err, FaultStreamInUse, "belongs to another member")

	lags, err := s.StreamLag(ctx, testStream, "g")
	if err != nil || len(lags) != 2 {
		t.Fatal(lags, err)
	}
	total := uint64(0)
	for _, l := range lags {
		total += l.Records
		if l.Shard == given.Shard && (l.Member != "two" || l.Position != 2 || l.Tip != uint64(len(data)+1)) {
			t.Errorf("lag %+v", l)
		}
	}
	if total != 5 {
		t.Errorf("%d records to be read in all: %+v", total, lags)
	}

	// Member two dies: its lease ends.
	c.Advance(11 * time.Second)
	if got, _ := leases(t, s, "one"); got != "0 1" {
		t.Errorf("after a death: %s", got)
	}
	// A resharding: the children come when the parents are finished.
	if _, err := s.UpdateShardCount(ctx, &UpdateShardCountRequest{StreamRef: testStream, Target: 1}); err != nil {
		t.Fatal(err)
	}
	got, held = leases(t, s, "one")
	if got != "0 1" {
		t.Fatalf("before the parents' end: %s", got)
	}
	for _, l := range held {
		end := &CommitRequest{StreamRef: testStream, Group: "g", Shard: l.Shard, Generation: l.Generation, End: true, Release: true}
		if _, err := s.CommitPosition(ctx, end); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := leases(t, s, "one"); got != "2" {
		t.Errorf("after the parents' end: %s", got)
	}
	if err := s.ForgetNamedConsumer(ctx, testStream, "g"); err != nil {
		t.Error(err)
	}
	_, err = s.StreamLag(ctx, testStream, "g")
	wantFault(t, err, FaultStreamNotFound, "does not exist")
}

// TestNamedConsumerStart: a consumer that begins at the end is behind by what
// is put from then on, also in a shard that it never came to.
func TestNamedConsumerStart(t *testing.T) {
	ctx := context.Background()
	s, c := newStreamFake(t, 1)
	putKeys(t, s, "old")
	c.Advance(time.Second)
	res, err := s.LeaseShards(ctx, &LeaseRequest{StreamRef: testStream, Group: "g", Member: "m", Start: ShardPosition{Type: "LATEST"}})
	if err != nil {
		t.Fatal(err)
	}
	putKeys(t, s, "new")
	if data, _ := readAll(t, s, res.Leases[0].Iterator); strings.Join(data, " ") != "new" {
		t.Errorf("read %v", data)
	}
	if err := s.SplitShard(ctx, &SplitShardRequest{StreamRef: testStream, Shard: "shardId-000000000000", HashKey: "9999"}); err != nil {
		t.Fatal(err)
	}
	putKeys(t, s, "newer")
	c.Advance(3 * time.Second)
	lags, err := s.StreamLag(ctx, testStream, "")
	records := uint64(0)
	for _, l := range lags {
		records += l.Records
		if l.Records > 0 && l.LagMs != 3000 {
			t.Errorf("lag %+v", l)
		}
	}
	if err != nil || records != 2 {
		t.Errorf("%+v, %v", lags, err)
	}
	_, err = s.LeaseShards(ctx, &LeaseRequest{StreamRef: testStream, Group: "h", Member: "m", Start: ShardPosition{Type: "AT_SEQUENCE_NUMBER"}})
	wantFault(t, err, FaultStreamArgument, "begins at")
	_, err = s.LeaseShards(ctx, &LeaseRequest{StreamRef: testStream, Group: "\x00", Member: "m"})
	wantFault(t, err, FaultStreamArgument, "no zero byte")
}

// TestSubscription: one at a time, which a later one takes over; events as
// soon as there are records, else every five seconds; resumption without loss.
func TestSubscription(t *testing.T) {
	ctx := context.Background()
	s, c := newStreamFake(t, 1)
	shard := "shardId-000000000000"
	consumer, err := s.RegisterConsumer(ctx, &RegisterConsumerRequest{StreamRef: testStream, Consumer: "fan"})
	if err != nil || consumer.Stream.Consumers != 1 {
		t.Fatal(consumer, err)
	}
	_, err = s.RegisterConsumer(ctx, &RegisterConsumerRequest{StreamRef: testStream, Consumer: "fan"})
	wantFault(t, err, FaultStreamInUse, "already exists")
	wantFault(t, s.DeleteStream(ctx, &DeleteStreamRequest{StreamRef: testStream}), FaultStreamInUse, "EnforceConsumerDeletion")
	ref := ConsumerRef{StreamRef: testStream, Consumer: "fan", CreatedMs: consumer.CreatedMs}
	subscribe := func(p ShardPosition) (*Subscription, error) {
		return s.SubscribeToShard(ctx, &SubscribeRequest{ConsumerRef: ref, Shard: shard, Position: p})
	}
	putKeys(t, s, "a", "b")
	first, err := subscribe(ShardPosition{Type: "TRIM_HORIZON"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = subscribe(ShardPosition{Type: "LATEST"})
	wantFault(t, err, FaultStreamInUse, "Another active subscription exists for consumer fan")
	e, err := first.Next(ctx)
	if err != nil || len(e.Records) != 2 || e.Continuation != e.Records[1].Sequence || e.MillisBehind != 0 {
		t.Fatal(e, err)
	}
	began := c.Now()
	e, err = first.Next(ctx)
	if err != nil || len(e.Records) != 0 || c.Now().Sub(began) != 5*time.Second {
		t.Fatal(e, err)
	}
	putKeys(t, s, "c")
	second, err := subscribe(ShardPosition{Type: "AFTER_SEQUENCE_NUMBER", Sequence: e.Continuation})
	if err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Second)
	_, err = first.Next(ctx)
	wantFault(t, err, FaultStreamInUse, "Another active subscription")
	if e, err = second.Next(ctx); err != nil || len(e.Records) != 1 || e.Records[0].Key != "c" {
		t.Fatal(e, err)
	}
	if err := s.SplitShard(ctx, &SplitShardRequest{StreamRef: testStream, Shard: shard, HashKey: "9999"}); err != nil {
		t.Fatal(err)
	}
	if e, err = second.Next(ctx); err != nil || len(e.Children) != 2 || e.Continuation != "" {
		t.Fatal(e, err)
	}
	if _, err = second.Next(ctx); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	second.Close(ctx)
	shard = "shardId-000000000001"
	third, err := subscribe(ShardPosition{Type: "LATEST"})
	if err != nil {
		t.Fatal(err)
	}
	for events := 0; ; events++ {
		if _, err := third.Next(ctx); errors.Is(err, io.EOF) {
			if events != 60 {
				t.Errorf("%d events in five minutes", events)
			}
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	fourth, err := subscribe(ShardPosition{Type: "LATEST"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeregisterConsumer(ctx, ref); err != nil {
		t.Fatal(err)
	}
	_, err = fourth.Next(ctx)
	wantFault(t, err, FaultStreamNotFound, "Consumer fan in stream s")
	_, err = s.DescribeConsumer(ctx, ref)
	wantFault(t, err, FaultStreamNotFound, "not found")
	if lags, err := s.StreamLag(ctx, testStream, ""); err != nil || len(lags) != 0 {
		t.Errorf("subscriptions show as named consumers: %v, %v", lags, err)
	}
}

// TestRetention: expired records are not read; the sweep removes them, and the
// shards that have nothing else, with what was kept about consumers.
func TestRetention(t *testing.T) {
	ctx := context.Background()
	s, c := newStreamFake(t, 1)
	putKeys(t, s, "a")
	if err := s.SplitShard(ctx, &SplitShardRequest{StreamRef: testStream, Shard: "shardId-0", HashKey: "9999"}); err != nil {
		t.Fatal(err)
	}
	_, _ = leases(t, s, "m")
	c.Advance(13 * time.Hour)
	putKeys(t, s, "b")
	c.Advance(12 * time.Hour)
	if data, last := readAll(t, s, iteratorAt(t, s, "shardId-0", ShardPosition{Type: "TRIM_HORIZON"})); len(data) != 0 || len(last.Children) != 2 {
		t.Errorf("expired records: %v, %+v", data, last)
	}
	if shown := shardsOf(t, s); len(shown) != 2 || shown[0].Parent == "" {
		t.Errorf("shown %+v", shown)
	}
	states := func(n model.ShardNumber) (state model.ShardState) {
		if err := s.shardState(ctx, mustStream(t, s), n, &state); err != nil {
			t.Fatal(err)
		}
		return state
	}
	if states(0).Bytes == 0 {
		t.Error("removed before the sweep")
	}
	st := mustStream(t, s)
	if err := s.TrimStream(ctx, st); err != nil {
		t.Fatal(err)
	}
	if states(0).Bytes != 0 || states(2).Bytes == 0 {
		t.Errorf("after the sweep: %+v, %+v", states(0), states(2))
	}
	if err := s.ForgetShards(ctx, st); err != nil {
		t.Fatal(err)
	}
	st = mustStream(t, s)
	if _, known := st.Spec.Shard(0); known || len(st.Spec.Shards) != 2 {
		t.Errorf("shards %+v", st.Spec.Shards)
	}
	if shown := shardsOf(t, s); shown[0].Parent != "" {
		t.Errorf("a parent that is gone: %+v", shown)
	}
	var found model.PositionsResult
	body := model.PositionsQuery{Shard: 0}
	if err := s.askShard(ctx, &testStream, st, 0, model.QueryPositions, body.Append(nil), true, &found); err != nil || len(found.Groups) != 0 {
		t.Errorf("positions %+v, %v", found.Groups, err)
	}
	if got, _ := leases(t, s, "m"); got != "1 2" {
		t.Errorf("leases %s", got)
	}
	// For ever is for ever.
	if err := s.SetStreamRetention(ctx, &StreamRetentionRequest{StreamRef: testStream, Hours: 0}); err != nil {
		t.Fatal(err)
	}
	c.Advance(100_000 * time.Hour)
	if err := s.TrimStream(ctx, mustStream(t, s)); err != nil {
		t.Fatal(err)
	}
	if data, _ := readAll(t, s, iteratorAt(t, s, "shardId-2", ShardPosition{Type: "TRIM_HORIZON"})); len(data) != 1 {
		t.Errorf("after 11 years: %v", data)
	}
}
