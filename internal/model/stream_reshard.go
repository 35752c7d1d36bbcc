package model

import (
	"errors"
	"fmt"
	"slices"
)

// ReshardKind says why shards are replaced. Part of the stored format.
type ReshardKind uint8

// The kinds of resharding.
const (
	ReshardSplit ReshardKind = 1
	ReshardMerge ReshardKind = 2
	ReshardScale ReshardKind = 3 // to Reshard.Target even shards, in as many rounds as it takes
)

// Reshard is a resharding under way. Who finds one in a stream's spec may
// finish it, in steps that may all be repeated and done by several at once:
//
//  1. CmdCloseShard to each shard of Closing: from then on it takes no record.
//  2. FinishReshard with the answers, and the spec into the catalog: the
//     children are there, and the open shards cover the ring before and after.
//
// In between a put to a closing shard answers StatusClosed, and waits for the
// catalog to have the children.
type Reshard struct {
	Kind      ReshardKind
	Target    uint32 // ReshardScale: how many shards there will be
	StartedMs int64  // Unix milliseconds
	Closing   []ShardNumber
	Children  []ShardPlan
}

// ShardPlan is a shard that is to be.
type ShardPlan struct {
	Number  ShardNumber
	Range   HashRange
	Parents []ShardNumber // one or two, ascending
}

// ShardEnd is what CmdCloseShard answered of a shard.
type ShardEnd struct {
	Number    ShardNumber
	End       uint64
	ClosedMs  int64
	RetriedMs int64
}

// BeginSplit begins to split the open shard n into one below at and one from
// at on, which must be within the shard's range and not its first hash key.
func (s *StreamSpec) BeginSplit(n ShardNumber, at HashKey, nowMs int64) error {
	sh, ok := s.Shard(n)
	if !ok || !sh.Open() || !sh.Range.Contains(at) || sh.Range.Lo == at {
		return fmt.Errorf("shard %v cannot be split at %v", n, at)
	}
	return s.begin(Reshard{Kind: ReshardSplit, StartedMs: nowMs}, []ShardPlan{
		{Range: HashRange{sh.Range.Lo, at.Prev()}, Parents: []ShardNumber{n}},
		{Range: HashRange{at, sh.Range.Hi}, Parents: []ShardNumber{n}},
	})
}

// BeginMerge begins to merge two open shards whose ranges are neighbours.
func (s *StreamSpec) BeginMerge(a, b ShardNumber, nowMs int64) error {
	x, okX := s.Shard(a)
	y, okY := s.Shard(b)
	if okX && okY && x.Range.Lo.Compare(y.Range.Lo) > 0 {
		x, y = y, x
	}
	if !okX || !okY || !x.Open() || !y.Open() || x == y || x.Range.Hi.Next() != y.Range.Lo {
		return fmt.Errorf("shards %v and %v cannot be merged", a, b)
	}
	return s.begin(Reshard{Kind: ReshardMerge, StartedMs: nowMs}, []ShardPlan{
		{Range: HashRange{x.Range.Lo, y.Range.Hi}, Parents: []ShardNumber{min(a, b), max(a, b)}},
	})
}

// BeginScale begins to replace the shards by target even ones, 1 to
// MaxStreamShards. Nothing is begun when they are already.
func (s *StreamSpec) BeginScale(target int, nowMs int64) error {
	if target < 1 || target > MaxStreamShards {
		return fmt.Errorf("a stream cannot have %d shards", target)
	}
	return s.begin(Reshard{Kind: ReshardScale, Target: uint32(target), StartedMs: nowMs}, s.planScale(target))
}

// planScale is one round on the way to even shards. A shard has two parents at
// most, so each wanted range is put together from its pieces of open shards by
// twos: in one round when two will do, else with shards in between, as Kinesis
// does it too.
func (s *StreamSpec) planScale(target int) (plans []ShardPlan) {
	open := s.OpenShards()
	for _, want := range UniformRanges(target) {
		var pieces []ShardPlan
		for len(open) > 0 && open[0].Range.Lo.Compare(want.Hi) <= 0 {
			r := open[0].Range
			if r.Lo.Compare(want.Lo) < 0 {
				r.Lo = want.Lo
			}
			last := r.Hi.Compare(want.Hi) <= 0
			if !last {
				r.Hi = want.Hi
			}
			pieces = append(pieces, ShardPlan{Range: r, Parents: []ShardNumber{open[0].Number}})
			if !last {
				break
			}
			open = open[1:]
		}
		for two := range slices.Chunk(pieces, 2) {
			p := two[0]
			if len(two) == 2 {
				p.Range.Hi = two[1].Range.Hi
				p.Parents = []ShardNumber{p.Parents[0], two[1].Parents[0]}
				slices.Sort(p.Parents)
			} else if sh, _ := s.Shard(p.Parents[0]); sh.Range == p.Range {
				continue // it is what it shall be, for this round
			}
			plans = append(plans, p)
		}
	}
	return plans
}

// begin writes the resharding down, unless another one is under way.
func (s *StreamSpec) begin(r Reshard, plans []ShardPlan) error {
	if s.Reshard.Kind != 0 {
		return errors.New("the stream is being resharded")
	}
	if len(plans) == 0 {
		return nil
	}
	for i := range plans {
		plans[i].Number = s.NextShard
		s.NextShard++
		r.Closing = append(r.Closing, plans[i].Parents...)
	}
	slices.Sort(r.Closing)
	r.Closing, r.Children = slices.Compact(r.Closing), plans
	s.Reshard, s.ModifiedMs = r, r.StartedMs
	return nil
}

// FinishReshard closes the shards and opens their children. ends are the
// answers of all shards of Reshard.Closing, in any order. A scaling that needs
// another round begins it: then Reshard.Kind is not zero afterwards.
func (s *StreamSpec) FinishReshard(ends []ShardEnd, nowMs int64) error {
	r := s.Reshard
	if r.Kind == 0 {
		return errors.New("the stream is not being resharded")
	}
	old := s.Shards
	s.Shards = slices.Clone(s.Shards)
	for _, n := range r.Closing {
		i := slices.IndexFunc(ends, func(e ShardEnd) bool { return e.Number == n })
		sh, ok := s.Shard(n)
		if i < 0 || !ok || ends[i].ClosedMs <= 0 {
			s.Shards = old
			return fmt.Errorf("shard %v was not closed", n)
		}
		sh.ClosedMs, sh.End, sh.RetriedMs = ends[i].ClosedMs, ends[i].End, ends[i].RetriedMs
	}
	for _, p := range r.Children {
		child := Shard{Number: p.Number, Range: p.Range, Parents: p.Parents, Epoch: uint64(nowMs / 1000), CreatedMs: nowMs}
		for _, n := range p.Parents {
			parent, _ := s.Shard(n)
			child.Epoch, child.CreatedMs = max(child.Epoch, parent.Epoch+1), max(child.CreatedMs, parent.ClosedMs)
		}
		s.Shards = append(s.Shards, child)
	}
	if err := s.Covers(); err != nil {
		s.Shards = old
		return fmt.Errorf("cannot finish the resharding: %w", err)
	}
	s.Reshard, s.ModifiedMs = Reshard{}, nowMs
	if r.Kind == ReshardScale {
		return s.begin(Reshard{Kind: r.Kind, Target: r.Target, StartedMs: r.StartedMs}, s.planScale(int(r.Target)))
	}
	return nil
}

// Forgot reports whether the shard n was there and is not any more: it was
// closed, and all its records have expired.
func (s *StreamSpec) Forgot(n ShardNumber) bool {
	_, kept := s.Shard(n)
	planned := slices.ContainsFunc(s.Reshard.Children, func(p ShardPlan) bool { return p.Number == n })
	return n < s.NextShard && !kept && !planned
}

func (r *Reshard) append(dst []byte) []byte {
	dst = append(dst, byte(r.Kind))
	if r.Kind == 0 {
		return dst
	}
	dst = AppendUvarint(dst, uint64(r.Target))
	dst = AppendUvarint(dst, uint64(r.StartedMs))
	dst = appendShardNumbers(dst, r.Closing)
	dst = AppendUvarint(dst, uint64(len(r.Children)))
	for i := range r.Children {
		p := &r.Children[i]
		dst = AppendUvarint(dst, uint64(p.Number))
		dst = appendShardNumbers(p.Range.append(dst), p.Parents)
	}
	return dst
}

func (r *Reshard) decode(d *Decoder) {
	if r.Kind = ReshardKind(d.Byte()); r.Kind == 0 {
		return
	}
	if r.Kind > ReshardScale {
		d.Fail()
	}
	target := d.Uvarint()
	if target > MaxStreamShards {
		d.Fail()
	}
	r.Target, r.StartedMs = uint32(target), int64(d.Uvarint())
	r.Closing = decodeShardNumbers(d)
	for n := d.Count(); n > 0 && d.Err() == nil; n-- {
		var p ShardPlan
		p.Number = d.shardNumber()
		p.Range.decode(d)
		p.Parents = decodeShardNumbers(d)
		if len(p.Parents) < 1 || len(p.Parents) > 2 {
			d.Fail()
		}
		r.Children = append(r.Children, p)
	}
}
