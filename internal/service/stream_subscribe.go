package service

import (
	"context"
	"io"
	"time"

	"weir.dev/weir/internal/model"
)

const (
	// subscriptionLife is how long a subscription lasts, as in Kinesis.
	subscriptionLife = 5 * time.Minute
	// subscriptionGuard is how long another subscription of the same consumer to
	// the same shard is refused; later it takes over. As in Kinesis.
	subscriptionGuard = 5 * time.Second
	// heartbeat is how often a subscription without records delivers an event.
	heartbeat = 5 * time.Second
	// ownEvery is how often a subscription looks whether another one took over.
	ownEvery = time.Second
	// subscriptionRecords bounds the records of one event.
	subscriptionRecords = 1000
)

// Subscription delivers a shard's records to a registered consumer. Its
// methods are for one goroutine.
type Subscription struct {
	service  *Service
	ref      StreamRef
	consumer ConsumerRef
	group    string
	owner    uint64 // the generation that the shard gave to this subscription
	at       shardReader
	last     model.Sequence // of the record before the position
	ends     time.Time
	looked   time.Time // when this subscription was last seen to be the one
	done     bool
}

// SubscribeToShard starts a subscription, which lasts five minutes. A consumer
// has one for each shard: within five seconds of its start another one is
// refused, later it takes over. Errors: *StreamError, and the cluster's.
func (s *Service) SubscribeToShard(ctx context.Context, req *SubscribeRequest) (*Subscription, error) {
	st, c, err := s.consumer(ctx, &req.ConsumerRef)
	if err != nil {
		return nil, err
	}
	st, sh, err := s.namedShard(ctx, &req.StreamRef, st, req.Shard)
	if err != nil {
		return nil, err
	}
	if sh == nil {
		return nil, noShard(&req.StreamRef, st.Name, req.Shard)
	}
	n := sh.Number
	from, err := s.position(ctx, &req.StreamRef, st, sh, &req.Position)
	if err != nil {
		return nil, err
	}
	body := model.SetPosition{
		Op: model.PositionAcquire, Shard: n, Group: subscriptionGroup(c), Owner: s.newRequestID().String(),
		LeaseMs: subscriptionGuard.Milliseconds(),
	}
	p, status, err := s.setPosition(ctx, st, &body)
	switch {
	case err != nil:
		return nil, err
	case status == model.StatusOverLimit:
		return nil, streamFault(FaultStreamLimit, "Shard %s in stream %s under account %s has too many consumers.", n, st.Name, req.account())
	case status != model.StatusOK:
		return nil, errSubscribed(&req.ConsumerRef, st, n)
	}
	now := s.clock.Now()
	sub := &Subscription{
		service: s, ref: StreamRef{Name: st.Name, Account: req.Account}, consumer: req.ConsumerRef, group: body.Group, owner: p.Generation,
		at: shardReader{st, n, from}, last: sh.Sequence(from-1, now.UnixMilli()), ends: now.Add(subscriptionLife), looked: now,
	}
	if from <= 1 {
		sub.last = sh.First()
	}
	return sub, nil
}

func errSubscribed(ref *ConsumerRef, st *Stream, n model.ShardNumber) error {
	return streamFault(FaultStreamInUse, "Another active subscription exists for consumer %s to shard %s in stream %s under account %s.",
		ref.Consumer, n, st.Name, ref.account())
}

// Next waits for the next event: records as soon as there are some, an event
// without records after five seconds. io.EOF says that the five minutes are
// over, or that the shard has ended, which an event with Children told before.
// Errors: *StreamError (ResourceInUseException: another subscription took
// over; ResourceNotFoundException: the stream or the consumer was deleted),
// and the cluster's, after which Next may be called again.
func (sub *Subscription) Next(ctx context.Context) (*SubscriptionEvent, error) {
	s := sub.service
	left := sub.ends.Sub(s.clock.Now())
	if sub.done || left <= 0 {
		return nil, io.EOF
	}
	st, err := s.streamOf(ctx, &sub.ref, sub.at.stream.ID)
	if err != nil {
		return nil, err
	}
	sub.at.stream = st
	page, err := s.readShard(ctx, &sub.ref, sub.at, subscriptionRecords, min(heartbeat, left))
	if err != nil {
		return nil, err
	}
	if err := sub.own(ctx, page); err != nil {
		return nil, err
	}
	e := &SubscriptionEvent{Records: page.records, MillisBehind: page.behindMs, KeyID: page.stream.KeyID, Children: page.children}
	if sh, ok := page.stream.Spec.Shard(sub.at.shard); ok && page.lastMs > 0 {
		sub.last = sh.Sequence(page.next-1, page.lastMs)
	} else if ok && page.next > sub.at.n { // records expired unread
		sub.last = sh.Sequence(page.next-1, s.nowMs())
	}
	sub.at.n = page.next
	if sub.done = page.ended; !page.ended {
		e.Continuation = sub.last.String()
	}
	return e, nil
}

// own makes sure, once a second, that no other subscription took over and that
// the consumer is still registered.
func (sub *Subscription) own(ctx context.Context, page *shardPage) error {
	s := sub.service
	now := s.clock.Now()
	if now.Sub(sub.looked) < ownEvery {
		return nil
	}
	st, err := s.streamOf(ctx, &sub.ref, page.stream.ID) // as it is now, after the wait
	if err != nil {
		return err
	}
	if _, ok := sub.consumer.find(st.Spec); !ok {
		return noConsumer(&sub.consumer, st.Name)
	}
	var found model.PositionsResult
	body := model.PositionsQuery{Shard: sub.at.shard, Group: sub.group}
	if err := s.askShard(ctx, &sub.ref, page.stream, sub.at.shard, model.QueryPositions, body.Append(nil), true, &found); err != nil {
		return err
	}
	if len(found.Groups) == 0 || found.Groups[0].Generation != sub.owner {
		return errSubscribed(&sub.consumer, page.stream, sub.at.shard)
	}
	sub.looked = now
	return nil
}

// Close ends the subscription. Its place is free at once, if nobody has it.
func (sub *Subscription) Close(ctx context.Context) {
	sub.done = true
	body := model.SetPosition{Op: model.PositionRelease, Shard: sub.at.shard, Group: sub.group, Generation: sub.owner}
	// A place that could not be freed is free when its five seconds are over.
	_, _, _ = sub.service.setPosition(ctx, sub.at.stream, &body)
}
