// Package stream is what nodes do for streams by themselves: finish a
// resharding that its starter left, split and merge the shards of on-demand
// streams, and remove what has expired.
//
// It decides when and what; how is the service's, whose steps are safe to
// repeat and to take on two nodes at once. So it does no harm that, around a
// change of leader, two nodes look after one stream, or none for a moment. The
// package keeps no state that matters: a new leader begins to measure anew.
//
// Every goroutine ends with Close. Start with Engine; scale.go has the rules of
// on-demand streams.
package stream

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"weir.dev/weir/internal/base"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// Service is what an Engine needs of *service.Service.
type Service interface {
	// Streams are all streams by name, as this node knows them.
	Streams() ([]*service.Stream, error)
	// LooksAfter reports whether this node looks after the stream.
	LooksAfter(st *service.Stream) bool
	FinishReshard(ctx context.Context, id model.ResourceID) error
	ShardStates(ctx context.Context, st *service.Stream) ([]*model.Shard, []model.ShardState, error)
	SplitHotShard(ctx context.Context, id model.ResourceID, n model.ShardNumber) error
	MergeColdShards(ctx context.Context, id model.ResourceID, a, b model.ShardNumber) error
	TrimStream(ctx context.Context, st *service.Stream) error
	ForgetShards(ctx context.Context, st *service.Stream) error
}

const (
	// superviseEvery is how soon a resharding that was left is gone on with. Puts
	// that meet a closed shard do not wait for it: they go on with it themselves.
	superviseEvery = 200 * time.Millisecond
	// scaleEvery is how often the load of on-demand streams is looked at.
	scaleEvery = 10 * time.Second
	// sweepEvery is how often expired records and shards are looked for.
	sweepEvery = 20 * time.Second
	// stepTimeout bounds what is done for one stream at one time.
	stepTimeout = 30 * time.Second
)

// Engine looks after streams.
type Engine struct {
	service Service
	clock   base.Clock
	rand    *base.Rand
	log     *slog.Logger

	ctx   context.Context // ends with Close
	stop  context.CancelFunc
	tasks sync.WaitGroup

	meters map[model.ResourceID]*meter // of scale's goroutine only
}

// NewEngine starts an engine.
func NewEngine(s Service, clock base.Clock, rand *base.Rand, log *slog.Logger) *Engine {
	e := &Engine{service: s, clock: clock, rand: rand, log: log, meters: map[model.ResourceID]*meter{}}
	e.ctx, e.stop = context.WithCancel(context.Background())
	e.tasks.Go(func() { e.every(superviseEvery, e.finish) })
	e.tasks.Go(func() { e.every(scaleEvery, e.scale) })
	e.tasks.Go(func() { e.every(sweepEvery, e.sweep) })
	return e
}

// Close stops the engine and waits for what it does.
func (e *Engine) Close() {
	e.stop()
	e.tasks.Wait()
}

// every repeats a round until Close.
func (e *Engine) every(pause time.Duration, round func([]*service.Stream)) {
	for base.Sleep(e.ctx, e.clock, e.rand, pause) {
		all, err := e.service.Streams()
		if err != nil {
			e.log.Error("cannot read the streams", "error", err)
			continue
		}
		round(all)
	}
}

// step does something for a stream. What fails is tried again in a later
// round; only faults that no retry mends are worth a line in the log.
func (e *Engine) step(st *service.Stream, what string, do func(ctx context.Context) error) bool {
	ctx, cancel := context.WithTimeout(e.ctx, stepTimeout)
	defer cancel()
	err := do(ctx)
	if err != nil && e.ctx.Err() == nil {
		e.log.Warn("cannot "+what+"; it will be tried again", "stream", st.Name, "error", err)
	}
	return err == nil
}

// finish goes on with reshardings that were left.
func (e *Engine) finish(all []*service.Stream) {
	for _, st := range all {
		if st.Status == service.StreamUpdating && e.service.LooksAfter(st) {
			e.step(st, "finish a resharding", func(ctx context.Context) error { return e.service.FinishReshard(ctx, st.ID) })
		}
	}
}

// sweep removes expired records, each node those of the shards that it leads,
// and expired shards.
func (e *Engine) sweep(all []*service.Stream) {
	for _, st := range all {
		e.step(st, "remove expired records", func(ctx context.Context) error { return e.service.TrimStream(ctx, st) })
		if e.service.LooksAfter(st) {
			e.step(st, "forget expired shards", func(ctx context.Context) error { return e.service.ForgetShards(ctx, st) })
		}
	}
}
