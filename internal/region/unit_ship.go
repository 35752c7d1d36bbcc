package region

import (
	"cmp"
	"fmt"
	"slices"

	"weir.dev/weir/internal/model"
)

// Queues and streams are shipped unit by unit (model.UnitKey). A change is taken
// in there only by a unit that holds just what it follows; when one does not, it
// is copied anew. What happens to a unit before its copy has begun is not
// shipped: the copy is read later.

// unit is a unit as both regions name it, and where it is here.
type unit struct {
	index uint64 // of the slot among the queue's, or the shard
	slot  model.Slot
}

// unitsOf lists a queue's or stream's units in slots [lo, hi).
func unitsOf(r *model.Resource, lo, hi uint32) (all []unit, err error) {
	within := func(s model.Slot) bool { return uint32(s) >= lo && uint32(s) < hi }
	switch r.Kind {
	case model.KindQueue:
		var spec model.QueueSpec
		if err := decode(r.Spec, &spec); err != nil {
			return nil, err
		}
		for i, slot := range model.QueueSlots(r.ID, spec.Partitions) {
			if within(slot) {
				all = append(all, unit{uint64(i), slot})
			}
		}
	case model.KindStream:
		var spec model.StreamSpec
		if err := decode(r.Spec, &spec); err != nil {
			return nil, err
		}
		for i := range spec.Shards {
			n := spec.Shards[i].Number
			if slot := model.ShardSlot(r.ID, n); within(slot) {
				all = append(all, unit{uint64(n), slot})
			}
		}
	}
	return all, nil
}

// unitPlace is how far the copy of a queue or stream has come in a tablet: the
// unit, and the number in it up to which it was copied.
type unitPlace struct{ index, after uint64 }

func (p unitPlace) append() []byte {
	return model.AppendUvarint(model.AppendUvarint(nil, p.index), p.after)
}

func (c *copying) place() (p unitPlace) {
	d := model.NewDecoder(c.after)
	p.index, p.after = d.Uvarint(), d.Uvarint()
	return p // of a note that was not begun all is zero
}

// begun reports whether the copy of a unit has begun, or is done.
func (c *copying) begun(index uint64) bool {
	p := c.place()
	return c.done || c.filter != 0 && (index < p.index || index == p.index && p.after > 0)
}

// isUnits reports whether resources of a kind are shipped by units.
func isUnits(kind model.ResourceKind) bool {
	return kind == model.KindQueue || kind == model.KindStream
}

// tellUnits has the other region have queues and streams, as they are now, and
// know what the link selects, also when there is none yet.
func (w *worker) tellUnits(j *job, rs []model.Resource) error {
	c := w.engine.cluster.Catalog()
	if len(rs) == 0 && !w.named && j.spec.ShipsUnits() {
		req := unitsRequest{Epoch: j.spec.Epoch, Passive: w.passive, Queues: j.spec.Queues, Streams: j.spec.Streams}
		if _, err := w.call(j, OpUnits, req.Append(nil)); err != nil {
			return err
		}
	}
	w.named = true
	slices.SortStableFunc(rs, func(a, b model.Resource) int { return cmp.Compare(redrives(&a), redrives(&b)) })
	for part := range slices.Chunk(rs, tablesAtOnce) {
		req := unitsRequest{Epoch: j.spec.Epoch, Passive: w.passive, Queues: j.spec.Queues, Streams: j.spec.Streams}
		for i := range part {
			n := namedUnit{Kind: part[i].Kind, Name: part[i].Name, Spec: part[i].Spec}
			var spec model.QueueSpec
			if n.Kind == model.KindQueue && decode(n.Spec, &spec) == nil {
				if dead, ok := c.ResourceByID(spec.Redrive.DeadLetters); ok {
					n.DeadLetters = dead.Name
				}
			}
			req.Units = append(req.Units, n)
		}
		if _, err := w.call(j, OpUnits, req.Append(nil)); err != nil {
			return err
		}
		for i := range part {
			w.told[part[i].ID] = part[i].Version
		}
	}
	return nil
}

// keepPassive learns whether this region has the writes of what the link ships. A
// region that has not tells of queues and streams as it knows them, which is not
// how the other one is to have them: when it gets the writes, it tells them anew.
func (w *worker) keepPassive(j *job) {
	from := model.InboundSpec{Region: j.spec.Region, Queues: j.spec.Queues, Streams: j.spec.Streams}
	if is := w.engine.passiveTo(&from); is != w.passive {
		w.passive, w.named = is, false
		clear(w.told)
	}
}

// redrives is 1 for a queue that has a dead-letter queue, which has to be there
// first.
func redrives(r *model.Resource) int {
	var spec model.QueueSpec
	if r.Kind == model.KindQueue && decode(r.Spec, &spec) == nil && spec.Redrive.DeadLetters != 0 {
		return 1
	}
	return 0
}

// addUnit puts a change of a unit into the batch. It reports false when the
// other region has to hear of the shard first.
func (w *worker) addUnit(j *job, out *unitBatch, r *model.Resource, e *model.LoggedChange) (bool, error) {
	key, ok := model.ParseUnitKey(e.Key)
	c, watched := w.table(r.ID)
	if !ok || !watched {
		return watched, model.ErrCorrupt
	}
	index := uint64(key.Shard)
	if r.Kind == model.KindQueue {
		all, err := unitsOf(r, 0, model.SlotCount)
		at := slices.IndexFunc(all, func(u unit) bool { return u.slot == key.Slot })
		if err != nil || at < 0 {
			return true, cmp.Or(err, model.ErrCorrupt)
		}
		index = all[at].index
	}
	change := model.UnitChange{Version: e.Version, Body: e.Item, Own: j.spec.Passive && e.Version.Region == 0}
	if r.Kind == model.KindStream && !change.Own { // what is held may be of shards that no region has any more
		if known, err := knowsShard(r, key.Shard); err != nil || !known || w.told[r.ID] != r.Version {
			return false, err
		}
	}
	if len(e.History) > 0 {
		change.Follows = e.History[0]
	}
	change.Rename(0, w.engine.cluster.Catalog().Region())
	if change.Own && r.Kind == model.KindQueue {
		if err := w.withoutGone(j, r.ID, key.Slot, &change); err != nil {
			return true, err
		}
	}
	if change.Version.Region != j.spec.Region && (c.begun(index) || change.Own) {
		w.put(out, r, index, &change)
	}
	return true, nil
}

// learnShards has the next step choose by a catalog that knows the shards of
// what is to be shipped, unless there was an error.
func (w *worker) learnShards(err error) error {
	if err != nil {
		return err
	}
	if err := w.engine.cluster.SyncCatalog(w.ctx); err != nil {
		return err
	}
	w.selected = 0
	return nil
}

func knowsShard(r *model.Resource, n model.ShardNumber) (bool, error) {
	var spec model.StreamSpec
	err := decode(r.Spec, &spec)
	return spec.Forgot(n) || slices.ContainsFunc(spec.Shards, func(s model.Shard) bool { return s.Number == n }), err
}

// put puts a change behind those of its unit.
func (w *worker) put(out *unitBatch, r *model.Resource, index uint64, change *model.UnitChange) {
	at := slices.IndexFunc(out.Units, func(u unitChanges) bool { return u.Kind == r.Kind && u.Name == r.Name && u.Index == index })
	if at < 0 {
		at = len(out.Units)
		out.Units = append(out.Units, unitChanges{Kind: r.Kind, Name: r.Name, Index: index})
	}
	u := &out.Units[at]
	u.Changes = append(u.Changes, *change)
	if r.Kind == model.KindQueue {
		w.nameSources(u, change.Body)
	}
}

// nameSources notes the names of the queues that messages died in.
func (w *worker) nameSources(u *unitChanges, body []byte) {
	var change model.QueueChange
	if decode(body, &change) != nil {
		return
	}
	for _, added := range slices.Concat(change.Added, change.Mended) {
		var m model.Message
		if decode(added.Message, &m) != nil || m.DeadFrom == 0 ||
			slices.ContainsFunc(u.Sources, func(s deadQueue) bool { return s.ID == m.DeadFrom }) {
			continue
		}
		if r, ok := w.engine.cluster.Catalog().ResourceByID(m.DeadFrom); ok {
			u.Sources = append(u.Sources, deadQueue{r.ID, r.Name})
		}
	}
}

// heldUnit says in words what a change did to a unit.
func heldUnit(kind model.ResourceKind, c *model.Change) string {
	if kind == model.KindStream {
		var change model.ShardChange
		key, _ := model.ParseUnitKey(c.Key)
		records := uint64(0)
		if decode(c.Item, &change) == nil && len(change.Blocks) > 0 {
			records = change.State.Next - change.Blocks[0].First
		}
		return fmt.Sprintf("%v: %d records put", key.Shard, records)
	}
	var change model.QueueChange
	if decode(c.Item, &change) != nil {
		return "malformed"
	}
	if change.Purged {
		return "purged"
	}
	return fmt.Sprintf("%d messages sent, %d gone", len(change.Added), len(change.Gone))
}

// sendUnits has the other region apply a batch, and returns what is needed of
// each unit.
func (w *worker) sendUnits(j *job, b *unitBatch) ([]model.UnitNeed, error) {
	b.Epoch = j.spec.Epoch
	packed, err := pack(b.Append(nil))
	if err != nil {
		return nil, err
	}
	w.charge(j, len(packed))
	raw, err := w.call(j, OpApplyUnits, packed)
	if err != nil {
		return nil, err
	}
	var did unitsApplied
	if err := decode(raw, &did); err != nil {
		return nil, err
	}
	if did.Fenced != 0 {
		if err := w.engine.fence(w.ctx, j.link, did.Fenced); err != nil {
			return nil, err
		}
		return nil, errHeld
	}
	if len(did.Needs) != len(b.Units) {
		return nil, model.Errorf(model.ErrInternal, "the other region answers of other queues and streams: it may be of another version")
	}
	return did.Needs, nil
}

// shipUnits ships changes, and begins the copies of the units that need it.
func (w *worker) shipUnits(j *job, b *unitBatch) error {
	if len(b.Units) == 0 {
		return nil
	}
	needs, err := w.sendUnits(j, b)
	if err != nil {
		return err
	}
	c := w.engine.cluster.Catalog()
	for i, need := range needs {
		u := &b.Units[i]
		if need != model.UnitAgain {
			if err := unitProblem(need, u); err != nil {
				return err
			}
			continue
		}
		r, ok := c.Resource(u.Kind, u.Name)
		if !ok {
			continue
		}
		if t, ok := w.table(r.ID); ok {
			if err := w.copyAnew(j, t); err != nil {
				return err
			}
		}
	}
	return nil
}

// unitProblem is why what is needed keeps a unit from being shipped; nil when it
// does not.
func unitProblem(need model.UnitNeed, u *unitChanges) error {
	what := "queue"
	if u.Kind == model.KindStream {
		what = "stream"
	}
	switch need {
	case model.UnitActive:
		return model.Errorf(model.ErrUnavailable, "the %s %s takes writes in the other region, too: only one may have them; weir region role ... passive there", what, u.Name)
	case model.UnitFilled:
		return model.Errorf(model.ErrUnavailable, "the %s %s holds something in the other region that this one does not know of: delete it there, or make its content known by a link back", what, u.Name)
	default:
		return nil
	}
}

// copyAnew begins the copy of a queue or stream in this tablet again.
func (w *worker) copyAnew(j *job, c *copying) error {
	next := copying{id: c.id, kind: c.kind}
	if err := w.watch(j, c.id, w.watchOf(j, &next)); err != nil {
		return err
	}
	*c = next
	return nil
}

// copyUnit ships a page of the first unit that is not copied yet.
func (w *worker) copyUnit(j *job, c *copying) error {
	r, ok := w.engine.cluster.Catalog().ResourceByID(c.id)
	if !ok {
		w.selected = 0
		return nil
	}
	all, err := unitsOf(r, j.lo, j.hi)
	if err != nil {
		return err
	}
	next, p := *c, c.place()
	if next.filter == 0 {
		next.filter, p = uint64(w.engine.clock.Now().UnixNano()), unitPlace{} // the copy's number
	}
	all = slices.DeleteFunc(all, func(u unit) bool { return u.index < p.index })
	if len(all) == 0 {
		next.done, next.after = true, nil
	} else {
		if all[0].index != p.index {
			p = unitPlace{index: all[0].index}
		}
		again, err := w.copyUnitPage(j, r, all[0], &p, next.filter)
		if err != nil {
			return err
		}
		if again {
			return w.copyAnew(j, c)
		}
		next.after = p.append()
	}
	if err := w.watch(j, c.id, w.watchOf(j, &next)); err != nil {
		return err
	}
	*c = next
	return nil
}

// copyUnitPage ships the page behind a place and moves that; again says that the
// copy has to begin anew.
func (w *worker) copyUnitPage(j *job, r *model.Resource, u unit, p *unitPlace, run uint64) (again bool, err error) {
	read := w.engine.clock.Now()
	q := model.UnitQuery{Tablet: j.tablet, After: p.after, MaxBytes: copyBytes}
	if r.Kind == model.KindStream {
		q.Stream, q.Shard = true, model.ShardNumber(u.index)
	}
	res, err := w.engine.read(w.ctx, &model.Query{Kind: model.QueryUnit, Resource: r.ID, Slot: u.slot, Body: q.Append(nil)}, false)
	if err != nil {
		return false, err
	}
	if res.Status != model.StatusOK {
		return false, model.Errorf(model.ErrUnavailable, "%s is not here itself yet", r.Name)
	}
	var page model.UnitChange
	if err := decode(res.Body, &page); err != nil {
		return false, err
	}
	page.Page.Run, page.Own = run, j.spec.Passive
	page.Rename(0, w.engine.cluster.Catalog().Region())
	out := unitBatch{ReadMs: read.UnixMilli()}
	w.put(&out, r, u.index, &page)
	needs, err := w.sendUnits(j, &out)
	if err != nil {
		return false, err
	}
	switch need := needs[0]; {
	case need == model.UnitHas, need == model.UnitFine && page.Page.Last:
		*p = unitPlace{index: u.index + 1}
	case need == model.UnitFine:
		p.after = page.Page.UpTo
	case need != model.UnitRetry && need != model.UnitAgain:
		return false, unitProblem(need, &out.Units[0])
	default:
		return need == model.UnitAgain, nil
	}
	return false, nil
}
