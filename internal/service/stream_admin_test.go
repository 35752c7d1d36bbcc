package service

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
)

func TestStreamSettings(t *testing.T) {
	ctx := context.Background()
	s, _ := newStreamFake(t, 2)
	err := s.CreateStream(ctx, &CreateStreamRequest{StreamRef: testStream, ShardCount: ptr(int64(1))})
	wantFault(t, err, FaultStreamInUse, "Stream s under account 123456789012 already exists.")
	err = s.CreateStream(ctx, &CreateStreamRequest{StreamRef: StreamRef{Name: "x"}, ShardCount: ptr(int64(5000))})
	wantFault(t, err, FaultStreamLimit, "would exceed the shard limit")
	err = s.CreateStream(ctx, &CreateStreamRequest{StreamRef: StreamRef{Name: "x y"}, ShardCount: ptr(int64(1))})
	wantFault(t, err, FaultStreamValidation, "streamName")
	err = s.CreateStream(ctx, &CreateStreamRequest{StreamRef: StreamRef{Name: "x"}})
	wantFault(t, err, FaultStreamValidation, "ShardCount is required")

	retain := func(hours int64, decrease bool) error {
		return s.SetStreamRetention(ctx, &StreamRetentionRequest{StreamRef: testStream, Hours: hours, Decrease: decrease})
	}
	wantFault(t, retain(23, true), FaultStreamArgument, "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.")
	wantFault(t, retain(48, true), FaultStreamArgument, "can not be longer than existing retention period (24 hours). Use IncreaseRetentionPeriod API.")
	if err := retain(10_000, false); err != nil {
		t.Error(err)
	}
	wantFault(t, retain(48, false), FaultStreamArgument, "can not be shorter than existing retention period (10000 hours). Use DecreaseRetentionPeriod API.")
	s.SetProfile(AWSProfile)
	wantFault(t, retain(8761, true), FaultStreamArgument, "Maximum allowed retention period is 8760 hours.")
	s.SetProfile(Profile{})

	if err := s.SetStreamEncryption(ctx, testStream, "alias/aws/kinesis"); err != nil {
		t.Fatal(err)
	}
	m, err := s.SetShardMetrics(ctx, &ShardMetricsRequest{StreamRef: testStream, Metrics: []string{"OutgoingBytes", "IncomingBytes"}})
	if err != nil || fmt.Sprint(m.Before, m.After) != "[] [IncomingBytes OutgoingBytes]" {
		t.Error(m, err)
	}
	if m, err = s.SetShardMetrics(ctx, &ShardMetricsRequest{StreamRef: testStream, Metrics: []string{"ALL"}, Disable: true}); err != nil || len(m.Before) != 2 || len(m.After) != 0 {
		t.Error(m, err)
	}
	wantFault(t, s.UpdateStreamMode(ctx, &UpdateStreamModeRequest{StreamRef: testStream, WarmMiBps: ptr(int64(3))}), FaultStreamValidation, "ON_DEMAND")
	if err := s.UpdateStreamMode(ctx, &UpdateStreamModeRequest{StreamRef: testStream, OnDemand: true}); err != nil {
		t.Fatal(err)
	}
	_, err = s.UpdateShardCount(ctx, &UpdateShardCountRequest{StreamRef: testStream, Target: 3})
	wantFault(t, err, FaultStreamValidation, "Stream s under account 123456789012 is in On-Demand mode.")
	if _, err := s.UpdateWarmThroughput(ctx, testStream, 7); err != nil {
		t.Error(err)
	}
	st := mustStream(t, s)
	if st.KeyID != "alias/aws/kinesis" || !st.OnDemand || st.Warm.TargetMiBps != 7 || st.Retention != 10_000 {
		t.Errorf("%+v", st)
	}
	limits, err := s.DescribeStreamLimits(ctx)
	if err != nil || limits.OnDemandStreams != 1 || limits.OpenShards != 0 {
		t.Error(limits, err)
	}
	byID, err := s.GetStream(ctx, StreamRef{ID: st.StreamID()})
	if err != nil || byID.ID != st.ID || len(st.StreamID()) != 24 {
		t.Error(byID, err)
	}
	_, err = s.GetStream(ctx, StreamRef{ID: "00000000000000000009-abc"})
	wantFault(t, err, FaultStreamNotFound, "not found")
	if err := s.DeleteStream(ctx, &DeleteStreamRequest{StreamRef: testStream}); err != nil {
		t.Fatal(err)
	}
	_, err = s.GetStream(ctx, testStream)
	wantFault(t, err, FaultStreamNotFound, "Stream s under account 123456789012 not found.")
}

func TestStreamTags(t *testing.T) {
	ctx := context.Background()
	s, _ := newStreamFake(t, 1)
	if err := s.TagStream(ctx, testStream, []model.Tag{{Key: "b", Value: "2"}, {Key: "a", Value: "1"}, {Key: "c", Value: "3"}}); err != nil {
		t.Fatal(err)
	}
	page, err := s.ListStreamTags(ctx, &ListStreamTagsRequest{StreamRef: testStream, Start: "a", Limit: 1})
	if err != nil || !page.More || len(page.Tags) != 1 || page.Tags[0].Key != "b" {
		t.Error(page, err)
	}
	if err := s.UntagStream(ctx, testStream, []string{"b", "nothing"}); err != nil {
		t.Error(err)
	}
	if page, err = s.ListStreamTags(ctx, &ListStreamTagsRequest{StreamRef: testStream}); err != nil || page.More || len(page.Tags) != 2 {
		t.Error(page, err)
	}
	wantFault(t, s.TagStream(ctx, testStream, []model.Tag{{Key: "?"}}), FaultStreamArgument, "invalid characters")
	var many []model.Tag
	for i := range 51 {
		many = append(many, model.Tag{Key: fmt.Sprint("k", i)})
	}
	wantFault(t, s.TagStream(ctx, testStream, many), FaultStreamArgument, "cannot have more than 50 tags")

	_, err = s.GetStreamPolicy(ctx, testStream)
	wantFault(t, err, FaultStreamNotFound, "No resource policy")
	wantFault(t, s.PutStreamPolicy(ctx, testStream, "{"), FaultStreamArgument, "not a JSON object")
	wantFault(t, s.PutStreamPolicy(ctx, testStream, "{}"), FaultStreamArgument, "no Statement")
	policy := `{"Statement":[]}`
	if err := s.PutStreamPolicy(ctx, testStream, policy); err != nil {
		t.Error(err)
	}
	if got, err := s.GetStreamPolicy(ctx, testStream); got != policy || err != nil {
		t.Error(got, err)
	}
	if err := s.DeleteStreamPolicy(ctx, testStream); err != nil {
		t.Error(err)
	}

	ref := ConsumerRef{StreamRef: testStream, Consumer: "c"}
	wantFault(t, s.TagConsumer(ctx, ref, nil), FaultStreamNotFound, "Consumer c in stream s")
	if _, err := s.RegisterConsumer(ctx, &RegisterConsumerRequest{StreamRef: testStream, Consumer: "c", Tags: []model.Tag{{Key: "x"}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.TagConsumer(ctx, ref, []model.Tag{{Key: "y"}}); err != nil {
		t.Error(err)
	}
	if err := s.UntagConsumer(ctx, ref, []string{"x"}); err != nil {
		t.Error(err)
	}
	if tags, err := s.ConsumerTags(ctx, ref); err != nil || len(tags) != 1 || tags[0].Key != "y" {
		t.Error(tags, err)
	}
	if err := s.PutConsumerPolicy(ctx, ref, policy); err != nil {
		t.Error(err)
	}
	if got, err := s.GetConsumerPolicy(ctx, ref); got != policy || err != nil {
		t.Error(got, err)
	}
	if err := s.DeleteConsumerPolicy(ctx, ref); err != nil {
		t.Error(err)
	}
}

// TestPages: what comes page by page comes once, and its tokens end.
func TestPages(t *testing.T) {
	ctx := context.Background()
	s, c := newStreamFake(t, 7)
	for _, name := range []string{"a", "b", "z"} {
		if err := s.CreateStream(ctx, &CreateStreamRequest{StreamRef: StreamRef{Name: name}, OnDemand: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.RegisterConsumer(ctx, &RegisterConsumerRequest{StreamRef: testStream, Consumer: name}); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for req := (&ListStreamsRequest{Limit: 3}); ; {
		page, err := s.ListStreams(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range page.Streams {
			names = append(names, st.Name)
		}
		if page.Next == "" {
			break
		}
		req = &ListStreamsRequest{Limit: 3, Token: page.Next}
	}
	if strings.Join(names, " ") != "a b s z" {
		t.Errorf("streams %v", names)
	}
	var consumers []string
	for req := (&ListConsumersRequest{StreamRef: testStream, Limit: 2}); ; {
		page, err := s.ListConsumers(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Consumers {
			consumers = append(consumers, c.Name)
		}
		if page.Next == "" {
			break
		}
		req = &ListConsumersRequest{StreamRef: testStream, Limit: 2, Token: page.Next}
	}
	if strings.Join(consumers, " ") != "a b z" {
		t.Errorf("consumers %v", consumers)
	}
	var shards []string
	var token string
	for req := (&ListShardsRequest{StreamRef: testStream, Limit: 3, Filter: &ShardFilter{Type: "AT_LATEST"}}); ; {
		page, err := s.ListShards(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		for _, sh := range page.Shards {
			shards = append(shards, sh.ID[len(sh.ID)-1:])
		}
		if page.Next == "" {
			break
		}
		token = page.Next
		req = &ListShardsRequest{Limit: 3, Token: token}
	}
	if strings.Join(shards, " ") != "0 1 2 3 4 5 6" {
		t.Errorf("shards %v", shards)
	}
	_, err := s.ListShards(ctx, &ListShardsRequest{StreamRef: testStream, Token: token})
	wantFault(t, err, FaultStreamArgument, "NextToken and StreamName cannot be provided together.")
	_, err = s.ListStreams(ctx, &ListStreamsRequest{Token: token})
	wantFault(t, err, FaultStreamArgument, "NextToken is invalid.")
	c.Advance(301 * time.Second)
	_, err = s.ListShards(ctx, &ListShardsRequest{Token: token})
	wantFault(t, err, FaultExpiredToken, "good for 300 seconds")
}

// TestShardFilters: which shards each filter selects, after a split at two
// seconds and a merge of the children at four.
func TestShardFilters(t *testing.T) {
	ctx := context.Background()
	s, c := newStreamFake(t, 1)
	began := c.Now().UnixMilli()
	c.Advance(2 * time.Second)
	if err := s.SplitShard(ctx, &SplitShardRequest{StreamRef: testStream, Shard: "shardId-0", HashKey: "9999"}); err != nil {
		t.Fatal(err)
	}
	c.Advance(2 * time.Second)
	if err := s.MergeShards(ctx, &MergeShardsRequest{StreamRef: testStream, Shard: "shardId-1", Adjacent: "shardId-2"}); err != nil {
		t.Fatal(err)
	}
	c.Advance(2 * time.Second)
	for _, test := range []struct {
		filter ShardFilter
		want   string
	}{
		{ShardFilter{Type: "FROM_TRIM_HORIZON"}, "0 1 2 3"},
		{ShardFilter{Type: "AT_TRIM_HORIZON"}, "0"},
		{ShardFilter{Type: "AT_LATEST"}, "3"},
		{ShardFilter{Type: "AFTER_SHARD_ID", ShardID: "shardId-000000000001"}, "2 3"},
		{ShardFilter{Type: "AT_TIMESTAMP", TimestampMs: ptr(began + 1000)}, "0"},
		{ShardFilter{Type: "AT_TIMESTAMP", TimestampMs: ptr(began + 3000)}, "1 2"},
		{ShardFilter{Type: "AT_TIMESTAMP", TimestampMs: ptr(int64(0))}, "0"},
		{ShardFilter{Type: "FROM_TIMESTAMP", TimestampMs: ptr(began + 3000)}, "1 2 3"},
		{ShardFilter{Type: "FROM_TIMESTAMP", TimestampMs: ptr(began + 5000)}, "3"},
	} {
		page, err := s.ListShards(ctx, &ListShardsRequest{StreamRef: testStream, Filter: &test.filter})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, sh := range page.Shards {
			got = append(got, sh.ID[len(sh.ID)-1:])
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%+v: %v, want %s", test.filter, got, test.want)
		}
	}
	_, err := s.ListShards(ctx, &ListShardsRequest{StreamRef: testStream, Filter: &ShardFilter{Type: "AT_TIMESTAMP", TimestampMs: ptr(began + 60_000)}})
	wantFault(t, err, FaultStreamArgument, "in the future")
	_, err = s.ListShards(ctx, &ListShardsRequest{StreamRef: testStream, CreatedMs: ptr(began - 5000)})
	wantFault(t, err, FaultStreamNotFound, "not found")
}

// TestTokenBytes holds the bytes of tokens to docs/format/stream.md.
func TestTokenBytes(t *testing.T) {
	it := iterator{stream: 300, shard: 7, n: 1_000_000, createdMs: 1_700_000_000_123}
	const want = "AQGsAgfAhD370JX/vDErZASZ"
	if got := it.String(); got != want {
		t.Errorf("an iterator is %q, not %q", got, want)
	}
	if back, ok := parseIterator(it.String()); !ok || back != it {
		t.Errorf("read back as %+v", back)
	}
}
