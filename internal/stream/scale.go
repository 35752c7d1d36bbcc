package stream

import (
	"context"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// The rules of on-demand streams. A shard is hot when it is written with more
// than four fifths of what a shard of Kinesis takes, 1 MiB and 1,000 records a
// second, and cold below a tenth. After hotLooks hot looks in a row it is split
// in the middle; two neighbours that were both cold for coldLooks looks are
// merged. A shard that was just made has no past, so its children are neither
// split nor merged before that long, and a merged pair has a fifth at most,
// which is far from hot: the shards do not go to and fro.
const (
	shardBytes   = 1 << 20 // per second
	shardRecords = 1000    // per second
	hotLooks     = 3       // half a minute, at scaleEvery
	coldLooks    = 60      // ten minutes

	// leastShards is how few shards an on-demand stream has: as many as it begins
	// with. Its warm throughput asks for more, one for each MiB per second.
	leastShards = 4
)

// meter is what a node knows about the load of a stream.
type meter struct {
	atMs   int64
	shards map[model.ShardNumber]*load
}

// load is a shard's past.
type load struct {
	bytes, records uint64 // ever put, at the last look
	hot, cold      int    // looks in a row
}

// plan is what is to be done about a stream's shards.
type plan struct {
	split []model.ShardNumber
	merge [][2]model.ShardNumber
}

// look takes in the states of the open shards, in the order of their hash
// ranges, and says what is to be done. It depends on nothing else.
func (m *meter) look(nowMs int64, open []*model.Shard, states []model.ShardState, least int) plan {
	passed := float64(nowMs-m.atMs) / 1000
	before := m.shards
	m.atMs, m.shards = nowMs, make(map[model.ShardNumber]*load, len(open))
	for i, sh := range open {
		l := &load{bytes: states[i].TotalBytes, records: states[i].Next - 1}
		m.shards[sh.Number] = l
		was := before[sh.Number]
		if was == nil || passed <= 0 {
			continue
		}
		used := max(rate(l.bytes, was.bytes, passed)/shardBytes, rate(l.records, was.records, passed)/shardRecords)
		if used > 0.8 {
			l.hot = was.hot + 1
		}
		if used < 0.1 {
			l.cold = was.cold + 1
		}
	}
	return m.plan(open, least)
}

// rate is the growth per second. A state that is older than the one before,
// from a replica that lags, has none.
func rate(now, before uint64, seconds float64) float64 {
	if now < before {
		return 0
	}
	return float64(now-before) / seconds
}

func (m *meter) plan(open []*model.Shard, least int) (p plan) {
	for _, sh := range open {
		if m.shards[sh.Number].hot >= hotLooks && len(open)+len(p.split) < model.MaxStreamShards && sh.Range.Lo != sh.Range.Hi {
			p.split = append(p.split, sh.Number)
		}
	}
	for i := 0; i+1 < len(open) && len(open)-len(p.merge) > least; i++ {
		a, b := open[i].Number, open[i+1].Number
		if m.shards[a].cold >= coldLooks && m.shards[b].cold >= coldLooks {
			p.merge = append(p.merge, [2]model.ShardNumber{a, b})
			i++
		}
	}
	return p
}

// scale looks at the on-demand streams that this node looks after.
func (e *Engine) scale(all []*service.Stream) {
	kept := make(map[model.ResourceID]*meter, len(e.meters))
	for _, st := range all {
		if !st.OnDemand || !e.service.LooksAfter(st) {
			continue
		}
		m := e.meters[st.ID]
		if m == nil {
			m = &meter{}
		}
		kept[st.ID] = m
		e.step(st, "scale the stream", func(ctx context.Context) error { return e.scaleStream(ctx, st, m) })
	}
	e.meters = kept
}

func (e *Engine) scaleStream(ctx context.Context, st *service.Stream, m *meter) error {
	open, states, err := e.service.ShardStates(ctx, st)
	if err != nil {
		return err
	}
	p := m.look(e.clock.Now().UnixMilli(), open, states, max(leastShards, int(st.Warm.TargetMiBps)))
	for _, n := range p.split {
		if err := e.service.SplitHotShard(ctx, st.ID, n); err != nil {
			return err
		}
		e.log.Info("split a shard", "stream", st.Name, "shard", n.String())
	}
	for _, pair := range p.merge {
		if err := e.service.MergeColdShards(ctx, st.ID, pair[0], pair[1]); err != nil {
			return err
		}
		e.log.Info("merged two shards", "stream", st.Name, "shard", pair[0].String(), "with", pair[1].String())
	}
	return nil
}
