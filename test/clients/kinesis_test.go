package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	smithyendpoints "github.com/aws/smithy-go/endpoints"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"weir.dev/weir/test/process"
	"weir.dev/weir/weirtest/awsclient"
)

// streams is a test's way to a server's streams.
type streams struct {
	t   *testing.T
	ctx context.Context
	c   *kinesis.Client
}

func TestKinesis(t *testing.T) {
	t.Parallel()
	node := process.Start(t, process.Options{})
	for name, test := range map[string]func(streams){
		"Streams": testStreams, "Records": testRecords, "Iterators": testIterators, "Reshard": testReshard, "LongPoll": testStreamLongPoll,
		"Settings": testStreamSettings, "Tags": testStreamTags, "Consumers": testConsumers, "Subscribe": testSubscribe,
		"SubscribeThroughReshard": testSubscribeThroughReshard, "Errors": testStreamErrors, "Retries": testStreamRetries,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(streams{t, testContext(t), kinesis.NewFromConfig(awsclient.Config(node.Endpoint()))})
		})
	}
}

func (s streams) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s streams) make(name string, shards int32) *string {
	s.t.Helper()
	_, err := s.c.CreateStream(s.ctx, &kinesis.CreateStreamInput{StreamName: &name, ShardCount: &shards})
	s.ok(err)
	return &name
}

func (s streams) put(stream *string, key, data string) *kinesis.PutRecordOutput {
	s.t.Helper()
	return must[*kinesis.PutRecordOutput](s.t)(s.c.PutRecord(s.ctx, &kinesis.PutRecordInput{StreamName: stream, PartitionKey: &key, Data: []byte(data)}))
}

func (s streams) iterator(stream, shard *string) *string {
	s.t.Helper()
	return must[*kinesis.GetShardIteratorOutput](s.t)(s.c.GetShardIterator(s.ctx, &kinesis.GetShardIteratorInput{
		StreamName: stream, ShardId: shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})).ShardIterator
}

// active waits until a stream's shards are no longer being changed.
func (s streams) active(stream *string) *types.StreamDescriptionSummary {
	s.t.Helper()
	waiter := kinesis.NewStreamExistsWaiter(s.c, func(o *kinesis.StreamExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 10*time.Millisecond, 50*time.Millisecond
	})
	s.ok(waiter.Wait(s.ctx, &kinesis.DescribeStreamInput{StreamName: stream}, time.Minute))
	return must[*kinesis.DescribeStreamSummaryOutput](s.t)(s.c.DescribeStreamSummary(s.ctx, &kinesis.DescribeStreamSummaryInput{StreamName: stream})).StreamDescriptionSummary
}

func (s streams) shards(stream *string) []types.Shard {
	s.t.Helper()
	return must[*kinesis.ListShardsOutput](s.t)(s.c.ListShards(s.ctx, &kinesis.ListShardsInput{StreamName: stream})).Shards
}

// thisEndpoint is always the same endpoint: for a StreamId the SDK makes a host
// name at AWS, whatever it was told.
type thisEndpoint string

func (e thisEndpoint) ResolveEndpoint(context.Context, kinesis.EndpointParameters) (smithyendpoints.Endpoint, error) {
	u, err := url.Parse(string(e))
	if err != nil {
		return smithyendpoints.Endpoint{}, err
	}
	return smithyendpoints.Endpoint{URI: *u}, nil
}

func testStreams(s streams) {
	name := s.make("made", 3)
	d := s.active(name)
	want(s.t, "name", *d.StreamName, "made")
	want(s.t, "ARN", *d.StreamARN, "arn:aws:kinesis:us-east-1:000000000000:stream/made")
	want(s.t, "open shards", *d.OpenShardCount, 3)
	want(s.t, "retention", *d.RetentionPeriodHours, 24)
	want(s.t, "mode", d.StreamModeDetails.StreamMode, types.StreamModeProvisioned)
	if age := time.Since(*d.StreamCreationTimestamp); age < -time.Second || age > time.Minute {
		s.t.Errorf("created %v", d.StreamCreationTimestamp)
	}
	byID := must[*kinesis.DescribeStreamSummaryOutput](s.t)(s.c.DescribeStreamSummary(s.ctx, &kinesis.DescribeStreamSummaryInput{StreamId: d.StreamId},
		func(o *kinesis.Options) { o.EndpointResolverV2 = thisEndpoint(*o.BaseEndpoint) }))
	want(s.t, "name by id", *byID.StreamDescriptionSummary.StreamName, "made")
	_, err := s.c.CreateStream(s.ctx, &kinesis.CreateStreamInput{StreamName: aws.String("demand"), StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}})
	s.ok(err)
	want(s.t, "shards on demand", *s.active(aws.String("demand")).OpenShardCount, 4)
	var names []string
	pages := kinesis.NewListStreamsPaginator(s.c, &kinesis.ListStreamsInput{Limit: aws.Int32(1)})
	for pages.HasMorePages() {
		names = append(names, must[*kinesis.ListStreamsOutput](s.t)(pages.NextPage(s.ctx)).StreamNames...)
	}
	if !slices.Contains(names, "made") || !slices.Contains(names, "demand") {
		s.t.Errorf("listed %v", names)
	}
	l := must[*kinesis.DescribeLimitsOutput](s.t)(s.c.DescribeLimits(s.ctx, &kinesis.DescribeLimitsInput{}))
	if *l.OpenShardCount < 3 || *l.OnDemandStreamCount < 1 {
		s.t.Errorf("limits %d, %d", *l.OpenShardCount, *l.OnDemandStreamCount)
	}
	_, err = s.c.DeleteStream(s.ctx, &kinesis.DeleteStreamInput{StreamARN: d.StreamARN})
	s.ok(err)
	_, err = s.c.DescribeStream(s.ctx, &kinesis.DescribeStreamInput{StreamName: name})
	wantError[*types.ResourceNotFoundException](s.t, err)
}

func testRecords(s streams) {
	stream := s.make("records", 2)
	var entries []types.PutRecordsRequestEntry
	for i := range 500 {
		entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprint("key", i%7)), Data: fmt.Append(nil, i, "\x00\xff")})
	}
	res := must[*kinesis.PutRecordsOutput](s.t)(s.c.PutRecords(s.ctx, &kinesis.PutRecordsInput{StreamName: stream, Records: entries}))
	want(s.t, "failed", *res.FailedRecordCount, 0)
	got := map[string]types.Record{}
	for _, shard := range s.shards(stream) {
		at, last := s.iterator(stream, shard.ShardId), ""
		for {
			page := must[*kinesis.GetRecordsOutput](s.t)(s.c.GetRecords(s.ctx, &kinesis.GetRecordsInput{ShardIterator: at, Limit: aws.Int32(100)}))
			for _, r := range page.Records {
				if last != "" && (len(*r.SequenceNumber) < len(last) || *r.SequenceNumber <= last) {
					s.t.Fatalf("%s after %s", *r.SequenceNumber, last)
				}
				last = *r.SequenceNumber
				got[*shard.ShardId+last] = r
			}
			if at = page.NextShardIterator; len(page.Records) == 0 {
				want(s.t, "behind", *page.MillisBehindLatest, 0)
				break
			}
		}
	}
	want(s.t, "records", len(got), 500)
	for i, put := range res.Records {
		r := got[*put.ShardId+*put.SequenceNumber]
		if !bytes.Equal(r.Data, entries[i].Data) || aws.ToString(r.PartitionKey) != *entries[i].PartitionKey || time.Since(*r.ApproximateArrivalTimestamp) > time.Minute {
			s.t.Fatalf("record %d is %+v", i, r)
		}
	}
}

func testIterators(s streams) {
	stream := s.make("iterators", 1)
	first, second := s.put(stream, "k", "one"), s.put(stream, "k", "two")
	shard := first.ShardId
	for _, c := range []struct {
		in   kinesis.GetShardIteratorInput
		want string
	}{
		{kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: second.SequenceNumber}, "two"},
		{kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: first.SequenceNumber}, "two"},
		{kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: aws.Time(time.Now().Add(-time.Hour))}, "onetwo"},
		{kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeLatest}, ""},
	} {
		c.in.StreamName, c.in.ShardId = stream, shard
		at := must[*kinesis.GetShardIteratorOutput](s.t)(s.c.GetShardIterator(s.ctx, &c.in)).ShardIterator
		var data string
		for _, r := range must[*kinesis.GetRecordsOutput](s.t)(s.c.GetRecords(s.ctx, &kinesis.GetRecordsInput{ShardIterator: at})).Records {
			data += string(r.Data)
		}
		want(s.t, string(c.in.ShardIteratorType), data, c.want)
	}
}

func testReshard(s streams) {
	stream := s.make("reshard", 1)
	s.put(stream, "k", "before")
	parent := s.shards(stream)[0]
	_, err := s.c.SplitShard(s.ctx, &kinesis.SplitShardInput{StreamName: stream, ShardToSplit: parent.ShardId, NewStartingHashKey: aws.String("1000")})
	s.ok(err)
	want(s.t, "open after the split", *s.active(stream).OpenShardCount, 2)
	page := must[*kinesis.GetRecordsOutput](s.t)(s.c.GetRecords(s.ctx, &kinesis.GetRecordsInput{ShardIterator: s.iterator(stream, parent.ShardId)}))
	for page.NextShardIterator != nil && len(page.ChildShards) == 0 {
		page = must[*kinesis.GetRecordsOutput](s.t)(s.c.GetRecords(s.ctx, &kinesis.GetRecordsInput{ShardIterator: page.NextShardIterator}))
	}
	want(s.t, "children", len(page.ChildShards), 2)
	var open []string
	for _, shard := range s.shards(stream) {
		if shard.SequenceNumberRange.EndingSequenceNumber == nil {
			open = append(open, *shard.ShardId)
			want(s.t, "parent", aws.ToString(shard.ParentShardId), *parent.ShardId)
		}
	}
	_, err = s.c.MergeShards(s.ctx, &kinesis.MergeShardsInput{StreamName: stream, ShardToMerge: &open[0], AdjacentShardToMerge: &open[1]})
	s.ok(err)
	want(s.t, "open after the merge", *s.active(stream).OpenShardCount, 1)
	up := must[*kinesis.UpdateShardCountOutput](s.t)(s.c.UpdateShardCount(s.ctx, &kinesis.UpdateShardCountInput{
		StreamName: stream, TargetShardCount: aws.Int32(2), ScalingType: types.ScalingTypeUniformScaling,
	}))
	want(s.t, "target", *up.TargetShardCount, 2)
	want(s.t, "open in the end", *s.active(stream).OpenShardCount, 2)
}

func testStreamLongPoll(s streams) {
	stream := s.make("poll", 1)
	at := s.iterator(stream, aws.String("shardId-000000000000"))
	done := make(chan *kinesis.GetRecordsOutput, 1)
	go func() {
		page, err := s.c.GetRecords(s.ctx, &kinesis.GetRecordsInput{ShardIterator: at}, func(o *kinesis.Options) {
			o.APIOptions = append(o.APIOptions, smithyhttp.AddHeaderValue("X-Weir-Wait-Seconds", "20"))
		})
		if err != nil {
			s.t.Error(err)
		}
		done <- page
	}()
	s.put(stream, "k", "soon")
	if page := <-done; page != nil {
		want(s.t, "records", len(page.Records), 1)
	}
}

func testStreamSettings(s streams) {
	stream := s.make("settings", 1)
	arn := s.active(stream).StreamARN
	_, err := s.c.IncreaseStreamRetentionPeriod(s.ctx, &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: stream, RetentionPeriodHours: aws.Int32(48)})
	s.ok(err)
	_, err = s.c.DecreaseStreamRetentionPeriod(s.ctx, &kinesis.DecreaseStreamRetentionPeriodInput{StreamARN: arn, RetentionPeriodHours: aws.Int32(36)})
	s.ok(err)
	_, err = s.c.UpdateMaxRecordSize(s.ctx, &kinesis.UpdateMaxRecordSizeInput{StreamARN: arn, MaxRecordSizeInKiB: aws.Int32(4096)})
	s.ok(err)
	_, err = s.c.StartStreamEncryption(s.ctx, &kinesis.StartStreamEncryptionInput{StreamName: stream, EncryptionType: types.EncryptionTypeKms, KeyId: aws.String("alias/k")})
	s.ok(err)
	want(s.t, "a record's encryption", s.put(stream, "k", "x").EncryptionType, types.EncryptionTypeKms)
	on := must[*kinesis.EnableEnhancedMonitoringOutput](s.t)(s.c.EnableEnhancedMonitoring(s.ctx, &kinesis.EnableEnhancedMonitoringInput{
		StreamName: stream, ShardLevelMetrics: []types.MetricsName{types.MetricsNameAll},
	}))
	want(s.t, "metrics", len(on.DesiredShardLevelMetrics), 7)
	d := s.active(stream)
	want(s.t, "retention", *d.RetentionPeriodHours, 36)
	want(s.t, "record size", *d.MaxRecordSizeInKiB, 4096)
	want(s.t, "key", aws.ToString(d.KeyId), "alias/k")
	s.put(stream, "k", string(make([]byte, 3<<20)))
	_, err = s.c.StopStreamEncryption(s.ctx, &kinesis.StopStreamEncryptionInput{StreamName: stream, EncryptionType: types.EncryptionTypeKms, KeyId: aws.String("alias/k")})
	s.ok(err)
	off := must[*kinesis.DisableEnhancedMonitoringOutput](s.t)(s.c.DisableEnhancedMonitoring(s.ctx, &kinesis.DisableEnhancedMonitoringInput{
		StreamName: stream, ShardLevelMetrics: []types.MetricsName{types.MetricsNameIncomingBytes},
	}))
	want(s.t, "metrics left", len(off.DesiredShardLevelMetrics), 6)
	_, err = s.c.UpdateStreamMode(s.ctx, &kinesis.UpdateStreamModeInput{StreamARN: arn, StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}})
	s.ok(err)
	warm := must[*kinesis.UpdateStreamWarmThroughputOutput](s.t)(s.c.UpdateStreamWarmThroughput(s.ctx, &kinesis.UpdateStreamWarmThroughputInput{
		StreamName: stream, WarmThroughputMiBps: aws.Int32(2),
	}))
	want(s.t, "warm", *warm.WarmThroughput.TargetMiBps, 2)
	account := must[*kinesis.DescribeAccountSettingsOutput](s.t)(s.c.DescribeAccountSettings(s.ctx, &kinesis.DescribeAccountSettingsInput{}))
	want(s.t, "commitment", account.MinimumThroughputBillingCommitment.Status, types.MinimumThroughputBillingCommitmentOutputStatusDisabled)
	updated := must[*kinesis.UpdateAccountSettingsOutput](s.t)(s.c.UpdateAccountSettings(s.ctx, &kinesis.UpdateAccountSettingsInput{
		MinimumThroughputBillingCommitment: &types.MinimumThroughputBillingCommitmentInput{Status: types.MinimumThroughputBillingCommitmentInputStatusEnabled},
	}))
	want(s.t, "updated commitment", updated.MinimumThroughputBillingCommitment.Status, types.MinimumThroughputBillingCommitmentOutputStatusEnabled)
	account = must[*kinesis.DescribeAccountSettingsOutput](s.t)(s.c.DescribeAccountSettings(s.ctx, &kinesis.DescribeAccountSettingsInput{}))
	want(s.t, "commitment kept", account.MinimumThroughputBillingCommitment.Status, types.MinimumThroughputBillingCommitmentOutputStatusEnabled)
}

func testStreamTags(s streams) {
	stream := s.make("tags", 1)
	arn := s.active(stream).StreamARN
	_, err := s.c.AddTagsToStream(s.ctx, &kinesis.AddTagsToStreamInput{StreamName: stream, Tags: map[string]string{"a": "1", "b": "2", "c": "3"}})
	s.ok(err)
	_, err = s.c.RemoveTagsFromStream(s.ctx, &kinesis.RemoveTagsFromStreamInput{StreamName: stream, TagKeys: []string{"a"}})
	s.ok(err)
	page := must[*kinesis.ListTagsForStreamOutput](s.t)(s.c.ListTagsForStream(s.ctx, &kinesis.ListTagsForStreamInput{StreamName: stream, Limit: aws.Int32(1)}))
	if len(page.Tags) != 1 || *page.Tags[0].Key != "b" || !*page.HasMoreTags {
		s.t.Errorf("%+v", page.Tags)
	}
	_, err = s.c.TagResource(s.ctx, &kinesis.TagResourceInput{ResourceARN: arn, Tags: map[string]string{"d": "4"}})
	s.ok(err)
	_, err = s.c.UntagResource(s.ctx, &kinesis.UntagResourceInput{ResourceARN: arn, TagKeys: []string{"b", "c"}})
	s.ok(err)
	all := must[*kinesis.ListTagsForResourceOutput](s.t)(s.c.ListTagsForResource(s.ctx, &kinesis.ListTagsForResourceInput{ResourceARN: arn}))
	if len(all.Tags) != 1 || *all.Tags[0].Key != "d" || *all.Tags[0].Value != "4" {
		s.t.Errorf("%+v", all.Tags)
	}
	policy := aws.String(`{"Version":"2012-10-17","Statement":[]}`)
	_, err = s.c.PutResourcePolicy(s.ctx, &kinesis.PutResourcePolicyInput{ResourceARN: arn, Policy: policy})
	s.ok(err)
	want(s.t, "policy", *must[*kinesis.GetResourcePolicyOutput](s.t)(s.c.GetResourcePolicy(s.ctx, &kinesis.GetResourcePolicyInput{ResourceARN: arn})).Policy, *policy)
	_, err = s.c.DeleteResourcePolicy(s.ctx, &kinesis.DeleteResourcePolicyInput{ResourceARN: arn})
	s.ok(err)
	_, err = s.c.GetResourcePolicy(s.ctx, &kinesis.GetResourcePolicyInput{ResourceARN: arn})
	wantError[*types.ResourceNotFoundException](s.t, err)
}

func (s streams) register(stream *string, name string) *types.Consumer {
	s.t.Helper()
	return must[*kinesis.RegisterStreamConsumerOutput](s.t)(s.c.RegisterStreamConsumer(s.ctx, &kinesis.RegisterStreamConsumerInput{
		StreamARN: s.active(stream).StreamARN, ConsumerName: &name,
	})).Consumer
}

func testConsumers(s streams) {
	stream := s.make("consumed", 1)
	c := s.register(stream, "c")
	want(s.t, "status", c.ConsumerStatus, types.ConsumerStatusActive)
	d := must[*kinesis.DescribeStreamConsumerOutput](s.t)(s.c.DescribeStreamConsumer(s.ctx, &kinesis.DescribeStreamConsumerInput{ConsumerARN: c.ConsumerARN}))
	want(s.t, "stream", *d.ConsumerDescription.StreamARN, *s.active(stream).StreamARN)
	list := must[*kinesis.ListStreamConsumersOutput](s.t)(s.c.ListStreamConsumers(s.ctx, &kinesis.ListStreamConsumersInput{StreamARN: d.ConsumerDescription.StreamARN}))
	want(s.t, "consumers", len(list.Consumers), 1)
	_, err := s.c.RegisterStreamConsumer(s.ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: d.ConsumerDescription.StreamARN, ConsumerName: aws.String("c")})
	wantError[*types.ResourceInUseException](s.t, err)
	_, err = s.c.DeregisterStreamConsumer(s.ctx, &kinesis.DeregisterStreamConsumerInput{ConsumerARN: c.ConsumerARN})
	s.ok(err)
	_, err = s.c.DescribeStreamConsumer(s.ctx, &kinesis.DescribeStreamConsumerInput{StreamARN: d.ConsumerDescription.StreamARN, ConsumerName: aws.String("c")})
	wantError[*types.ResourceNotFoundException](s.t, err)
}

func (s streams) subscribe(c *types.Consumer, shard *string, from types.StartingPosition) *kinesis.SubscribeToShardEventStream {
	s.t.Helper()
	out := must[*kinesis.SubscribeToShardOutput](s.t)(s.c.SubscribeToShard(s.ctx, &kinesis.SubscribeToShardInput{
		ConsumerARN: c.ConsumerARN, ShardId: shard, StartingPosition: &from,
	}))
	return out.GetStream()
}

func testSubscribe(s streams) {
	stream := s.make("subscribed", 1)
	c := s.register(stream, "c")
	events := s.subscribe(c, aws.String("shardId-000000000000"), types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon})
	defer events.Close()
	for i := range 5 {
		s.put(stream, "k", fmt.Sprint(i))
	}
	var got string
	for got != "01234" {
		e := (<-events.Events()).(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
		for _, r := range e.Records {
			got += string(r.Data)
		}
	}
	_, err := s.c.DeregisterStreamConsumer(s.ctx, &kinesis.DeregisterStreamConsumerInput{ConsumerARN: c.ConsumerARN})
	s.ok(err)
	for range events.Events() { // to the end
	}
	wantError[*types.ResourceNotFoundException](s.t, events.Err())
}

// testSubscribeThroughReshard follows a stream's records through a split, by
// what the events say.
func testSubscribeThroughReshard(s streams) {
	stream := s.make("followed", 1)
	c := s.register(stream, "c")
	const records = 60
	put := make(chan error, 1)
	go func() {
		for i := range records {
			if i == records/3 {
				if _, err := s.c.SplitShard(s.ctx, &kinesis.SplitShardInput{StreamName: stream, ShardToSplit: aws.String("shardId-000000000000"),
					NewStartingHashKey: aws.String("170141183460469231731687303715884105728")}); err != nil {
					put <- err
					return
				}
			}
			key := fmt.Sprint("key", i)
			if _, err := s.c.PutRecord(s.ctx, &kinesis.PutRecordInput{StreamName: stream, PartitionKey: &key, Data: []byte{byte(i)}}); err != nil {
				put <- err
				return
			}
		}
		put <- nil
	}()
	stop, cancel := context.WithCancel(s.ctx)
	f := &follower{streams: s, consumer: c, stop: stop, found: make(chan byte), errs: make(chan error)}
	defer f.running.Wait()
	defer cancel()
	f.follow("shardId-000000000000")
	seen := map[byte]int{}
	for len(seen) < records {
		select {
		case b := <-f.found:
			seen[b]++
		case err := <-f.errs:
			s.t.Fatal(err)
		case <-s.ctx.Done():
			s.t.Fatalf("%d of %d records came", len(seen), records)
		}
	}
	s.ok(<-put)
	for b, n := range seen {
		if n != 1 {
			s.t.Errorf("record %d came %d times", b, n)
		}
	}
}

// follower subscribes to a shard and, when it ends, to its children.
type follower struct {
	streams
	consumer *types.Consumer
	stop     context.Context
	found    chan byte
	errs     chan error
	running  sync.WaitGroup
}

func (f *follower) follow(shard string) {
	f.running.Go(func() {
		if err := f.run(shard); err != nil {
			select {
			case f.errs <- fmt.Errorf("%s: %w", shard, err):
			case <-f.stop.Done():
			}
		}
	})
}

func (f *follower) run(shard string) error {
	out, err := f.c.SubscribeToShard(f.stop, &kinesis.SubscribeToShardInput{
		ConsumerARN: f.consumer.ConsumerARN, ShardId: &shard, StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon},
	})
	if err != nil {
		return err
	}
	events := out.GetStream()
	defer events.Close()
	for {
		select {
		case e, more := <-events.Events():
			if !more {
				return events.Err()
			}
			event := e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
			for _, r := range event.Records {
				select {
				case f.found <- r.Data[0]:
				case <-f.stop.Done():
					return nil
				}
			}
			for _, child := range event.ChildShards {
				f.follow(*child.ShardId)
			}
		case <-f.stop.Done():
			return nil
		}
	}
}

func testStreamErrors(s streams) {
	stream := s.make("errors", 1)
	_, err := s.c.CreateStream(s.ctx, &kinesis.CreateStreamInput{StreamName: stream, ShardCount: aws.Int32(1)})
	wantError[*types.ResourceInUseException](s.t, err)
	_, err = s.c.PutRecord(s.ctx, &kinesis.PutRecordInput{StreamName: aws.String("nobody"), PartitionKey: aws.String("k"), Data: []byte("x")})
	want(s.t, "message", wantError[*types.ResourceNotFoundException](s.t, err).ErrorMessage(), "Stream nobody under account 000000000000 not found.")
	_, err = s.c.PutRecord(s.ctx, &kinesis.PutRecordInput{StreamName: stream, PartitionKey: aws.String(""), Data: []byte("x")})
	wantCode(s.t, err, "ValidationException")
	_, err = s.c.GetRecords(s.ctx, &kinesis.GetRecordsInput{ShardIterator: aws.String("junk")})
	wantError[*types.InvalidArgumentException](s.t, err)
	_, err = s.c.SubscribeToShard(s.ctx, &kinesis.SubscribeToShardInput{
		ConsumerARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/errors/consumer/nobody:1"), ShardId: aws.String("shardId-000000000000"),
		StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeLatest},
	})
	wantError[*types.ResourceNotFoundException](s.t, err)
}

// testStreamRetries: an answer that is lost makes the SDK try again, which
// counts once.
func testStreamRetries(s streams) {
	stream := s.make("retries", 1)
	tries := 0
	lose := func(stack *middleware.Stack) error {
		return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("lose", func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
			out, meta, err := next.HandleDeserialize(ctx, in)
			if tries++; tries%2 == 1 && err == nil {
				err = &smithyhttp.RequestSendError{Err: errors.New("the answer was lost")}
			}
			return out, meta, err
		}), middleware.Before)
	}
	for i := range 5 {
		_, err := s.c.PutRecord(s.ctx, &kinesis.PutRecordInput{StreamName: stream, PartitionKey: aws.String("k"), Data: []byte{byte(i)}},
			func(o *kinesis.Options) { o.APIOptions = append(o.APIOptions, lose) })
		s.ok(err)
	}
	want(s.t, "tries", tries, 10)
	page := must[*kinesis.GetRecordsOutput](s.t)(s.c.GetRecords(s.ctx, &kinesis.GetRecordsInput{ShardIterator: s.iterator(stream, aws.String("shardId-000000000000"))}))
	want(s.t, "records", len(page.Records), 5)
}
