package region

import (
	"cmp"
	"context"
	"slices"
	"time"

	"weir.dev/weir/internal/model"
)

// haveUnits makes the queues and streams that another region names, or brings
// their settings up to date while that region has the writes. The inbound
// link becomes passive unless this region has the writes itself: only one takes
// those of a queue or stream.
func (e *Engine) haveUnits(ctx context.Context, s *sender, body []byte) error {
	var req unitsRequest
	if err := decode(body, &req); err != nil {
		return err
	}
	if req.Epoch < s.spec.Epoch {
		return model.Errorf(model.ErrUnavailable, "this region has taken over the writes")
	}
	if !sameUnits(s.spec.Queues, s.spec.Streams, req.Queues, req.Streams) || !s.spec.Passive && e.follows(s, &req) {
		if err := e.noteUnits(ctx, s, &req); err != nil {
			return err
		}
	}
	follows := e.passiveTo(&s.spec)
	var ids []model.ResourceID
	for i := range req.Units {
		n := &req.Units[i]
		// While the writes move, neither region has them, and both say how the queue
		// or stream is: the region that had them last knows more.
		id, err := e.haveUnit(ctx, s, n, follows && (!req.Passive || e.knowsLess(n)))
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	c := e.cluster.Catalog()
	for i := range c.Tablets {
		if t := &c.Tablets[i]; t.Hi > t.Lo {
			if err := e.holdTombstones(ctx, s, t, ids); err != nil {
				return err
			}
		}
	}
	return nil
}

// noteUnits keeps with the inbound link what it selects.
func (e *Engine) noteUnits(ctx context.Context, s *sender, req *unitsRequest) error {
	r, ok := e.cluster.Catalog().ResourceByID(s.id)
	if !ok {
		return errKey
	}
	follow := e.follows(s, req)
	err := e.service.UpdateInbound(ctx, r.Name, func(spec *model.InboundSpec) error {
		spec.Queues, spec.Streams = req.Queues, req.Streams
		spec.Passive = spec.Passive || follow
		return nil
	})
	if err != nil {
		return err
	}
	if r, ok = e.cluster.Catalog().ResourceByID(s.id); !ok {
		return errKey
	}
	s.version = r.Version
	if s.spec, err = decodeInbound(r); err != nil {
		return err
	}
	return e.bringRole(ctx, r)
}

// follows reports whether this region is to follow the other one: what that names
// is not here yet, or this is the first that is heard of it and this region does
// not ship it there. A region that has no writes is not followed.
func (e *Engine) follows(s *sender, req *unitsRequest) bool {
	c := e.cluster.Catalog()
	missing := slices.ContainsFunc(req.Units, func(n namedUnit) bool {
		_, ok := c.Resource(n.Kind, n.Name)
		return !ok
	})
	first := len(s.spec.Queues)+len(s.spec.Streams) == 0
	return !req.Passive && (missing || first && !e.shipsAny(s.spec.Region, req))
}

// shipsAny reports whether a link to the region ships any of the queues and
// streams.
func (e *Engine) shipsAny(to model.RegionID, req *unitsRequest) bool {
	for r := range e.cluster.Catalog().Resources.Of(model.KindLink) {
		spec, err := decodeLink(r)
		if err != nil || spec.Region != to {
			continue
		}
		for i := range req.Units {
			if spec.Ships(&model.Resource{Kind: req.Units[i].Kind, Name: req.Units[i].Name}) {
				return true
			}
		}
		if len(req.Units) == 0 && sameUnits(req.Queues, req.Streams, spec.Queues, spec.Streams) {
			return true
		}
	}
	return false
}

// passiveTo reports whether the other region has the writes of what a link of it
// ships.
func (e *Engine) passiveTo(from *model.InboundSpec) bool {
	return slices.ContainsFunc(e.tiesLike(from), func(r *model.Resource) bool {
		is, err := passive(r)
		return err == nil && is
	})
}

// knowsLess reports whether this region's spec of a queue or stream is not newer
// than the one that another region names, of two of which one follows the other:
// shards are only ever added and closed.
func (e *Engine) knowsLess(n *namedUnit) bool {
	r, ok := e.cluster.Catalog().Resource(n.Kind, n.Name)
	if !ok {
		return true
	}
	if n.Kind == model.KindQueue {
		var here, there model.QueueSpec
		return decode(r.Spec, &here) == nil && decode(n.Spec, &there) == nil && here.ModifiedMs <= there.ModifiedMs
	}
	var here, there model.StreamSpec
	if decode(r.Spec, &here) != nil || decode(n.Spec, &there) != nil {
		return false
	}
	return cmp.Or(cmp.Compare(here.NextShard, there.NextShard), cmp.Compare(len(there.OpenShards()), len(here.OpenShards())), cmp.Compare(here.ModifiedMs, there.ModifiedMs)) <= 0
}

func (e *Engine) haveUnit(ctx context.Context, s *sender, n *namedUnit, follows bool) (model.ResourceID, error) {
	var err error
	switch n.Kind {
	case model.KindQueue:
		var spec model.QueueSpec
		if err = decode(n.Spec, &spec); err == nil {
			err = e.service.CopyQueue(ctx, n.Name, &spec, n.DeadLetters, follows)
		}
	case model.KindStream:
		var spec model.StreamSpec
		if err = decode(n.Spec, &spec); err == nil {
			var known bool
			if known, err = e.holds(ctx, s.id, n); err == nil {
				err = e.service.CopyStream(ctx, n.Name, &spec, follows, known)
			}
		}
	default:
		err = model.Errorf(model.ErrUnsupported, "this region does not know resources of kind %d; it may be older than the other", n.Kind)
	}
	if err != nil {
		return 0, err
	}
	return e.service.ResourceID(ctx, n.Kind, n.Name)
}

// holds reports whether an inbound link watches a resource already.
func (e *Engine) holds(ctx context.Context, inbound model.ResourceID, n *namedUnit) (bool, error) {
	r, ok := e.cluster.Catalog().Resource(n.Kind, n.Name)
	t, led := e.cluster.Catalog().TabletOf(0)
	if !ok || !led {
		return false, nil
	}
	s, err := e.strongState(ctx, inbound, t)
	return slices.ContainsFunc(s.Tables, func(w model.WatchedTable) bool { return w.Table == r.ID }), err
}

// takeInUnits applies a batch of changes of queues and streams.
func (e *Engine) takeInUnits(ctx context.Context, from *model.InboundSpec, packed []byte) ([]byte, error) {
	var b unitBatch
	now, err := e.unpackBatch(packed, &b)
	if err != nil {
		return nil, err
	}
	var all unitsApplied
	if b.Epoch < from.Epoch {
		all.Fenced = from.Epoch
		return all.Append(nil), nil
	}
	for i := range b.Units {
		need, err := e.takeInUnit(ctx, from, &b.Units[i], now)
		if err != nil {
			return nil, err
		}
		all.Needs = append(all.Needs, need)
	}
	return all.Append(nil), nil
}

// takeInUnit applies the changes of one unit.
func (e *Engine) takeInUnit(ctx context.Context, from *model.InboundSpec, u *unitChanges, now time.Time) (model.UnitNeed, error) {
	id, err := e.service.ResourceID(ctx, u.Kind, u.Name)
	if err != nil {
		return 0, err
	}
	c := e.cluster.Catalog()
	r, ok := c.ResourceByID(id)
	if !ok {
		return 0, model.Errorf(model.ErrUnavailable, "this node has not received the catalog yet")
	}
	cmd := model.ApplyUnit{Self: c.Region(), From: from.Region, Changes: u.Changes}
	slot, err := placeUnit(r, u.Index, &cmd)
	if err != nil {
		return 0, err
	}
	for i := range u.Changes {
		if err := e.checkUnit(u, &u.Changes[i], now, from); err != nil {
			return 0, err
		}
	}
	if open, err := shardOpen(r, u.Index); err != nil || !open {
		for i := range cmd.Changes {
			if err == nil && cmd.Changes[i].Own {
				err = e.putElsewhere(ctx, r, cmd.Shard, &cmd.Changes[i])
			}
		}
		if err != nil {
			return 0, err
		}
	}
	for {
		did, err := e.applyUnit(ctx, r, slot, &cmd)
		if err != nil || did.Need != model.UnitClosed {
			return did.Need, err
		}
		// It stopped before the first change that it could not add.
		if cmd.Changes = cmd.Changes[min(did.Applied+did.Known, uint64(len(cmd.Changes)-1)):]; ctx.Err() != nil {
			return did.Need, ctx.Err()
		}
		if err := e.putElsewhere(ctx, r, cmd.Shard, &cmd.Changes[0]); err != nil {
			return did.Need, err
		}
	}
}

// shardOpen reports whether a stream's shard is there and takes records; slots of
// queues always are.
func shardOpen(r *model.Resource, index uint64) (bool, error) {
	var spec model.StreamSpec
	if r.Kind != model.KindStream {
		return true, nil
	}
	err := decode(r.Spec, &spec)
	sh, ok := spec.Shard(model.ShardNumber(index))
	return ok && sh.Open(), err
}

// applyUnit proposes the command.
func (e *Engine) applyUnit(ctx context.Context, r *model.Resource, slot model.Slot, body *model.ApplyUnit) (did model.ApplyUnitResult, err error) {
	cmd := &model.Command{Kind: model.CmdApplyUnit, Resource: r.ID, Slot: slot, Body: body.Append(nil)}
	for i := range body.Changes {
		cmd.Stamp = max(cmd.Stamp, body.Changes[i].Version.Stamp+1)
	}
	res, err := e.propose(ctx, cmd)
	if err != nil {
		return did, err
	}
	switch res.Status {
	case model.StatusOK:
		return did, decode(res.Body, &did)
	case model.StatusGone:
		return did, model.Errorf(model.ErrNotFound, "%s was deleted", r.Name)
	default:
		return did, model.Errorf(model.ErrUnavailable, "changes of %s were refused with status %d", r.Name, res.Status)
	}
}

// placeUnit says where a unit is here, and fills in what its command needs.
func placeUnit(r *model.Resource, index uint64, cmd *model.ApplyUnit) (model.Slot, error) {
	if r.Kind == model.KindStream {
		cmd.Stream, cmd.Shard = true, model.ShardNumber(index)
		return model.ShardSlot(r.ID, cmd.Shard), nil
	}
	var spec model.QueueSpec
	if err := decode(r.Spec, &spec); err != nil {
		return 0, err
	}
	slots := model.QueueSlots(r.ID, spec.Partitions)
	if index >= uint64(len(slots)) {
		return 0, model.Errorf(model.ErrValidation, "the queue %s has other slots there than here", r.Name)
	}
	cmd.Settings = spec.Settings()
	return slots[index], nil
}

// checkUnit holds a change to what the tablet takes for granted, and gives the
// queues that messages died in the ids that they have here.
func (e *Engine) checkUnit(u *unitChanges, c *model.UnitChange, now time.Time, from *model.InboundSpec) error {
	if ahead := c.Version.Stamp.Time().Sub(now); ahead > maxClockLead {
		return model.Errorf(model.ErrUnavailable, "a clock of the region %s is %v ahead: set the clocks of all nodes", from.RegionName, ahead.Round(time.Second))
	}
	if c.Version.Region == 0 && c.Version.Stamp != 0 || slices.ContainsFunc(c.History, func(v model.Version) bool { return v.Region == 0 }) {
		return model.Errorf(model.ErrValidation, "a change is malformed")
	}
	if len(c.Body) == 0 && c.Page == nil && c.Version == c.Follows {
		return nil // it says only what is there
	}
	if u.Kind == model.KindStream {
		var change model.ShardChange
		return decode(c.Body, &change)
	}
	var change model.QueueChange
	if err := decode(c.Body, &change); err != nil {
		return err
	}
	for _, ms := range [][]model.UnitMessage{change.Added, change.Mended} {
		for i := range ms {
			var m model.Message
			if err := decode(ms[i].Message, &m); err != nil {
				return err
			}
			if m.DeadFrom == 0 {
				continue
			}
			m.DeadFrom = e.deadFrom(u, m.DeadFrom)
			ms[i].Message = m.Append(nil)
		}
	}
	c.Body = change.Append(nil)
	return nil
}

// deadFrom is the id here of a queue of the sender's. One that is not here keeps
// being none that is: a message that died is not an ordinary one.
func (e *Engine) deadFrom(u *unitChanges, there model.ResourceID) model.ResourceID {
	for _, s := range u.Sources {
		if s.ID != there {
			continue
		}
		if r, ok := e.cluster.Catalog().Resource(model.KindQueue, s.Name); ok {
			return r.ID
		}
	}
	return unknownQueue
}

// unknownQueue is the id of no resource.
const unknownQueue = ^model.ResourceID(0)

// endShards ends what other regions had ended of the streams that they shipped
// here, when this one takes their writes.
func (e *Engine) endShards(ctx context.Context, ties []*model.Resource) error {
	c := e.cluster.Catalog()
	for r := range c.Resources.Of(model.KindStream) {
		if !slices.ContainsFunc(ties, func(tie *model.Resource) bool { return shipsUnit(tie, r) }) {
			continue
		}
		if err := e.service.EndShards(ctx, r.ID); err != nil {
			return err
		}
	}
	return nil
}

// shipsUnit reports whether a link or an inbound link ships a queue or stream.
func shipsUnit(tie, r *model.Resource) bool {
	if tie.Kind == model.KindLink {
		spec, err := decodeLink(tie)
		return err == nil && spec.Ships(r)
	}
	spec, err := decodeInbound(tie)
	return err == nil && spec.Ships(r)
}
