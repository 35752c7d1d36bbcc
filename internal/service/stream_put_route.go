package service

import (
	"slices"

	"weir.dev/weir/internal/model"
)

// putWindowMs is how far back the resharding of a stream matters to a call that
// its client sent before: what it put then is remembered by the tablet
// (model.DedupeWindow), and a minute more covers clocks that differ.
const putWindowMs = int64(model.DedupeWindow/1e6) + 60_000

// groups puts the open records together by the shard that they go to next. It
// is not complete when the spec has no such shard for a record.
func (p *put) groups(st *Stream) (groups []*shardGroup, complete bool) {
	past := p.past(st)
	byShard := map[model.ShardNumber]*shardGroup{}
	for _, i := range p.open {
		sh := p.shardFor(st, past, i)
		if sh == nil {
			return nil, false
		}
		g := byShard[sh.Number]
		if g == nil {
			g = &shardGroup{shard: sh}
			byShard[sh.Number] = g
			groups = append(groups, g)
		}
		g.indexes = append(g.indexes, i)
	}
	for _, g := range groups {
		g.blocked = slices.ContainsFunc(groups, func(older *shardGroup) bool {
			return older.shard.Number < g.shard.Number && slices.ContainsFunc(older.indexes, func(i int) bool { return g.shard.Range.Contains(p.hashes[i]) })
		})
	}
	return groups, true
}

// past are the closed shards that may have taken records of another try: of one
// before when this is a retry, and of a retry when this is the first one, which
// may have been held up on its way. Few shards took a retry shortly before they
// were closed, so that a first try mostly goes to the open shards at once.
func (p *put) past(st *Stream) (past []*model.Shard) {
	if p.req.Invocation.IsZero() {
		return nil
	}
	since := p.service.nowMs() - putWindowMs
	for i := range st.Spec.Shards {
		if sh := &st.Spec.Shards[i]; !sh.Open() && sh.ClosedMs >= since && (p.req.Retry || sh.RetriedMs >= since) {
			past = append(past, sh)
		}
	}
	return past
}

// shardFor is where the record goes next: to the shards that had its hash key,
// from the oldest that matters to the open one.
func (p *put) shardFor(st *Stream, past []*model.Shard, i int) *model.Shard {
	for _, sh := range past { // ascending by number, as generations are
		if sh.Number >= p.next[i] && sh.Range.Contains(p.hashes[i]) {
			return sh
		}
	}
	if sh := model.ShardOf(st.open, p.hashes[i]); sh.Number >= p.next[i] {
		return sh
	}
	return nil
}
