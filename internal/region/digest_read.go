package region

import (
	"context"

	"weir.dev/weir/internal/model"
)

// located is a part as it is here.
type located struct {
	kind  model.ResourceKind
	id    model.ResourceID
	slot  model.Slot // of a unit
	shard model.ShardNumber
}

// digest sums over the places [q.Lo, q.Hi) of a part here, whatever tablets they
// are in, until about so many bytes are read or maxListed keys are listed for
// q.Ends; Next of the answer says where it stopped.
func (e *Engine) digest(ctx context.Context, h *located, q model.DigestQuery, budget uint64) (all model.DigestResult, err error) {
	for i := range q.Ends {
		all.Runs = append(all.Runs, model.DigestRun{Hi: q.Ends[i].Hi, Listed: q.Ends[i].Listed})
	}
	c := e.cluster.Catalog()
	at, listed := 0, 0 // the range of q.Ends that lo is in
	for lo, end := q.Lo, q.Hi; ; {
		one, slot := q, h.slot
		if h.kind == model.KindTable {
			var ok bool
			if slot, _, ok = model.SplitItemPlace(lo); !ok {
				return all, model.Errorf(model.ErrValidation, "a place in a table is malformed")
			}
			t, ok := c.TabletOf(slot)
			if !ok {
				return all, model.Errorf(model.ErrUnavailable, "this node has not received the catalog yet")
			}
			if last := model.SlotPlace(t.Hi); len(last) > 0 && model.Within(last, end) {
				one.Hi = last
			}
		}
		one.Kind, one.Shard, one.Lo, one.MaxBytes = h.kind, h.shard, lo, min(digestBytes, budget-all.Bytes)
		one.Ends = q.Ends[at:]
		res, err := e.readDigest(ctx, h, slot, &one)
		if err != nil {
			return all, err
		}
		if len(q.Ends) == 0 {
			all.Runs = append(all.Runs, res.Runs...)
		} else {
			listed += addRuns(all.Runs[at:], res.Runs)
		}
		all.Bytes += res.Bytes
		if lo = res.Next; len(lo) == 0 {
			lo = one.Hi
		}
		if len(lo) == 0 || !model.Within(lo, end) {
			return all, nil
		}
		for at < len(q.Ends) && !model.Within(lo, q.Ends[at].Hi) {
			at++
		}
		if all.Bytes >= budget || listed >= maxListed {
			all.Next = lo
			return all, nil
		}
	}
}

func (e *Engine) readDigest(ctx context.Context, h *located, slot model.Slot, q *model.DigestQuery) (res model.DigestResult, err error) {
	raw, err := e.read(ctx, &model.Query{Kind: model.QueryDigest, Resource: h.id, Slot: slot, Body: q.Append(nil)}, false)
	if err != nil {
		return res, err
	}
	return res, decode(raw.Body, &res)
}

// addRuns adds the sums over ranges, or parts of them, to those of the whole
// ranges, and says how many keys came.
func addRuns(to, runs []model.DigestRun) (listed int) {
	for i := range runs[:min(len(to), len(runs))] {
		to[i].Items += runs[i].Items
		to[i].Sum.Add(&runs[i].Sum)
		to[i].Keys = append(to[i].Keys, runs[i].Keys...)
		listed += len(runs[i].Keys)
	}
	return listed
}

// look tells what there is at places of a part here, by its leaders, under the
// names that regions have among each other.
func (e *Engine) look(ctx context.Context, h *located, places [][]byte, condition []byte) (all model.LookResult, err error) {
	c := e.cluster.Catalog()
	parts := map[model.TabletID]*lookPart{} // finds in order; never ranged over
	var order []*lookPart
	need := func(slot model.Slot) (*lookPart, error) {
		t, ok := c.TabletOf(slot)
		if !ok {
			return nil, model.Errorf(model.ErrUnavailable, "this node has not received the catalog yet")
		}
		if parts[t.ID] == nil {
			parts[t.ID] = &lookPart{tablet: t.ID, slot: slot}
			order = append(order, parts[t.ID])
		}
		return parts[t.ID], nil
	}
	if h.kind != model.KindTable {
		if _, err := need(h.slot); err != nil { // also when no place is asked for
			return all, err
		}
	}
	for i, place := range places {
		slot := h.slot
		if h.kind == model.KindTable {
			_, key, ok := model.SplitItemPlace(place)
			if !ok {
				return all, model.Errorf(model.ErrValidation, "a place in a table is malformed")
			}
			if slot, err = e.service.CheckKey(h.id, key); err != nil {
				return all, err
			}
		}
		p, err := need(slot)
		if err != nil {
			return all, err
		}
		p.places, p.at = append(p.places, place), append(p.at, i)
	}
	all.Looked = make([]model.Looked, len(places))
	for _, p := range order {
		if err := e.lookInTablet(ctx, h, p, condition, &all); err != nil {
			return all, err
		}
	}
	all.Rename(0, c.Region())
	return all, nil
}

// lookPart is what of a look belongs to one tablet.
type lookPart struct {
	tablet model.TabletID
	slot   model.Slot
	places [][]byte
	at     []int // of each, in the answer
}

func (e *Engine) lookInTablet(ctx context.Context, h *located, p *lookPart, condition []byte, all *model.LookResult) error {
	q := model.LookQuery{Kind: h.kind, Tablet: p.tablet, Shard: h.shard, Places: p.places, Condition: condition}
	raw, err := e.read(ctx, &model.Query{Kind: model.QueryLook, Resource: h.id, Slot: p.slot, Body: q.Append(nil)}, true)
	if err != nil {
		return err
	}
	if raw.Status != model.StatusOK {
		return model.Errorf(model.ErrUnavailable, "the link does not ship this yet")
	}
	var some model.LookResult
	if err := decode(raw.Body, &some); err != nil {
		return err
	}
	if len(some.Looked) != len(p.at) {
		return model.Errorf(model.ErrInternal, "a look at %d places found %d", len(p.at), len(some.Looked))
	}
	all.Unit = some.Unit
	for i, at := range p.at {
		all.Looked[at] = some.Looked[i]
	}
	return nil
}

// fetch reads records of a table here, from its leaders, under the names that
// regions have among each other.
func (e *Engine) fetch(ctx context.Context, table model.ResourceID, keys [][]byte) (found records, err error) {
	for _, key := range keys {
		slot, err := e.service.CheckKey(table, key)
		if err != nil {
			return nil, err
		}
		q := model.ByKeyQuery{Keys: [][]byte{key}}
		res, err := e.read(ctx, &model.Query{Kind: model.QueryByKey, Resource: table, Slot: slot, Body: q.Append(nil)}, true)
		if err != nil {
			return nil, err
		}
		var one model.CopyResult
		if err := decode(res.Body, &one); err != nil {
			return nil, err
		}
		for i := range one.Changes {
			one.Changes[i].Rename(0, e.cluster.Catalog().Region())
			found = append(found, one.Changes[i])
		}
	}
	return found, nil
}
