package kinesis

import (
	"strconv"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/service"
)

func putRecord(c *call, in *PutRecordInput) (output, error) {
	ref, err := c.stream(in.StreamName, in.StreamARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	res, err := c.door.service.PutRecords(c.ctx, &service.PutRecordsRequest{
		StreamRef: ref, Invocation: c.req.Invocation, Retry: c.req.Attempt != 1, Single: true, After: in.SequenceNumberForOrdering.V,
		Records: []service.OutgoingRecord{{Data: in.Data, Key: in.PartitionKey.V, HashKey: in.ExplicitHashKey.V}},
	})
	if err != nil {
		return nil, err
	}
	put := &res.Records[0]
	if put.Err != nil {
		return nil, put.Err
	}
	return &PutRecordOutput{ShardId: awsapi.Some(put.Shard), SequenceNumber: awsapi.Some(put.Sequence), EncryptionType: recordEncryption(res.KeyID)}, nil
}

func putRecords(c *call, in *PutRecordsInput) (output, error) {
	ref, err := c.stream(in.StreamName, in.StreamARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	req := &service.PutRecordsRequest{
		StreamRef: ref, Invocation: c.req.Invocation, Retry: c.req.Attempt != 1, Records: make([]service.OutgoingRecord, len(in.Records)),
	}
	for i := range in.Records {
		r := &in.Records[i]
		req.Records[i] = service.OutgoingRecord{Data: r.Data, Key: r.PartitionKey.V, HashKey: r.ExplicitHashKey.V}
	}
	res, err := c.door.service.PutRecords(c.ctx, req)
	if err != nil {
		return nil, err
	}
	out := &PutRecordsOutput{
		FailedRecordCount: awsapi.Some(int64(res.Failed)), EncryptionType: recordEncryption(res.KeyID),
		Records: make([]PutRecordsResultEntry, len(res.Records)),
	}
	for i := range res.Records {
		put := &res.Records[i]
		if put.Err != nil {
			out.Records[i] = c.failed(put.Err)
			continue
		}
		out.Records[i] = PutRecordsResultEntry{ShardId: awsapi.Some(put.Shard), SequenceNumber: awsapi.Some(put.Sequence)}
	}
	return out, nil
}

// failed is a record that was not put. Kinesis knows two codes for it.
func (c *call) failed(err error) PutRecordsResultEntry {
	e := wireError(c.req, err)
	if e.Code != errThroughput.code {
		e.Code = errInternal.code
	}
	return PutRecordsResultEntry{ErrorCode: awsapi.Some(e.Code), ErrorMessage: awsapi.Some(e.Message)}
}

func getShardIterator(c *call, in *GetShardIteratorInput) (output, error) {
	ref, err := c.stream(in.StreamName, in.StreamARN, in.StreamId)
	if err != nil {
		return nil, err
	}
	iterator, err := c.door.service.GetShardIterator(c.ctx, &service.ShardIteratorRequest{
		StreamRef: ref, Shard: in.ShardId.V,
		Position: service.ShardPosition{Type: in.ShardIteratorType.V, Sequence: in.StartingSequenceNumber.V, TimestampMs: set(in.Timestamp)},
	})
	if err != nil {
		return nil, err
	}
	return &GetShardIteratorOutput{ShardIterator: awsapi.Some(iterator)}, nil
}

func getRecords(c *call, in *GetRecordsInput) (output, error) {
	req := &service.GetRecordsRequest{StreamRef: service.StreamRef{Account: c.req.Account}, Iterator: in.ShardIterator.V, Limit: int(in.Limit.V)}
	var err error
	if in.StreamARN.Set || in.StreamId.Set {
		if req.StreamRef, err = c.stream(text{}, in.StreamARN, in.StreamId); err != nil {
			return nil, err
		}
	}
	if req.WaitMs, err = c.waitMs(); err != nil {
		return nil, err
	}
	res, err := c.door.service.GetRecords(c.ctx, req)
	if err != nil {
		return nil, err
	}
	return &GetRecordsOutput{
		Records: recordsOut(res.Records, res.KeyID), NextShardIterator: optional(res.Next),
		MillisBehindLatest: awsapi.Some(res.MillisBehind), ChildShards: childrenOut(res.Children),
	}, nil
}

// maxWaitSeconds bounds a long poll, as in SQS.
const maxWaitSeconds = 20

// waitMs is how long the caller would wait for the first record: an extension,
// asked for by the header x-weir-wait-seconds.
func (c *call) waitMs() (int64, error) {
	if c.req.Wait == "" {
		return 0, nil
	}
	seconds, err := strconv.ParseUint(c.req.Wait, 10, 8)
	if err != nil || seconds > maxWaitSeconds {
		return 0, errInvalidArgument.error("The header x-weir-wait-seconds must be a whole number from 0 to %d.", maxWaitSeconds)
	}
	return int64(seconds) * 1000, nil
}

func recordsOut(records []service.Record, keyID string) []Record {
	list := make([]Record, len(records))
	kind := recordEncryption(keyID)
	for i := range records {
		r := &records[i]
		list[i] = Record{
			SequenceNumber: awsapi.Some(r.Sequence), ApproximateArrivalTimestamp: awsapi.Some(r.ArrivedMs), Data: r.Data,
			PartitionKey: awsapi.Some(r.Key), EncryptionType: kind,
		}
		if list[i].Data == nil {
			list[i].Data = []byte{} // an empty record has data, too
		}
	}
	return list
}
