package service

import (
	"unicode/utf8"

	"weir.dev/weir/internal/model"
)

// check holds the request to the rules.
func (p *put) check(st *Stream) error {
	total := 0
	for i := range p.req.Records {
		r := &p.req.Records[i]
		size := len(r.Data) + len(r.Key)
		total += size
		if n := utf8.RuneCountInString(r.Key); n < 1 || n > model.MaxRecordKey {
			return streamFault(FaultStreamValidation, "1 validation error detected: Value '%s' at 'partitionKey' failed to satisfy constraint: Member must have length between 1 and %d", r.Key, model.MaxRecordKey)
		}
		if limit := int(st.Spec.MaxRecordBytes); size > limit {
			return streamFault(FaultStreamArgument, "The record at index %d has %d bytes, data and partition key, "+
				"which is more than the maximum record size of %d bytes of stream %s under account %s.", i, size, limit, st.Name, p.req.account())
		}
	}
	if len(p.req.Records) == 0 || len(p.req.Records) > model.MaxPutRecords {
		return streamFault(FaultStreamValidation, "1 validation error detected: Value at 'records' failed to satisfy constraint: Member must have length between 1 and %d", model.MaxPutRecords)
	}
	if !p.req.Single && total > model.MaxPutRecordsBytes {
		return streamFault(FaultStreamArgument, "Records size exceeds %d bytes, the limit of a PutRecords request.", model.MaxPutRecordsBytes)
	}
	if after := p.req.After; after != "" {
		if q, err := model.ParseSequence(after); err != nil || int64(q.Secs) > p.service.nowMs()/1000+60 {
			return streamFault(FaultStreamArgument, "ExclusiveMinimumSequenceNumber %s used in PutRecord on stream %s under account %s is invalid.",
				after, st.Name, p.req.account())
		}
	}
	return nil
}
