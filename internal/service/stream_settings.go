package service

import (
	"context"
	"slices"

	"weir.dev/weir/internal/model"
)

// UpdateStreamMode changes who decides on the number of shards. Errors:
// *StreamError.
func (s *Service) UpdateStreamMode(ctx context.Context, req *UpdateStreamModeRequest) error {
	_, err := s.changeStream(ctx, &req.StreamRef, func(st *Stream, spec *model.StreamSpec) error {
		if err := checkActive(&req.StreamRef, st); err != nil {
			return err
		}
		if err := checkWarm(req.OnDemand, req.WarmMiBps); err != nil {
			return err
		}
		spec.Mode = model.ModeProvisioned
		if req.OnDemand {
			spec.Mode = model.ModeOnDemand
		} else {
			spec.WarmMiBps = 0
		}
		if req.WarmMiBps != nil {
			spec.WarmMiBps = uint32(*req.WarmMiBps)
		}
		return nil
	})
	return err
}

func checkWarm(onDemand bool, mibps *int64) error {
	switch {
	case mibps == nil:
	case !onDemand:
		return streamFault(FaultStreamValidation, "WarmThroughputMiBps is only supported for streams in ON_DEMAND mode.")
	case *mibps < 0 || *mibps > awsOnDemandWarm:
		return streamFault(FaultStreamArgument, "WarmThroughputMiBps must be between 0 and %d. Specified value was %d.", awsOnDemandWarm, *mibps)
	}
	return nil
}

// UpdateWarmThroughput keeps how much an on-demand stream shall be ready for.
// It is the least number of its shards, too, a MiB per second each.
func (s *Service) UpdateWarmThroughput(ctx context.Context, ref StreamRef, mibps int64) (*Stream, error) {
	return s.changeStream(ctx, &ref, func(st *Stream, spec *model.StreamSpec) error {
		if err := checkWarm(st.OnDemand, &mibps); err != nil {
			return err
		}
		spec.WarmMiBps = uint32(mibps)
		return nil
	})
}

func checkRecordKi(kib int64) error {
	if kib < model.MinRecordBytes>>10 || kib > model.MaxRecordBytes>>10 {
		return streamFault(FaultStreamValidation, "MaxRecordSizeInKiB must be between %d and %d. Specified value was %d.", model.MinRecordBytes>>10, model.MaxRecordBytes>>10, kib)
	}
	return nil
}

// UpdateMaxRecordSize changes how large a record may be.
func (s *Service) UpdateMaxRecordSize(ctx context.Context, ref StreamRef, kib int64) error {
	if err := checkRecordKi(kib); err != nil {
		return err
	}
	_, err := s.changeStream(ctx, &ref, func(_ *Stream, spec *model.StreamSpec) error {
		spec.MaxRecordBytes = uint32(kib << 10)
		return nil
	})
	return err
}

// SetStreamRetention changes how long records are kept. Errors: *StreamError.
func (s *Service) SetStreamRetention(ctx context.Context, req *StreamRetentionRequest) error {
	if err := s.checkRetention(req.Hours); err != nil {
		return err
	}
	_, err := s.changeStream(ctx, &req.StreamRef, func(st *Stream, spec *model.StreamSpec) error {
		if err := checkActive(&req.StreamRef, st); err != nil {
			return err
		}
		has, wants := forever(st.Retention), forever(req.Hours)
		switch {
		case has == wants:
			return errUnchanged
		case req.Decrease && wants > has:
			return streamFault(FaultStreamArgument, "Requested retention period (%d hours) for stream %s can not be longer than existing retention period (%d hours). Use IncreaseRetentionPeriod API.",
				req.Hours, st.Name, st.Retention)
		case !req.Decrease && wants < has:
			return streamFault(FaultStreamArgument, "Requested retention period (%d hours) for stream %s can not be shorter than existing retention period (%d hours). Use DecreaseRetentionPeriod API.",
				req.Hours, st.Name, st.Retention)
		}
		spec.RetentionHours = uint32(req.Hours)
		return nil
	})
	return err
}

// maxRetentionHours bounds a retention that has an end: a thousand years.
const maxRetentionHours = 1000 * 8766

// forever makes hours comparable: zero is for ever.
func forever(hours int64) int64 {
	if hours == 0 {
		return maxRetentionHours + 1
	}
	return hours
}

func (s *Service) checkRetention(hours int64) error {
	most := int64(maxRetentionHours)
	if s.awsLimits() {
		most = model.MaxRetentionHours
	} else if hours == 0 {
		return nil
	}
	if hours < model.MinRetentionHours {
		return streamFault(FaultStreamArgument, "Minimum allowed retention period is %d hours. Requested retention period (%d hours) is too short.", model.MinRetentionHours, hours)
	}
	if hours > most {
		return streamFault(FaultStreamArgument, "Maximum allowed retention period is %d hours. Requested retention period (%d hours) is too long.", most, hours)
	}
	return nil
}

// SetStreamEncryption keeps the key that a stream is to be encrypted with, and
// shows it; "" stops it.
func (s *Service) SetStreamEncryption(ctx context.Context, ref StreamRef, key string) error {
	_, err := s.changeStream(ctx, &ref, func(st *Stream, spec *model.StreamSpec) error {
		if err := checkActive(&ref, st); err != nil {
			return err
		}
		spec.Encrypted, spec.KmsKey = key != "", key
		return nil
	})
	return err
}

// shardMetrics are the names of shard-level metrics, in the model's order.
var shardMetrics = []string{
	"IncomingBytes", "IncomingRecords", "OutgoingBytes", "OutgoingRecords", "WriteProvisionedThroughputExceeded",
	"ReadProvisionedThroughputExceeded", "IteratorAgeMilliseconds",
}

// SetShardMetrics switches shard-level metrics on or off. Errors: *StreamError.
func (s *Service) SetShardMetrics(ctx context.Context, req *ShardMetricsRequest) (*ShardMetricsResult, error) {
	res := &ShardMetricsResult{}
	var named []string
	for _, m := range req.Metrics {
		switch {
		case m == "ALL":
			named = append(named, shardMetrics...)
		case slices.Contains(shardMetrics, m):
			named = append(named, m)
		default:
			return nil, streamFault(FaultStreamArgument, "%s is not a shard-level metric.", m)
		}
	}
	st, err := s.changeStream(ctx, &req.StreamRef, func(st *Stream, spec *model.StreamSpec) error {
		res.Before = slices.Clone(st.Metrics)
		spec.Metrics = nil
		for _, m := range shardMetrics {
			if req.Disable && slices.Contains(named, m) {
				continue
			}
			if slices.Contains(st.Metrics, m) || !req.Disable && slices.Contains(named, m) {
				spec.Metrics = append(spec.Metrics, m)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	res.Stream, res.After = st, slices.Clone(st.Metrics)
	return res, nil
}
