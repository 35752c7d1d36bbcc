package service

import (
	"context"
	"time"

	"weir.dev/weir/internal/model"
)

// Limits of reading.
const (
	maxReadWaitMs = 20_000 // of the extension that waits for records
)

// GetShardIterator returns a token that names a position in a shard. LATEST
// and times are turned into positions at once. Errors: *StreamError.
func (s *Service) GetShardIterator(ctx context.Context, req *ShardIteratorRequest) (string, error) {
	st, err := s.stream(ctx, &req.StreamRef)
	if err != nil {
		return "", err
	}
	st, sh, err := s.namedShard(ctx, &req.StreamRef, st, req.Shard)
	if err != nil {
		return "", err
	}
	if sh == nil {
		return "", streamFault(FaultStreamNotFound, "Shard %s in stream %s under account %s does not exist", req.Shard, st.Name, req.account())
	}
	at, err := s.position(ctx, &req.StreamRef, st, sh, &req.Position)
	if err != nil {
		return "", err
	}
	return iterator{st.ID, sh.Number, at, s.nowMs()}.String(), nil
}

// position is where a request begins to read a shard: the number of the first
// record that is wanted.
func (s *Service) position(ctx context.Context, ref *StreamRef, st *Stream, sh *model.Shard, p *ShardPosition) (uint64, error) {
	byNumber := p.Type == "AT_SEQUENCE_NUMBER" || p.Type == "AFTER_SEQUENCE_NUMBER"
	switch {
	case byNumber && p.Sequence == "":
		return 0, wrongPosition(p.Type, "no")
	case (p.Type == "TRIM_HORIZON" || p.Type == "LATEST") && p.Sequence != "":
		return 0, wrongPosition(p.Type, "also a")
	case p.Type == "AT_TIMESTAMP" && p.TimestampMs == nil:
		return 0, streamFault(FaultStreamArgument, "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.")
	}
	switch p.Type {
	case "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER":
		q, err := model.ParseSequence(p.Sequence)
		if err != nil || !sh.Has(q) {
			return 0, streamFault(FaultStreamArgument, "StartingSequenceNumber %s used in GetShardIterator on shard %s in stream %s under account %s is invalid because it did not come from this stream.",
				p.Sequence, sh.Number, st.Name, ref.account())
		}
		if p.Type == "AT_SEQUENCE_NUMBER" || !sh.Open() && q.N >= sh.End {
			return max(1, q.N), nil
		}
		return q.N + 1, nil
	case "TRIM_HORIZON":
		return 1, nil
	case "LATEST":
		var state model.ShardState
		body := model.ShardQuery{Shard: sh.Number}
		err := s.askShard(ctx, ref, st, sh.Number, model.QueryShard, body.Append(nil), true, &state)
		return max(1, state.Next), err
	case "AT_TIMESTAMP":
		return s.positionAt(ctx, ref, st, sh, *p.TimestampMs)
	default:
		return 0, streamFault(FaultStreamArgument, "%s is not a type of shard iterator.", p.Type)
	}
}

func wrongPosition(kind, what string) error {
	return streamFault(FaultStreamArgument, "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or "+
		"(2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified %s and %s StartingSequenceNumber.", kind, what)
}

func (s *Service) positionAt(ctx context.Context, ref *StreamRef, st *Stream, sh *model.Shard, ms int64) (uint64, error) {
	if now := s.nowMs(); ms > now {
		return 0, streamFault(FaultStreamArgument, "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "+
			"timestampInMillis: %d, currentTimestampInMillis: %d", ms, now)
	}
	var at model.ShardAtResult
	body := model.ShardAtQuery{Shard: sh.Number, AtMs: max(0, ms)}
	err := s.askShard(ctx, ref, st, sh.Number, model.QueryShardAt, body.Append(nil), true, &at)
	return max(1, at.N), err
}

// GetRecords reads a shard from an iterator on. With WaitMs it answers as soon
// as there is a record, or when the wait is over. Errors: *StreamError, and the
// cluster's.
func (s *Service) GetRecords(ctx context.Context, req *GetRecordsRequest) (*GetRecordsResult, error) {
	it, ok := parseIterator(req.Iterator)
	if !ok {
		return nil, streamFault(FaultStreamArgument, "Invalid ShardIterator.")
	}
	if err := it.checkAge(s.clock.Now()); err != nil {
		return nil, err
	}
	st, err := s.streamOf(ctx, &req.StreamRef, it.stream)
	if err != nil {
		return nil, err
	}
	if req.Name != "" && req.Name != st.Name || req.ID != "" && req.ID != st.StreamID() {
		return nil, streamFault(FaultStreamArgument, "The ShardIterator is not of the stream that the request names.")
	}
	if err := s.meterRead(&req.StreamRef, st, it.shard); err != nil {
		return nil, err
	}
	limit := req.Limit
	if limit <= 0 || limit > model.MaxReadRecords {
		limit = model.MaxReadRecords
	}
	wait := time.Duration(min(max(req.WaitMs, 0), maxReadWaitMs)) * time.Millisecond
	page, err := s.readShard(ctx, &req.StreamRef, shardReader{st, it.shard, it.n}, limit, wait)
	if err != nil {
		return nil, err
	}
	s.chargeRead(st, it.shard, page.bytes)
	res := &GetRecordsResult{Records: page.records, MillisBehind: page.behindMs, KeyID: page.stream.KeyID, Children: page.children}
	if !page.ended {
		res.Next = iterator{st.ID, it.shard, page.next, s.nowMs()}.String()
	}
	return res, nil
}

// shardReader is a position in a shard.
type shardReader struct {
	stream *Stream
	shard  model.ShardNumber
	n      uint64
}

// shardPage is what was read of a shard.
type shardPage struct {
	stream   *Stream // as it was when the page was read
	records  []Record
	bytes    int
	next     uint64 // the position behind the page
	lastMs   int64  // the last record's arrival; 0 when there is none
	behindMs int64
	ended    bool // the shard is closed and there is no more
	children []ChildShard
}

// readShard reads records, and waits at most wait for the first one. A closed
// shard's end is told only when its children are there to be read.
func (s *Service) readShard(ctx context.Context, ref *StreamRef, at shardReader, limit int, wait time.Duration) (*shardPage, error) {
	st, sh, err := s.shardOf(ctx, ref, at.stream, at.shard)
	switch {
	case err != nil:
		return nil, err
	case sh == nil && !st.Spec.Forgot(at.shard):
		return nil, streamFault(FaultStreamArgument, "Invalid ShardIterator.")
	case sh == nil: // its records have expired, long ago; its children may have, too
		return &shardPage{stream: st, next: at.n, ended: true, children: childrenOf(st.Spec, at.shard)}, nil
	}
	found, err := s.queryPage(ctx, ref, st, at, limit, wait)
	if err == nil && found.First() > at.n {
		// Records were passed over as expired, or are gone. By the retention that
		// holds they may be there to be read: this node's catalog may be behind.
		if st, found, err = s.queryPassed(ctx, ref, st, at, limit, found); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	page := &shardPage{stream: st, next: max(found.Next, at.n)}
	page.add(sh, found)
	if found.NextMs > 0 {
		page.behindMs = max(0, s.nowMs()-found.NextMs)
	}
	if !found.Ended() || len(page.records) > 0 {
		// Records and the end are told one after the other, so that a consumer
		// which stops at the end has seen the records' answer.
		return page, nil
	}
	if sh.Open() { // our catalog has not got the children yet
		if page.stream, err = s.afterReshard(ctx, ref, st); err != nil {
			return nil, err
		}
	}
	page.ended, page.children = true, childrenOf(page.stream.Spec, at.shard)
	return page, nil
}

// queryPassed repeats a query that passed over records, if the retention that
// it went by is not the one that holds.
func (s *Service) queryPassed(ctx context.Context, ref *StreamRef, st *Stream, at shardReader, limit int, found *model.RecordsResult) (*Stream, *model.RecordsResult, error) {
	now, err := s.current(ctx, st)
	if err != nil || now.Spec.RetentionHours == st.Spec.RetentionHours {
		return st, found, err
	}
	found, err = s.queryRecords(ctx, ref, now, at, limit, 0)
	return now, found, err
}

// queryRecords asks the shard's leader.
func (s *Service) queryRecords(ctx context.Context, ref *StreamRef, st *Stream, at shardReader, limit int, wait time.Duration) (*model.RecordsResult, error) {
	res, err := s.queryRecordsBytes(ctx, st, at, limit, wait)
	if err != nil {
		return nil, err
	}
	if res.Status == model.StatusGone {
		return nil, noStream(ref)
	}
	found := &model.RecordsResult{}
	return found, decodeResult(res, found)
}

func (s *Service) queryRecordsBytes(ctx context.Context, st *Stream, at shardReader, limit int, wait time.Duration) (model.Result, error) {
	body := model.RecordsQuery{
		Shard: at.shard, N: at.n, MaxRecords: uint32(limit), MaxBytes: laggardPart, HorizonMs: st.Spec.HorizonMs(s.nowMs()),
	}
	q := &model.Query{Kind: model.QueryRecords, Resource: st.ID, Slot: model.ShardSlot(st.ID, at.shard), Body: body.Append(nil)}
	if wait > 0 {
		res, ready, err := s.cluster.ReadWhenReady(ctx, q, wait)
		if err != nil || ready {
			return res, err
		}
	}
	return s.cluster.Read(ctx, q, true)
}

// add takes over what was read.
func (p *shardPage) add(sh *model.Shard, found *model.RecordsResult) {
	n := 0
	for i := range found.Runs {
		n += found.Runs[i].Batch.Len()
	}
	p.records = make([]Record, 0, n)
	for i := range found.Runs {
		run := &found.Runs[i]
		for k := range run.Batch.Len() {
			r := run.Batch.Record(k)
			p.bytes += r.Size()
			p.lastMs = run.ArrivalMs
			p.records = append(p.records, Record{
				Sequence: sh.Sequence(run.First+uint64(k), run.ArrivalMs).String(), ArrivedMs: run.ArrivalMs, Key: string(r.PartitionKey), Data: r.Data,
			})
		}
	}
}
