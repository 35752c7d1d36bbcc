package service

import (
	"context"

	"weir.dev/weir/internal/model"
)

// QueueBacklog is how much waits in a queue.
type QueueBacklog struct {
	Name   string
	Counts model.QueueCounts
}

// QueueBacklogs counts the queues that this node looks after, by name: each
// queue is looked after by the node that leads its first slot. It stops at most
// queues, and when ctx ends; what could not be counted is left out. all is how
// many this node looks after.
func (s *Service) QueueBacklogs(ctx context.Context, most int) (list []QueueBacklog, all int) {
	for r := range s.cluster.Catalog().Resources.Of(model.KindQueue) {
		q, err := s.queueOf(r)
		if err != nil || !s.cluster.Leads(q.slots[0]) {
			continue
		}
		if all++; len(list) >= most || ctx.Err() != nil {
			continue
		}
		if n, err := s.CountQueue(ctx, q); err == nil {
			list = append(list, QueueBacklog{q.Name, n})
		}
	}
	return list, all
}

// ConsumerBacklog is how far a named consumer of a stream is behind.
type ConsumerBacklog struct {
	Stream, Consumer string
	Records          uint64 // still to be read, of all shards
	LagMs            int64  // how long the oldest of them has been there
}

// ConsumerBacklogs tells of the named consumers of the streams that this node
// looks after, by stream and name, within the same bounds as QueueBacklogs.
func (s *Service) ConsumerBacklogs(ctx context.Context, most int) (list []ConsumerBacklog, all int) {
	streams, err := s.Streams()
	if err != nil {
		return nil, 0 // the doors tell of it
	}
	for _, st := range streams {
		if len(st.Spec.Groups) == 0 || !s.LooksAfter(st) {
			continue
		}
		if all += len(st.Spec.Groups); len(list)+len(st.Spec.Groups) > most || ctx.Err() != nil {
			continue
		}
		lags, err := s.StreamLag(ctx, *refOf(st.ID), "")
		if err != nil {
			continue
		}
		for i := range lags {
			l := &lags[i]
			if n := len(list); n == 0 || list[n-1].Stream != st.Name || list[n-1].Consumer != l.Group {
				list = append(list, ConsumerBacklog{Stream: st.Name, Consumer: l.Group})
			}
			c := &list[len(list)-1]
			c.Records += l.Records
			c.LagMs = max(c.LagMs, l.LagMs)
		}
	}
	return list, all
}

// StreamBacklog is how much a stream holds.
type StreamBacklog struct {
	Name       string
	OpenShards int
	Records    uint64 // stored, of all shards: those that have expired are, until they are removed
	Bytes      uint64 // of these
	OldestMs   int64  // when the oldest of them arrived, Unix milliseconds; 0 when there is none
	NewestMs   int64  // when the last one arrived, Unix milliseconds; 0 before the first
}

// StreamBacklogs tells of the streams that this node looks after, by name,
// within the same bounds as QueueBacklogs.
func (s *Service) StreamBacklogs(ctx context.Context, most int) (list []StreamBacklog, all int) {
	streams, err := s.Streams()
	if err != nil {
		return nil, 0 // the doors tell of it
	}
	for _, st := range streams {
		if !s.LooksAfter(st) {
			continue
		}
		if all++; len(list) >= most || ctx.Err() != nil {
			continue
		}
		if b, err := s.streamBacklog(ctx, st); err == nil {
			list = append(list, b)
		}
	}
	return list, all
}

func (s *Service) streamBacklog(ctx context.Context, st *Stream) (StreamBacklog, error) {
	b := StreamBacklog{Name: st.Name, OpenShards: st.OpenShards}
	states := make([]model.ShardState, len(st.Spec.Shards))
	err := sideBySide(len(states), func(i int) error {
		return s.shardState(ctx, st, st.Spec.Shards[i].Number, &states[i])
	})
	for i := range states {
		state := &states[i]
		b.Records += state.Next - state.Low
		b.Bytes += state.Bytes
		b.NewestMs = max(b.NewestMs, state.LastMs)
		if state.LowMs != 0 && (b.OldestMs == 0 || state.LowMs < b.OldestMs) {
			b.OldestMs = state.LowMs
		}
	}
	return b, err
}
