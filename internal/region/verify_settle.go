package region

import (
	"context"
	"fmt"
	"slices"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// A place of a table at which the sides seem to differ is looked at again after
// both links have shipped everything that was there at the first look: if
// neither side's version has changed meanwhile, each side has heard of the
// other's write and kept its own, which is a difference.
//
// Of a queue or stream the other side has a copy, whose version says which
// moment of this side it holds. If both are of one version, what differs is a
// difference. Else it is one if the copy's version has gone by the moment of the
// look before and the place is as it was then, on both sides: each time the copy
// is read before the original, and what is at a place comes once and goes once.

// sight is what both sides have at the places of a part.
type sight struct {
	of          *side
	places      [][]byte
	here, there model.LookResult
}

// pair is what both sides have at one place.
type pair struct {
	place       []byte
	here, there *model.Looked
}

func (s *sight) pair(i int) pair { return pair{s.places[i], &s.here.Looked[i], &s.there.Looked[i]} }

// differs reports whether two sides show a client different things.
func (p *pair) differs() bool {
	a, b := p.here.Held == model.HeldThing, p.there.Held == model.HeldThing
	return a != b || a && p.here.Sum != p.there.Sum
}

// newest is the latest stamp that either side names.
func (p *pair) newest() (s model.Stamp) {
	for _, l := range []*model.Looked{p.here, p.there} {
		s = max(s, l.Version.Stamp)
		for _, v := range l.History {
			s = max(s, v.Stamp)
		}
	}
	return s
}

// gather divides suspects into what one look is about: at most so many places, by
// their parts.
func gather(all []suspect) (first []*sight, rest []suspect) {
	n := min(len(all), maxLooked)
	for _, s := range all[:n] {
		if len(first) == 0 || first[len(first)-1].of != s.of {
			first = append(first, &sight{of: s.of})
		}
		last := first[len(first)-1]
		last.places = append(last.places, s.place)
	}
	return first, slices.Clone(all[n:])
}

// look reads what both sides have now, in one request, the other side first.
func (v *verifying) look(ctx context.Context, all []*sight) (seen []*sight, err error) {
	var req lookRequest
	for _, s := range all {
		req = append(req, lookedAt{s.of.compared, s.places})
	}
	var answer looks
	if err := v.call(ctx, OpLook, req.Append(nil), &answer); err != nil {
		return nil, err
	}
	if len(answer) != len(all) {
		return nil, errOtherSums
	}
	for i, s := range all {
		here, err := v.engine.look(ctx, &s.of.located, s.places, v.filter.encoded())
		if err != nil {
			return nil, err
		}
		if len(answer[i].Looked) != len(s.places) {
			return nil, errOtherSums
		}
		seen = append(seen, &sight{s.of, s.places, here, answer[i]})
	}
	return seen, nil
}

// settle looks at places that seem to differ until it is known of each whether it
// does.
func (v *verifying) settle(ctx context.Context) error {
	var all []*sight
	all, v.suspects = gather(v.suspects)
	before, err := v.look(ctx, all)
	if err != nil {
		return err
	}
	found := finding{}
	before = v.judge(nil, before, &drainedAnswer{}, &found)
	for n := 0; n < maxLooks && len(before) > 0; n++ {
		there, err := v.drain(ctx)
		if err != nil {
			return err
		}
		after, err := v.look(ctx, before)
		if err != nil {
			return err
		}
		found.back = there.Back
		before = v.judge(before, after, there, &found)
	}
	for _, s := range before {
		v.note(func(r *Verification) { r.Unsettled += len(s.places) })
	}
	return v.conclude(ctx, &found)
}

// finding is what of some suspects turned out to differ.
type finding struct {
	sights []*sight
	back   bool // the other region ships to this one, too
}

// judge compares two looks at the same places and returns the later one of those
// of which nothing can be said yet. before is nil at the first look.
func (v *verifying) judge(before, after []*sight, there *drainedAnswer, found *finding) (moving []*sight) {
	for k, s := range after {
		var was *sight
		if before != nil {
			was = before[k]
		}
		differ, move := &sight{of: s.of, here: emptied(&s.here), there: emptied(&s.there)}, &sight{of: s.of, here: emptied(&s.here), there: emptied(&s.there)}
		for i := range s.places {
			p := s.pair(i)
			switch {
			case !p.differs():
			case !s.decides(was, i):
				move.add(&p)
			case s.of.compared.kind == model.KindTable && there.Elsewhere && p.there.Version.Compare(p.here.Version) > 0:
				v.note(func(r *Verification) { r.Unsettled++ }) // in a ring it may be on its way
			default:
				differ.add(&p)
			}
		}
		if len(differ.places) > 0 {
			found.sights = append(found.sights, differ)
		}
		if len(move.places) > 0 {
			moving = append(moving, move)
		}
	}
	return moving
}

// emptied is a look at no place.
func emptied(l *model.LookResult) model.LookResult { return model.LookResult{Unit: l.Unit} }

func (s *sight) add(p *pair) {
	s.places = append(s.places, p.place)
	s.here.Looked, s.there.Looked = append(s.here.Looked, *p.here), append(s.there.Looked, *p.there)
}

// decides reports whether what differs at a place is a difference, after the look
// before, if there was one.
func (s *sight) decides(was *sight, i int) bool {
	here, there := &s.here.Unit, &s.there.Unit
	if s.of.compared.kind != model.KindTable {
		if here.Copying || there.Copying {
			return false
		}
		if here.Version == there.Version {
			return true
		}
		if was == nil || !there.Knows(was.here.Unit.Version) {
			return false
		}
	}
	return was != nil && s.here.Looked[i].Same(&was.here.Looked[i]) && s.there.Looked[i].Same(&was.there.Looked[i])
}

// drain waits until both links have shipped what there is now.
func (v *verifying) drain(ctx context.Context) (*drainedAnswer, error) {
	e := v.engine
	ours, err := e.lastNumbers(ctx, v.link.ID)
	if err != nil {
		return nil, err
	}
	theirs, err := v.askDrained(ctx, nil)
	if err != nil {
		return nil, err
	}
	for end := e.clock.Now().Add(maxDrain); e.clock.Now().Before(end); {
		shipped, err := e.hasShipped(ctx, v.link, ours)
		if err != nil {
			return nil, err
		}
		if shipped && !theirs.Done {
			if theirs, err = v.askDrained(ctx, theirs); err != nil {
				return nil, err
			}
		}
		if shipped && theirs.Done {
			return theirs, nil
		}
		if !e.sleep(ctx, drainPause) {
			return nil, ctx.Err()
		}
	}
	return nil, model.Errorf(model.ErrUnavailable, "the links lag more than %v: what is on its way cannot be told from what differs", maxDrain)
}

func (v *verifying) askDrained(ctx context.Context, last *drainedAnswer) (*drainedAnswer, error) {
	var body []byte
	if last != nil {
		body = last.Append(nil)
	}
	a := &drainedAnswer{}
	return a, v.call(ctx, OpDrained, body, a)
}

// counts compares what units count and where they end, where both sides are of
// one version: of others nothing is said.
func (v *verifying) counts(ctx context.Context, units []*side) error {
	for some := range slices.Chunk(units, maxLooked) {
		var all []*sight
		for _, u := range some {
			all = append(all, &sight{of: u})
		}
		seen, err := v.look(ctx, all)
		if err != nil {
			return err
		}
		found := finding{}
		for _, s := range seen {
			if s.miscounts() {
				found.sights = append(found.sights, s)
			}
		}
		if err := v.conclude(ctx, &found); err != nil {
			return err
		}
	}
	return nil
}

// miscounts reports whether both sides of a unit are of one version and count
// differently.
func (s *sight) miscounts() bool {
	here, there := &s.here.Unit, &s.there.Unit
	return here.Version == there.Version && !here.Copying && !there.Copying && here.Sum != there.Sum
}

// conclude notes what differs, after mending it when that was asked for.
func (v *verifying) conclude(ctx context.Context, f *finding) error {
	var all []Difference
	var of []int // how many of each sight
	for _, s := range f.sights {
		some := s.differences()
		all, of = append(all, some...), append(of, len(some))
	}
	var err error
	if v.repair && len(all) > 0 {
		var mended [][]bool
		mended, err = v.mend(ctx, f)
		n := 0
		for k := range mended {
			for i := range mended[k] {
				all[n+i].Repaired = mended[k][i]
			}
			n += of[k]
		}
	}
	v.note(func(r *Verification) {
		for i := range all {
			r.Found++
			if all[i].Repaired {
				r.Repaired++
			}
			if len(r.Differences) < maxDifferences {
				r.Differences = append(r.Differences, all[i])
			}
		}
	})
	return err
}

// differences describes what differs at a sight's places; without places, that
// the unit counts differently.
func (s *sight) differences() (all []Difference) {
	for i := range s.places {
		p := s.pair(i)
		d := Difference{Kind: s.of.compared.kind, Name: s.of.name, Key: s.of.describe(&p), What: "differs", Here: p.here.Version, There: p.there.Version}
		switch {
		case p.there.Held != model.HeldThing:
			d.What = "missing there"
		case p.here.Held != model.HeldThing:
			d.What = "missing here"
		}
		all = append(all, d)
	}
	if len(s.places) == 0 {
		what := "counts of messages"
		if s.of.compared.kind == model.KindStream {
			what = "end of " + s.of.shard.String()
		}
		all = append(all, Difference{Kind: s.of.compared.kind, Name: s.of.name, Key: what, What: "differs"})
	}
	return all
}

// describe names what is at a place, as clients know it.
func (s *side) describe(p *pair) string {
	known := p.here
	if p.here.Held != model.HeldThing {
		known = p.there
	}
	switch s.compared.kind {
	case model.KindTable:
		_, key, _ := model.SplitItemPlace(p.place)
		return keys.ItemString(key)
	case model.KindQueue:
		return fmt.Sprintf("message %x-%x-%x-%x-%x", known.ID[:4], known.ID[4:6], known.ID[6:8], known.ID[8:10], known.ID[10:])
	}
	n, group, _ := model.SplitShardPlace(p.place)
	if group != "" {
		return s.shard.String() + " position of " + group
	}
	seq := model.Sequence{N: n, Secs: known.Mark / 1000, Shard: s.shard}
	var spec model.StreamSpec
	if decode(s.resource.Spec, &spec) == nil {
		if sh, ok := spec.Shard(s.shard); ok {
			seq.Epoch = sh.Epoch
		}
	}
	return s.shard.String() + " record " + seq.String()
}
