package region

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"strconv"
	"time"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// A failover moves the writes of a link's tables from the region that ships
// them to the other one. Planned, nothing is lost: this side is made passive,
// which is a place in every tablet's log; what is before it is shipped, and then
// the other side is made active. Forced, at the side that survives, it cannot
// ask the old one: so it counts an epoch further and takes nothing in from who
// has not heard of that. The old one learns it from the answer to its next
// report or message, becomes passive, and keeps what it had not shipped until
// somebody lets it (Rejoin): then it is merged as two regions' writes always are.

// Switch is what a failover did.
type Switch struct {
	Refused time.Duration // how long neither region took writes, as seen from here
	Shipped uint64        // changes that were drained meanwhile
	Lost    Heard         // of a forced one: what is known not to have arrived
	Epoch   uint64        // of a forced one
}

const (
	// failoverPatience bounds how long writes are refused before a planned
	// failover gives up and takes them here again.
	failoverPatience = 10 * time.Second
	// backPatience bounds the wait for a link back before a planned failover.
	backPatience = 15 * time.Second
)

// FailOver moves the writes of a link's tables to the other region, with
// nothing lost. When it fails this region takes writes as before, unless the
// error says otherwise. Errors: ErrNotFound, ErrValidation when the link is not
// fit for it.
func (e *Engine) FailOver(ctx context.Context, name string) (s Switch, err error) {
	st, err := e.settled(ctx, name)
	if err != nil {
		return s, err
	}
	if err := fitForFailover(&st); err != nil {
		return s, err
	}
	r, err := e.service.GetTied(ctx, model.KindLink, name)
	if err != nil {
		return s, err
	}
	if err := e.haveBack(ctx, r, &st.Spec); err != nil {
		return s, err
	}
	began := e.clock.Now()
	if s.Shipped, err = e.handOver(ctx, name, r.ID); err != nil {
		if st.Spec.Passive {
			return s, err // this region did not have the writes, or gave them away by an earlier try
		}
		// Nobody was promoted: writes go on here.
		ctx, cancel := e.within(context.WithoutCancel(ctx), clusterTimeout)
		defer cancel()
		if back := e.SetPassive(ctx, name, false); back != nil {
			return s, model.Errorf(model.ErrInternal, "%v; and this region could not be made active again (%v): weir region role %s active", err, back, name)
		}
		return s, err
	}
	if err := e.promote(ctx, r.ID, &st.Spec); err != nil {
		return s, model.Errorf(model.ErrUnknownOutcome, "the other region may have taken over and did not say so: %v. This region takes no writes of these tables; run the failover again, or weir region role %s active here if the other one did not", err, name)
	}
	s.Refused = e.clock.Now().Sub(began)
	return s, nil
}

// settled describes a link, after a wait for a first copy to end, and for what
// kept the link from getting through a moment ago to be tried again.
func (e *Engine) settled(ctx context.Context, name string) (Status, error) {
	wait, cancel := e.within(ctx, backPatience)
	defer cancel()
	for {
		st, err := e.Describe(ctx, name)
		busy := (st.Copying > 0 || st.Problem != "") && !st.Spec.Held && !st.Spec.Paused && st.Spec.Mode != model.LinkManual && st.Spec.Where == ""
		if err != nil || !busy || !e.sleep(wait, superviseEvery) {
			return st, err
		}
	}
}

func fitForFailover(st *Status) error {
	switch {
	case st.Spec.Held:
		return model.Errorf(model.ErrValidation, "the link %s holds changes back since the other region took over: weir region rejoin %s merges them", st.Name, st.Name)
	case st.Spec.Paused || st.Spec.Mode == model.LinkManual:
		return model.Errorf(model.ErrValidation, "the link %s does not ship by itself: a planned failover needs a link that is not manual and not paused", st.Name)
	case st.Spec.Where != "":
		return model.Errorf(model.ErrValidation, "the link %s ships a part of the items: the other region cannot take over all of them", st.Name)
	case st.Copying > 0:
		return model.Errorf(model.ErrUnavailable, "the first copy of %d parts of what it ships is not done yet", st.Copying)
	case st.Problem != "":
		return model.Errorf(model.ErrUnavailable, "the link %s does not get through: %s", st.Name, st.Problem)
	}
	return nil
}

// handOver refuses writes here and ships everything that was written before. It
// returns how many changes that were.
func (e *Engine) handOver(ctx context.Context, name string, link model.ResourceID) (shipped uint64, err error) {
	ctx, cancel := e.within(ctx, failoverPatience)
	defer cancel()
	if err := e.SetPassive(ctx, name, true); err != nil {
		return 0, err
	}
	st, err := e.Describe(ctx, name)
	if err != nil {
		return 0, err
	}
	ends, err := e.lastNumbers(ctx, link)
	if err != nil {
		return 0, err
	}
	for {
		done, err := e.shippedUpTo(ctx, link, ends)
		if err != nil {
			return 0, err
		}
		if done {
			break
		}
		if !e.sleep(ctx, 5*time.Millisecond) {
			return 0, model.Errorf(model.ErrUnavailable, "the link did not ship everything within %v", failoverPatience)
		}
	}
	last, err := e.Describe(ctx, name) // a table may have come meanwhile
	if err == nil && last.Copying > 0 {
		err = model.Errorf(model.ErrUnavailable, "something was created meanwhile and is not copied yet; try again")
	}
	return st.LagChanges, err
}

// promote has the other region take writes. It may be asked again.
func (e *Engine) promote(ctx context.Context, link model.ResourceID, spec *model.LinkSpec) (err error) {
	ctx, cancel := e.within(ctx, failoverPatience)
	defer cancel()
	number := uint64(0)
	if r, ok := e.cluster.Catalog().ResourceByID(link); ok {
		number = r.Version
	}
	for {
		if _, err = e.call(ctx, link, spec, OpPromote, model.AppendUvarint(nil, number)); err == nil || !e.sleep(ctx, firstRetry) {
			return err
		}
	}
}

// promoted makes what links and inbound links ship active here.
func (e *Engine) promoted(ctx context.Context, ties []*model.Resource) error {
	for _, r := range ties {
		if err := e.SetPassive(ctx, r.Name, false); err != nil {
			return err
		}
	}
	return e.endShards(ctx, ties)
}

// takeOver answers a request to take the writes. One that comes late or twice
// does nothing: they may have gone back meanwhile.
func (e *Engine) takeOver(ctx context.Context, s *sender, body []byte) error {
	d := model.NewDecoder(body)
	number := d.Uvarint()
	if err := d.Done(); err != nil {
		return err
	}
	if err := e.cluster.SyncCatalog(ctx); err != nil { // another node may have done it
		return err
	}
	now, ok := e.cluster.Catalog().ResourceByID(s.id)
	if !ok {
		return errKey
	}
	spec, err := decodeInbound(now)
	if err != nil || number <= spec.Promoted {
		return err
	}
	ties := e.tiesLike(&spec)
	if err := e.mayPromote(ties); err != nil {
		return err
	}
	if err := e.promoted(ctx, ties); err != nil {
		return err
	}
	return e.service.UpdateInbound(ctx, now.Name, func(spec *model.InboundSpec) error {
		spec.Promoted = max(spec.Promoted, number)
		return nil
	})
}

// tiesLike lists those of the links and inbound links to a region that ship the
// same queues and streams as one of them: what moves its writes together with it.
func (e *Engine) tiesLike(from *model.InboundSpec) []*model.Resource {
	return slices.DeleteFunc(e.tiesTo(from.Region), func(r *model.Resource) bool {
		if r.Kind == model.KindLink {
			spec, err := decodeLink(r)
			return err != nil || !sameUnits(from.Queues, from.Streams, spec.Queues, spec.Streams)
		}
		spec, err := decodeInbound(r)
		return err != nil || !sameUnits(from.Queues, from.Streams, spec.Queues, spec.Streams)
	})
}

// mayPromote refuses to take the writes of queues and streams while what this
// region had not shipped, when they were taken from it, is held: what is written
// here now would come before it.
func (e *Engine) mayPromote(ties []*model.Resource) error {
	for _, r := range ties {
		if r.Kind != model.KindLink {
			continue
		}
		if spec, err := decodeLink(r); err == nil && spec.Held && spec.ShipsUnits() {
			return model.Errorf(model.ErrValidation, "the link %s of the other region holds back what it had not shipped: weir region rejoin %s there first", r.Name, r.Name)
		}
	}
	return nil
}

// tiesTo lists the links and inbound links to a region.
func (e *Engine) tiesTo(region model.RegionID) (ties []*model.Resource) {
	c := e.cluster.Catalog()
	for r := range c.Resources.Of(model.KindLink) {
		if spec, err := decodeLink(r); err == nil && spec.Region == region {
			ties = append(ties, r)
		}
	}
	for r := range c.Resources.Of(model.KindInbound) {
		if spec, err := decodeInbound(r); err == nil && spec.Region == region {
			ties = append(ties, r)
		}
	}
	return ties
}

// haveBack sees to it that the other region ships back, so that this one goes on
// with it after the failover.
func (e *Engine) haveBack(ctx context.Context, link *model.Resource, spec *model.LinkSpec) error {
	ctx, cancel := e.within(ctx, backPatience)
	defer cancel()
	raw, err := e.call(ctx, link.ID, spec, OpDrained, nil)
	if err != nil {
		return err
	}
	var there drainedAnswer
	if err := decode(raw, &there); err != nil || there.Back {
		return err
	}
	c := e.cluster.Catalog()
	req := backRequest{Addr: e.addresses(c), Authority: e.authority, Tables: spec.Tables, Queues: spec.Queues, Streams: spec.Streams}
	name := "back-" + link.Name
	if r, err := e.service.GetTied(ctx, model.KindInbound, name); err == nil {
		invited, err := decodeInbound(r)
		if err != nil {
			return err
		}
		req.TokenHash = invited.TokenHash // of an earlier try
	} else {
		_, _ = rand.Read(req.TokenHash[:]) // crypto/rand.Read never fails: it ends the process instead
		if err := e.Invite(ctx, name, req.TokenHash, followLife); err != nil {
			return err
		}
	}
	_, err = e.call(ctx, link.ID, spec, OpShipBack, req.Append(nil))
	return err
}

// shipBack opens a link to the region that an inbound link comes from.
func (e *Engine) shipBack(ctx context.Context, s *sender, body []byte) error {
	var req backRequest
	if err := decode(body, &req); err != nil {
		return err
	}
	if _, there := e.linkTo(&s.spec); there {
		return nil
	}
	r, ok := e.cluster.Catalog().ResourceByID(s.id)
	if !ok {
		return errKey
	}
	return e.Add(ctx, &Settings{
		Name: "back-" + r.Name, To: req.Addr, Authority: req.Authority, TokenHash: req.TokenHash, Mode: model.LinkAsync, Tables: req.Tables, Queues: req.Queues, Streams: req.Streams,
		Key: sha256.Sum256(append([]byte("weir back\x00"), req.TokenHash[:]...)),
	})
}

// ForceOver has this region, of a link or an inbound link, take the writes
// although the other one cannot be asked. What that one had not shipped is kept
// there. While this region itself still holds back what it had not shipped when
// the other one took the writes from it, they are not taken, unless despiteHeld is
// set: then those of tables stay held, and of queues and streams those are given
// up that are no longer in the copy here. Errors: ErrNotFound, ErrValidation when
// nothing is shipped from there, ErrInUse when changes are held.
func (e *Engine) ForceOver(ctx context.Context, name string, despiteHeld bool) (s Switch, err error) {
	region, err := e.regionOf(ctx, name)
	if err != nil {
		return s, err
	}
	if !despiteHeld {
		if err := e.holdsNothing(ctx, region); err != nil {
			return s, err
		}
	}
	ins, err := e.Inbounds(ctx)
	if err != nil {
		return s, err
	}
	found := false
	for i := range ins {
		if ins[i].Spec.Region != region {
			continue
		}
		found, s.Lost = true, ins[i].Heard
		err := e.service.UpdateInbound(ctx, ins[i].Name, func(spec *model.InboundSpec) error {
			spec.Epoch++
			s.Epoch = spec.Epoch
			return nil
		})
		if err != nil {
			return s, err
		}
	}
	if !found {
		return s, model.Errorf(model.ErrValidation, "nothing is shipped here from the region of %s", name)
	}
	return s, e.promoted(ctx, e.tiesTo(region))
}

// maxHeldCounted bounds how many held changes are counted.
const maxHeldCounted = 1000

// holdsNothing refuses while a link to the region holds changes back.
func (e *Engine) holdsNothing(ctx context.Context, region model.RegionID) error {
	for r := range e.cluster.Catalog().Resources.Of(model.KindLink) {
		spec, err := decodeLink(r)
		if err != nil || spec.Region != region || !spec.Held {
			continue
		}
		held := 0
		err = e.EachHeld(ctx, r.Name, maxHeldCounted, func(string, string, *model.LoggedChange) error {
			held++
			return nil
		})
		if err != nil {
			return err
		}
		if held > 0 {
			return heldError(r.Name, held)
		}
	}
	return nil
}

func heldError(link string, held int) error {
	count := strconv.Itoa(held)
	if held == maxHeldCounted {
		count += " or more"
	}
	return model.Errorf(model.ErrInUse, "the link %[1]s still holds back changes of this region, %[2]s of them, that had not arrived when the other one took the writes: weir region held %[1]s shows them, weir region rejoin %[1]s merges them there. With --despite-held this region takes the writes all the same: those of tables stay held until rejoin, those of queues and streams are given up where the copy here was replaced", link, count)
}

// regionOf is the other region of a link or an inbound link.
func (e *Engine) regionOf(ctx context.Context, name string) (model.RegionID, error) {
	r, err := e.tied(ctx, name)
	if err != nil {
		return 0, err
	}
	if r.Kind == model.KindLink {
		spec, err := decodeLink(r)
		return spec.Region, err
	}
	spec, err := decodeInbound(r)
	return spec.Region, err
}

// fence is what a sender does that hears of a later epoch: the other region has
// taken the writes over.
func (e *Engine) fence(ctx context.Context, link model.ResourceID, epoch uint64) error {
	r, ok := e.cluster.Catalog().ResourceByID(link)
	if !ok {
		return nil
	}
	err := e.service.UpdateLink(ctx, r.Name, func(s *model.LinkSpec) error {
		if s.Epoch < epoch {
			s.Epoch, s.Passive, s.Held = epoch, true, true
		}
		return nil
	})
	if err == nil {
		e.log.Error("the other region has taken over the writes of a link's tables; what was not shipped is kept: weir region held, weir region rejoin", "link", r.Name)
	}
	return err
}

// Rejoin lets a link ship again what it held back since the other region took
// over. This region stays passive. Errors: ErrNotFound.
func (e *Engine) Rejoin(ctx context.Context, name string) error {
	return e.service.UpdateLink(ctx, name, func(s *model.LinkSpec) error {
		s.Held = false
		return nil
	})
}

// EachHeld calls f for what a link has not shipped, tablet by tablet, until limit
// changes were shown, with the table's name and the key as text.
func (e *Engine) EachHeld(ctx context.Context, name string, limit int, f func(table, key string, c *model.LoggedChange) error) error {
	r, err := e.service.GetTied(ctx, model.KindLink, name)
	if err != nil {
		return err
	}
	spec, err := decodeLink(r)
	if err != nil {
		return err
	}
	c := e.cluster.Catalog()
	for i := range c.Tablets {
		t := &c.Tablets[i]
		if t.Hi <= t.Lo {
			continue
		}
		s, err := e.strongState(ctx, r.ID, t)
		if err != nil {
			return err
		}
		for after := s.UpTo; limit > 0; {
			q := model.ChangesQuery{Tablet: t.ID, After: after, MaxBytes: shipBytes}
			res, err := e.read(ctx, &model.Query{Kind: model.QueryChanges, Slot: model.Slot(t.Lo), Body: q.Append(nil)}, true)
			if err != nil {
				return err
			}
			var log model.ChangesResult
			if err := decode(res.Body, &log); err != nil {
				return err
			}
			if len(log.Changes) == 0 {
				break
			}
			after = log.Changes[len(log.Changes)-1].Number
			if limit, err = showHeld(c, &spec, log.Changes, limit, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// showHeld shows those of a link's changes that it would ship.
func showHeld(c *model.Catalog, spec *model.LinkSpec, log []model.LoggedChange, limit int, f func(table, key string, c *model.LoggedChange) error) (int, error) {
	for i := range log {
		r, ok := c.ResourceByID(log[i].Resource)
		if limit == 0 || !ok || !spec.Ships(r) || log[i].Version.Region == spec.Region {
			continue
		}
		limit--
		key, c := keys.ItemString(log[i].Key), log[i]
		if isUnits(r.Kind) {
			key, c.Item = heldUnit(r.Kind, &c.Change), model.AppendItem(nil, nil)
		}
		if err := f(r.Name, key, &c); err != nil {
			return limit, err
		}
	}
	return limit, nil
}
