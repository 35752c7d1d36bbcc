package kinesis

import (
	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/service"
)

func increaseRetention(c *call, in *IncreaseStreamRetentionPeriodInput) (output, error) {
	ref, err := c.stream(in.StreamName, in.StreamARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	return nil, c.door.service.SetStreamRetention(c.ctx, &service.StreamRetentionRequest{StreamRef: ref, Hours: in.RetentionPeriodHours.V})
}

func decreaseRetention(c *call, in *DecreaseStreamRetentionPeriodInput) (output, error) {
	ref, err := c.stream(in.StreamName, in.StreamARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	return nil, c.door.service.SetStreamRetention(c.ctx, &service.StreamRetentionRequest{StreamRef: ref, Hours: in.RetentionPeriodHours.V, Decrease: true})
}

func updateStreamMode(c *call, in *UpdateStreamModeInput) (output, error) {
	ref, err := c.stream(text{}, in.StreamARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	return nil, c.door.service.UpdateStreamMode(c.ctx, &service.UpdateStreamModeRequest{
		StreamRef: ref, OnDemand: in.StreamModeDetails.StreamMode.V == modeOnDemand, WarmMiBps: set(in.WarmThroughputMiBps),
	})
}

func updateMaxRecordSize(c *call, in *UpdateMaxRecordSizeInput) (output, error) {
	ref, err := c.stream(text{}, in.StreamARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	return nil, c.door.service.UpdateMaxRecordSize(c.ctx, ref, in.MaxRecordSizeInKiB.V)
}

func updateWarmThroughput(c *call, in *UpdateStreamWarmThroughputInput) (output, error) {
	ref, err := c.stream(in.StreamName, in.StreamARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	st, err := c.door.service.UpdateWarmThroughput(c.ctx, ref, in.WarmThroughputMiBps.V)
	if err != nil {
		return nil, err
	}
	return &UpdateStreamWarmThroughputOutput{
		StreamARN: awsapi.Some(c.streamARN(st.Name)), StreamName: awsapi.Some(st.Name), WarmThroughput: warmOf(st),
	}, nil
}

func startEncryption(c *call, in *StartStreamEncryptionInput) (output, error) {
	ref, err := c.stream(in.StreamName, in.StreamARN, in.StreamId)
	if err == nil {
		err = onlyKMS(in.EncryptionType)
	}
	if err != nil {
		return nil, err
	}
	return nil, c.door.service.SetStreamEncryption(c.ctx, ref, in.KeyId.V)
}

func stopEncryption(c *call, in *StopStreamEncryptionInput) (output, error) {
	ref, err := c.stream(in.StreamName, in.StreamARN, in.StreamId)
	if err == nil {
		err = onlyKMS(in.EncryptionType)
	}
	if err != nil {
		return nil, err
	}
	return nil, c.door.service.SetStreamEncryption(c.ctx, ref, "")
}

// onlyKMS refuses the other type, which is none.
func onlyKMS(kind text) error {
	if kind.V != "KMS" {
		return errInvalidArgument.error("The only valid value for EncryptionType is KMS.")
	}
	return nil
}

func enableMonitoring(c *call, in *EnableEnhancedMonitoringInput) (output, error) {
	return c.monitoring(in.StreamName, in.StreamARN, in.StreamId, in.ShardLevelMetrics, false)
}

func disableMonitoring(c *call, in *DisableEnhancedMonitoringInput) (output, error) {
	return c.monitoring(in.StreamName, in.StreamARN, in.StreamId, in.ShardLevelMetrics, true)
}

func (c *call) monitoring(name, arn, id text, metrics []string, disable bool) (output, error) {
	ref, err := c.stream(name, arn, id)
	if err != nil {
		return nil, err
	}
	res, err := c.door.service.SetShardMetrics(c.ctx, &service.ShardMetricsRequest{StreamRef: ref, Metrics: metrics, Disable: disable})
	if err != nil {
		return nil, err
	}
	return &EnhancedMonitoringOutput{
		StreamName: awsapi.Some(res.Stream.Name), StreamARN: awsapi.Some(c.streamARN(res.Stream.Name)),
		CurrentShardLevelMetrics: notNil(res.Before), DesiredShardLevelMetrics: notNil(res.After),
	}, nil
}
