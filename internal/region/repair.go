package region

import (
	"bytes"
	"context"
	"slices"

	"weir.dev/weir/internal/model"
)

// mend makes both sides of what differs equal, and reports of each place of each
// sight whether they are; of a sight without places there is one word.
func (v *verifying) mend(ctx context.Context, f *finding) (mended [][]bool, err error) {
	for _, s := range f.sights {
		mended = append(mended, make([]bool, max(1, len(s.places))))
		if s.of.compared.kind == model.KindTable {
			err = v.mendItems(ctx, s, f.back)
		} else {
			err = v.mendUnit(ctx, s)
		}
		if err != nil {
			return mended, err
		}
	}
	for left, n := slices.Clone(f.sights), 0; n < maxLooks && len(left) > 0; n++ {
		if _, err := v.drain(ctx); err != nil {
			return mended, err
		}
		now, err := v.look(ctx, left)
		if err != nil {
			return mended, err
		}
		left = left[:0]
		for _, s := range now {
			k := slices.IndexFunc(f.sights, func(o *sight) bool { return o.of == s.of && samePlaces(o.places, s.places) })
			if !s.equal(mended[k]) {
				left = append(left, f.sights[k])
			}
		}
	}
	return mended, nil
}

func samePlaces(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

// equal notes at which places both sides are equal now, and reports whether they
// are at all.
func (s *sight) equal(mended []bool) bool {
	if len(s.places) == 0 {
		mended[0] = s.here.Unit.Sum == s.there.Unit.Sum
	}
	for i := range s.places {
		p := s.pair(i)
		mended[i] = !p.differs()
	}
	return !slices.Contains(mended, false)
}

// mendItems mends items. Where both regions ship, the higher version stays;
// where only this one does, what is here. What stays here is written once more,
// as a write of now, and then goes the way of all writes: the other side takes it
// for a conflict and keeps what it replaces, so that a repair can be looked up
// and undone.
func (v *verifying) mendItems(ctx context.Context, s *sight, back bool) error {
	for i := range s.places {
		p := s.pair(i)
		if v.filter.condition != nil && p.here.Held != model.HeldThing {
			continue // the delete of what does not pass the condition here would not be shipped
		}
		taken := false
		if back && p.there.Version.Compare(p.here.Version) > 0 {
			var err error
			if taken, err = v.takeTheirs(ctx, s.of, &p); err != nil {
				return err
			}
		}
		if !taken { // also when this side knows of theirs and holds something else
			if err := v.rewrite(ctx, s.of, &p); err != nil {
				return err
			}
		}
	}
	return nil
}

// rewrite writes what is here again. If it has changed meanwhile, that change is
// on its way and does the same.
func (v *verifying) rewrite(ctx context.Context, of *side, p *pair) error {
	e := v.engine
	slot, key, _ := model.SplitItemPlace(p.place)
	if p.there.Version.Stamp.Time().Sub(e.clock.Now()) > maxClockLead {
		return model.Errorf(model.ErrUnavailable, "a clock of the region %s is ahead: set the clocks of all nodes", v.spec.RegionName)
	}
	body := model.Rewrite{Self: e.cluster.Catalog().Region(), Key: key, If: p.here.Version}
	_, err := e.propose(ctx, &model.Command{Kind: model.CmdRewrite, Resource: of.id, Slot: slot, Stamp: p.newest() + 1, Body: body.Append(nil)})
	return err
}

// takeTheirs takes in what the other region has, as if it had shipped it, and
// reports whether that changed anything.
func (v *verifying) takeTheirs(ctx context.Context, of *side, p *pair) (bool, error) {
	_, key, _ := model.SplitItemPlace(p.place)
	req := fetchRequest{Table: of.name, Keys: [][]byte{key}}
	var there records
	if err := v.call(ctx, OpFetch, req.Append(nil), &there); err != nil {
		return false, err
	}
	if len(there) != 1 || !bytes.Equal(there[0].Key, key) {
		return false, nil
	}
	e := v.engine
	from := model.InboundSpec{Region: v.spec.Region, RegionName: v.spec.RegionName}
	res, err := e.resolutionOf(of.id)
	if err != nil {
		return false, err
	}
	changes := tableChanges{Name: of.name, Policy: res.agreed, Changes: there}
	var did model.ApplyChangesResult
	err = e.takeInTable(ctx, &from, &changes, e.clock.Now(), &did)
	return did.Applied > 0, err
}

// mendUnit has what is here of a unit told once more, where this region has the
// writes. A copy of a copy is mended where the writes are.
func (v *verifying) mendUnit(ctx context.Context, s *sight) error {
	places := slices.Clone(s.places)
	slices.SortFunc(places, bytes.Compare)
	for first := true; first || len(places) > 0; first = false {
		body := model.RewriteUnit{Kind: s.of.compared.kind, Shard: s.of.shard, Places: places}
		res, err := v.engine.propose(ctx, &model.Command{Kind: model.CmdRewriteUnit, Resource: s.of.id, Slot: s.of.slot, Body: body.Append(nil)})
		if err != nil {
			return err
		}
		if res.Status != model.StatusOK {
			return nil
		}
		d := model.NewDecoder(res.Body)
		did := d.Uvarint()
		if err := d.Done(); err != nil || did > uint64(len(places)) || did == 0 && len(places) > 0 {
			return errOtherSums
		}
		places = places[did:]
	}
	return nil
}
