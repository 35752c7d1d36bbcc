package kinesis

import (
	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

const (
	modeOnDemand    = "ON_DEMAND"
	modeProvisioned = "PROVISIONED"
)

func createStream(c *call, in *CreateStreamInput) (output, error) {
	req := &service.CreateStreamRequest{
		StreamRef:  service.StreamRef{Name: in.StreamName.V, Account: c.req.Account},
		ShardCount: set(in.ShardCount), Tags: tagsIn(in.Tags), WarmMiBps: set(in.WarmThroughputMiBps), MaxRecordKi: set(in.MaxRecordSizeInKiB),
	}
	if in.StreamModeDetails != nil {
		req.OnDemand = in.StreamModeDetails.StreamMode.V == modeOnDemand
	}
	return nil, c.door.service.CreateStream(c.ctx, req)
}

func deleteStream(c *call, in *DeleteStreamInput) (output, error) {
	ref, err := c.stream(in.StreamName, in.StreamARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	return nil, c.door.service.DeleteStream(c.ctx, &service.DeleteStreamRequest{StreamRef: ref, EnforceConsumerDeletion: in.EnforceConsumerDeletion.V})
}

func describeStream(c *call, in *DescribeStreamInput) (output, error) {
	ref, err := c.stream(in.StreamName, in.StreamARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	res, err := c.door.service.DescribeStream(c.ctx, &service.DescribeStreamRequest{
		StreamRef: ref, Limit: int(in.Limit.V), Start: in.ExclusiveStartShardId.V,
	})
	if err != nil {
		return nil, err
	}
	st := res.Stream
	return &DescribeStreamOutput{StreamDescription: &StreamDescription{
		StreamName: awsapi.Some(st.Name), StreamARN: awsapi.Some(c.streamARN(st.Name)), StreamStatus: awsapi.Some(string(st.Status)),
		StreamModeDetails: modeOf(st), Shards: shardsOut(res.Shards), HasMoreShards: awsapi.Some(res.More),
		RetentionPeriodHours: awsapi.Some(st.Retention), StreamCreationTimestamp: awsapi.Some(st.CreatedMs),
		EnhancedMonitoring: metricsOf(st), EncryptionType: awsapi.Some(encryption(st.KeyID)), KeyId: optional(st.KeyID),
	}}, nil
}

func describeStreamSummary(c *call, in *DescribeStreamSummaryInput) (output, error) {
	ref, err := c.stream(in.StreamName, in.StreamARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	st, err := c.door.service.GetStream(c.ctx, ref)
	if err != nil {
		return nil, err
	}
	d := &StreamDescriptionSummary{
		StreamName: awsapi.Some(st.Name), StreamARN: awsapi.Some(c.streamARN(st.Name)), StreamId: awsapi.Some(st.StreamID()),
		StreamStatus: awsapi.Some(string(st.Status)), StreamModeDetails: modeOf(st),
		RetentionPeriodHours: awsapi.Some(st.Retention), StreamCreationTimestamp: awsapi.Some(st.CreatedMs),
		EnhancedMonitoring: metricsOf(st), EncryptionType: awsapi.Some(encryption(st.KeyID)), KeyId: optional(st.KeyID),
		OpenShardCount: awsapi.Some(int64(st.OpenShards)), ConsumerCount: awsapi.Some(int64(st.Consumers)),
		MaxRecordSizeInKiB: awsapi.Some(st.MaxRecordKi),
	}
	if st.Warm != (service.WarmThroughput{}) {
		d.WarmThroughput = warmOf(st)
	}
	return &DescribeStreamSummaryOutput{StreamDescriptionSummary: d}, nil
}

func listStreams(c *call, in *ListStreamsInput) (output, error) {
	page, err := c.door.service.ListStreams(c.ctx, &service.ListStreamsRequest{
		Start: in.ExclusiveStartStreamName.V, Token: in.NextToken.V, Limit: int(in.Limit.V),
	})
	if err != nil {
		return nil, err
	}
	out := &ListStreamsOutput{HasMoreStreams: awsapi.Some(page.Next != ""), NextToken: optional(page.Next), StreamSummaries: []StreamSummary{}}
	for _, st := range page.Streams {
		out.StreamNames = append(out.StreamNames, st.Name)
		out.StreamSummaries = append(out.StreamSummaries, StreamSummary{
			StreamName: awsapi.Some(st.Name), StreamARN: awsapi.Some(c.streamARN(st.Name)), StreamStatus: awsapi.Some(string(st.Status)),
			StreamModeDetails: modeOf(st), StreamCreationTimestamp: awsapi.Some(st.CreatedMs),
		})
	}
	return out, nil
}

func describeLimits(c *call, _ *DescribeLimitsInput) (output, error) {
	l, err := c.door.service.DescribeStreamLimits(c.ctx)
	if err != nil {
		return nil, err
	}
	return &DescribeLimitsOutput{
		ShardLimit: awsapi.Some(l.ShardLimit), OpenShardCount: awsapi.Some(l.OpenShards),
		OnDemandStreamCount: awsapi.Some(l.OnDemandStreams), OnDemandStreamCountLimit: awsapi.Some(l.OnDemandLimit),
	}, nil
}

func describeAccountSettings(c *call, _ *DescribeAccountSettingsInput) (output, error) {
	held, err := c.door.service.GetCommitment(c.ctx)
	if err != nil {
		return nil, err
	}
	return &DescribeAccountSettingsOutput{MinimumThroughputBillingCommitment: commitmentOf(held)}, nil
}

func updateAccountSettings(c *call, in *UpdateAccountSettingsInput) (output, error) {
	held, err := c.door.service.SetCommitment(c.ctx, in.MinimumThroughputBillingCommitment.Status.V == commitmentOn)
	if err != nil {
		return nil, err
	}
	return &UpdateAccountSettingsOutput{MinimumThroughputBillingCommitment: commitmentOf(held)}, nil
}

// The states of a commitment.
const (
	commitmentOn     = "ENABLED"
	commitmentOff    = "DISABLED"
	commitmentEnding = "ENABLED_UNTIL_EARLIEST_ALLOWED_END"
)

func commitmentOf(c *service.Commitment) *MinimumThroughputBillingCommitmentOutput {
	out := &MinimumThroughputBillingCommitmentOutput{Status: awsapi.Some(commitmentOff)}
	if c.StartedMs == 0 {
		return out
	}
	out.StartedAt = awsapi.Some(c.StartedMs)
	switch {
	case c.On && c.EndMs == 0:
		out.Status = awsapi.Some(commitmentOn)
	case c.On:
		out.Status = awsapi.Some(commitmentEnding)
	default:
		out.EndedAt = awsapi.Some(c.EndMs)
	}
	if c.On {
		out.EarliestAllowedEndAt = awsapi.Some(c.StartedMs + model.CommitmentMs)
	}
	return out
}

func modeOf(st *service.Stream) *StreamModeDetails {
	mode := modeProvisioned
	if st.OnDemand {
		mode = modeOnDemand
	}
	return &StreamModeDetails{StreamMode: awsapi.Some(mode)}
}

func metricsOf(st *service.Stream) []EnhancedMetrics {
	return []EnhancedMetrics{{ShardLevelMetrics: notNil(st.Metrics)}}
}

func warmOf(st *service.Stream) *WarmThroughputObject {
	return &WarmThroughputObject{TargetMiBps: awsapi.Some(st.Warm.TargetMiBps), CurrentMiBps: awsapi.Some(st.Warm.CurrentMiBps)}
}

// encryption is the EncryptionType of a stream with that key.
func encryption(keyID string) string {
	if keyID == "" {
		return "NONE"
	}
	return "KMS"
}

// recordEncryption is the EncryptionType of a stream's records, which is left
// out of those that are not encrypted.
func recordEncryption(keyID string) text {
	if keyID == "" {
		return text{}
	}
	return awsapi.Some("KMS")
}

func tagsIn(tags awsapi.Map[string]) []model.Tag {
	var list []model.Tag
	for _, t := range tags {
		list = append(list, model.Tag{Key: t.Key, Value: t.Val})
	}
	return list
}

func tagsOut(tags []model.Tag) []Tag {
	list := make([]Tag, len(tags))
	for i, t := range tags {
		list[i] = Tag{Key: awsapi.Some(t.Key), Value: awsapi.Some(t.Value)}
	}
	return list
}

// notNil is a list that is shown also when it is empty.
func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
