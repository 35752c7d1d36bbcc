package region

import (
	"context"
	"errors"
	"fmt"
	"math"

	"weir.dev/weir/internal/model"
)

// The tree of a part has three levels below its root: ranges of some thousand
// things, ranges of some dozen, and the things. The region that is asked chooses
// where its ranges end; this one sums over the same ones. A range in which few
// things are has them listed at once, so that a small table takes one request.
// Each request asks about all that the level above has left of all parts, and is
// bounded by what answering it reads and brings.

// grains are what is asked for on each level: how many things a range is to
// hold, and up to how many of them are listed.
var grains = [...]struct{ grain, list uint64 }{{4096, 64}, {64, 16}, {64, 64}}

// node is a range of places of a part that is to be compared.
type node struct {
	of     *side
	lo, hi []byte
}

// side is a part with its place on this side.
type side struct {
	compared
	located
	resource *model.Resource
	last     bool // of its resource
}

// suspect is a place at which the sides seem to differ.
type suspect struct {
	of    *side
	place []byte
}

// walk compares everything.
func (v *verifying) walk(ctx context.Context) error {
	units, err := v.plant()
	if err != nil {
		return err
	}
	for v.engine.sleep(ctx, verifyPause) {
		level, settle := v.next()
		switch {
		case settle:
			err = v.settle(ctx)
		case level < 0:
			return v.counts(ctx, units)
		default:
			err = v.exchange(ctx, level)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// plant fills the level at the top with all that the link ships, and returns the
// units among it. Those of which this side holds the copy are left to the other
// side's link.
func (v *verifying) plant() (units []*side, err error) {
	c := v.engine.cluster.Catalog()
	for _, kind := range shippedKinds {
		for r := range c.Resources.Of(kind) {
			if !v.spec.Ships(r) || isUnits(kind) && v.follows(r) {
				continue
			}
			var all []*side
			if kind == model.KindTable {
				all = []*side{{located: located{id: r.ID}}}
			}
			of, err := unitsOf(r, 0, model.SlotCount)
			if err != nil {
				return nil, err
			}
			for _, u := range of {
				s := &side{compared: compared{index: u.index}, located: located{id: r.ID, slot: u.slot}}
				if kind == model.KindStream {
					s.shard = model.ShardNumber(u.index)
				}
				all = append(all, s)
			}
			for i, s := range all {
				s.compared.kind, s.located.kind, s.name, s.resource, s.last = kind, kind, r.Name, r, i == len(all)-1
				v.levels[0] = append(v.levels[0], node{of: s})
			}
			if isUnits(kind) {
				units = append(units, all...)
			}
		}
	}
	return units, nil
}

// follows reports whether this side holds a copy of what the other one has.
func (v *verifying) follows(r *model.Resource) bool {
	for tie := range v.engine.cluster.Catalog().Resources.Of(model.KindInbound) {
		spec, err := decodeInbound(tie)
		if err == nil && spec.Region == v.spec.Region && spec.Passive && spec.Ships(r) {
			return true
		}
	}
	return v.spec.Passive
}

// next says what to do next: what is deepest if there is much of it, or else
// what is highest, so that each request asks about much and little waits. level
// is negative when nothing is left.
func (v *verifying) next() (level int, settle bool) {
	if len(v.suspects) >= maxLooked {
		return 0, true
	}
	for level = len(v.levels) - 1; level >= 0; level-- {
		if len(v.levels[level]) >= maxAsked {
			return level, false
		}
	}
	for level = range v.levels {
		if len(v.levels[level]) > 0 {
			return level, false
		}
	}
	return -1, len(v.suspects) > 0
}

// exchange compares nodes of a level, as many as one request asks about.
func (v *verifying) exchange(ctx context.Context, level int) error {
	all := v.levels[level]
	nodes := all[:min(len(all), maxAsked)]
	req := digestRequest{Grain: grains[level].grain, List: grains[level].list}
	for i := range nodes {
		req.Asked = append(req.Asked, asked{nodes[i].of.compared, nodes[i].lo, nodes[i].hi})
	}
	var answer digests
	if err := v.call(ctx, OpDigest, req.Append(nil), &answer); err != nil {
		return err
	}
	if len(answer) == 0 || len(answer) > len(nodes) {
		return errOtherSums
	}
	v.levels[level] = append([]node(nil), all[len(answer):]...)
	for i := range answer {
		if err := v.compare(ctx, &nodes[i], &answer[i], level); err != nil {
			return fmt.Errorf("cannot compare %s: %w", nodes[i].of.name, err)
		}
	}
	return nil
}

var errOtherSums = model.Errorf(model.ErrInternal, "the other region sums otherwise: it may be of another version")

// call asks the other region, once more when an answer does not come.
func (v *verifying) call(ctx context.Context, op Op, body []byte, answer decodable) error {
	for try := 1; ; try++ {
		v.note(func(r *Verification) { r.Exchanges++ })
		raw, err := v.engine.call(ctx, v.link.ID, &v.spec, op, body)
		var known *model.Error
		switch {
		case err == nil:
			return decode(raw, answer)
		case try == maxTries || errors.As(err, &known) && known.Kind != model.ErrUnavailable || !v.engine.sleep(ctx, firstRetry):
			return err
		}
	}
}

// compare compares what the other region says of a node with what is here, and
// leaves what differs, or was not read, to be asked for.
func (v *verifying) compare(ctx context.Context, n *node, theirs *model.DigestResult, level int) error {
	hi := n.hi
	if len(theirs.Next) > 0 {
		hi = theirs.Next
		v.levels[level] = append(v.levels[level], node{n.of, hi, n.hi})
	}
	ends, err := endsOf(n.lo, hi, theirs.Runs)
	if err != nil {
		return err
	}
	q := model.DigestQuery{Lo: n.lo, Hi: hi, Ends: ends, Condition: v.filter.encoded()}
	ours, err := v.engine.digest(ctx, &n.of.located, q, math.MaxUint64)
	if err != nil {
		return err
	}
	if len(ours.Next) > 0 { // there is much more here than there: the rest is asked for again
		v.levels[level] = append(v.levels[level], node{n.of, ours.Next, hi})
	}
	lo := n.lo
	for i := range theirs.Runs {
		mine, other := &ours.Runs[i], &theirs.Runs[i]
		if cut := len(ours.Next) > 0 && model.Within(ours.Next, other.Hi); cut {
			if !other.Listed {
				v.levels[level] = append(v.levels[level], node{n.of, lo, ours.Next})
			} else {
				v.suspect(n.of, mine.Keys, keysWithin(other.Keys, ours.Next))
			}
			break
		}
		switch {
		case mine.Sum == other.Sum && mine.Items == other.Items:
		case other.Listed:
			v.suspect(n.of, mine.Keys, other.Keys)
		case level+1 == len(v.levels):
			return errOtherSums
		default:
			v.levels[level+1] = append(v.levels[level+1], node{n.of, lo, other.Hi})
		}
		lo = other.Hi
	}
	if level == 0 {
		v.note(func(r *Verification) { r.count(n.of, ours.Runs, len(theirs.Next)+len(ours.Next) == 0) })
	}
	return nil
}

// count counts what was read here, and what was read to its end.
func (r *Verification) count(s *side, runs []model.DigestRun, ended bool) {
	things := uint64(0)
	for i := range runs {
		things += runs[i].Items
	}
	one := 0
	if ended && s.last {
		one = 1
	}
	switch s.compared.kind {
	case model.KindTable:
		r.Tables, r.Items = r.Tables+one, r.Items+things
	case model.KindQueue:
		r.Queues, r.Messages = r.Queues+one, r.Messages+things
	default:
		r.Streams, r.Records = r.Streams+one, r.Records+things
	}
}

// endsOf asks for the ranges that another region chose, which have to be in order
// and without a gap.
func endsOf(lo, hi []byte, runs []model.DigestRun) (ends []model.DigestEnd, err error) {
	for i := range runs {
		r := &runs[i]
		last := i == len(runs)-1
		if last != (string(r.Hi) == string(hi)) || len(r.Hi) > 0 && string(r.Hi) <= string(lo) || !last && !model.Within(r.Hi, hi) {
			return nil, errOtherSums
		}
		ends = append(ends, model.DigestEnd{Hi: r.Hi, Listed: r.Listed})
		lo = r.Hi
	}
	if len(ends) == 0 {
		return nil, errOtherSums
	}
	return ends, nil
}

func keysWithin(all []model.KeySum, hi []byte) []model.KeySum {
	for i := range all {
		if !model.Within(all[i].Place, hi) {
			return all[:i]
		}
	}
	return all
}

// suspect notes the places that are in one list only, or with other sums.
func (v *verifying) suspect(of *side, here, there []model.KeySum) {
	sums := map[string]model.Sum{} // finds; never ranged over
	for i := range there {
		sums[string(there[i].Place)] = there[i].Sum
	}
	for i := range here {
		if sum, ok := sums[string(here[i].Place)]; !ok || sum != here[i].Sum {
			v.suspects = append(v.suspects, suspect{of, here[i].Place})
		}
		delete(sums, string(here[i].Place))
	}
	for i := range there {
		if _, left := sums[string(there[i].Place)]; left {
			v.suspects = append(v.suspects, suspect{of, there[i].Place})
		}
	}
}
