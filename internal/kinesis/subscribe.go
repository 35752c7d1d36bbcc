package kinesis

import (
	"context"
	"errors"
	"io"

	"weir.dev/weir/internal/awsapi"
	"weir.dev/weir/internal/service"
)

// subscription is the answer to SubscribeToShard: an event stream that begins
// with the answer proper and goes on with the shard's records. It implements
// awsapi.Stream.
type subscription struct {
	SubscribeToShardOutput
	feed    *service.Subscription
	req     awsapi.Request // what is left of it when it has been handled
	greeted bool
	failed  bool
}

func subscribeToShard(c *call, in *SubscribeToShardInput) (output, error) {
	ref, err := c.consumer(in.ConsumerARN, text{}, in.StreamId, text{})
	if err != nil {
		return nil, err
	}
	at := in.StartingPosition
	feed, err := c.door.service.SubscribeToShard(c.ctx, &service.SubscribeRequest{
		ConsumerRef: ref, Shard: in.ShardId.V,
		Position: service.ShardPosition{Type: at.Type.V, Sequence: at.SequenceNumber.V, TimestampMs: set(at.Timestamp)},
	})
	if err != nil {
		return nil, err
	}
	return &subscription{feed: feed, req: awsapi.Request{Protocol: c.req.Protocol, Operation: "SubscribeToShard"}}, nil
}

// Next implements awsapi.Stream.
func (s *subscription) Next(ctx context.Context, dst []byte) ([]byte, error) {
	p := s.req.Protocol
	if !s.greeted {
		s.greeted = true
		return awsapi.AppendEvent(dst, p, "initial-response", func(dst []byte) []byte { return encode(dst, p, &s.SubscribeToShardOutput) }), nil
	}
	if s.failed {
		return dst, io.EOF
	}
	event, err := s.feed.Next(ctx)
	switch {
	case errors.Is(err, io.EOF) || ctx.Err() != nil:
		return dst, err
	case err != nil:
		s.failed = true
		return awsapi.AppendEventException(dst, p, inStream(wireError(&s.req, err))), nil
	}
	out := &SubscribeToShardEvent{
		Records: recordsOut(event.Records, event.KeyID), ContinuationSequenceNumber: optional(event.Continuation),
		MillisBehindLatest: awsapi.Some(event.MillisBehind), ChildShards: childrenOut(event.Children),
	}
	return awsapi.AppendEvent(dst, p, "SubscribeToShardEvent", func(dst []byte) []byte { return encode(dst, p, out) }), nil
}

// Close implements awsapi.Stream.
func (s *subscription) Close(ctx context.Context) { s.feed.Close(ctx) }

// inStream is an error as the model has it in the stream: what is not in it is
// an internal failure, after which clients subscribe again.
func inStream(e *awsapi.Error) *awsapi.Error {
	if e.Code != errNotFound.code && e.Code != errInUse.code {
		e.Code = "InternalFailureException"
	}
	return e
}
